//! Keeps stored times within their bounds, so that a clock that was ahead by N holds up nothing for N.
//!
//! A stored time that is compared with the present was set by some replica's clock. If that clock was ahead, the time
//! lies further ahead than the longest pause that anybody sets, and is then mended: the row is due. The list of those
//! times and of their longest pauses is [`longest`]. Buckets of rates are mended where they are used (see
//! [`messaging::rate`]), and so is what is only in memory.
//!
//! A clock that was behind harms nothing: what it has set is due early, which is safe everywhere.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::{after, before};
use messaging::failure::{LONGEST_REST, LONGEST_TEMPLATE_REST, RetryLimits};
use messaging::publication;
use tokio_util::sync::CancellationToken;

use crate::apply;
use crate::clock_check::LONGEST_SKEW;
use crate::dispatch;
use crate::progress::Task;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::overlong::{Bound, MendTimes, StoredTime};

/// How often times are checked, and at the start.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// A claim is not taken from its holder before this, however short the leases of this replica are: those of another may
/// be longer.
const SHORTEST_LEASE: Duration = Duration::from_secs(5 * 60);
/// Both replicas' clocks count as reliable while one is ahead by this and the other behind.
const APART: Duration = LONGEST_SKEW.saturating_mul(2);

/// The settings that bounds depend on.
#[derive(Debug, Clone)]
pub struct BoundsOptions {
    /// How long a claim of a message or an event lasts.
    pub lease: Duration,
    /// When the provider is first asked about a message that it has accepted.
    pub ask_accepted_after: Duration,
    /// How long after one sweep of an account the next begins.
    pub sweep_every: Duration,
    /// How far back an account's log is read if it is not known how far it was read before.
    pub sweep_look_back: Duration,
}

/// The longest time ahead that anybody sets.
fn longest(time: StoredTime, options: &BoundsOptions) -> Duration {
    match time {
        // Due when it was accepted. After a jump it would wait for its own creation.
        StoredTime::MessageAccepted => Duration::ZERO,
        // A lease, which its holder renews. After a jump nobody could take over from a holder that died.
        StoredTime::MessageClaimed | StoredTime::EventClaimed => options.lease.max(SHORTEST_LEASE),
        // A retry, or a wait for the recipient's rate, a stop or a config. After a jump it would wait too long.
        StoredTime::MessageDeferred => dispatch::LONGEST_DEFERRAL.max(RetryLimits::default().cap),
        // As of a message.
        StoredTime::UnsettledClaimed => dispatch::settle::LEASE,
        // The pause between two questions. After a jump nobody would ask.
        StoredTime::UnsettledDeferred => dispatch::LONGEST_PAUSE.max(options.ask_accepted_after),
        // Due when it was written. After a jump the tenant would hear of it late.
        StoredTime::EventReady => Duration::ZERO,
        // A retry of the schedule. After a jump it would come too late.
        StoredTime::EventDeferred => publication::LONGEST_PAUSE,
        // A lease, or a retry. After a jump nobody would apply what a replica left behind.
        StoredTime::LoggedEvent => apply::TRY_AGAIN_WITHIN,
        // A pause after a failure. After a jump the sender would be stopped for too long.
        StoredTime::Breaker => RetryLimits::default().sender_pause,
        // A rest of a template, or from conversations. After a jump it would last too long.
        StoredTime::Rest => LONGEST_REST.max(LONGEST_TEMPLATE_REST),
        // The pause between two sweeps. After a jump nobody would look for lost messages.
        StoredTime::SweepDue => options.sweep_every,
        // The past. After a jump, what was written in between would never be looked for.
        StoredTime::SweptUntil => Duration::ZERO,
    }
}

fn bound(time: StoredTime, options: &BoundsOptions, now: Timestamp) -> Bound {
    let latest = after(now, longest(time, options).saturating_add(APART));
    let mended = match time {
        StoredTime::SweptUntil => before(now, options.sweep_look_back),
        _ => now,
    };
    Bound { time, latest, mended }
}

/// Mends what lies beyond its bound.
#[derive(Clone)]
pub struct Bounds {
    pub shared: Shared,
    pub options: BoundsOptions,
}

impl Bounds {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.turn().await {
                Ok(()) => self.shared.progress.did(Task::Bounds, self.shared.clock.now()),
                Err(error) => {
                    tracing::warn!(%error, "stored times cannot be checked; those that are too far ahead stay so for now");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Mends every time that lies beyond its bound; none while this replica's own clock is unreliable.
    pub async fn turn(&self) -> Result<(), StoreError> {
        let Shared { store, clock, clock_check, .. } = &self.shared;
        clock_check.compare().await?;
        if !clock_check.is_reliable() {
            return Ok(());
        }
        let now = clock.now();
        let bounds = StoredTime::ALL.into_iter().map(|time| bound(time, &self.options, now)).collect();
        for (time, count) in store.write(MendTimes(bounds)).await? {
            tracing::warn!(?time, count, "a clock that was ahead had set times too far ahead; they are mended");
        }
        Ok(())
    }
}
