//! Out to the providers: due messages claimed, checked once more, and handed over.
//!
//! ```text
//! turn: lanes ─> brakes (room per sender) ─> fair (whose turn) ─> claim ─┐
//!                                                                       ├─ gate ─> attempt ─> outcome
//! reconcile: unsettled ─> evidence (the provider's log) ─> settlement    ┘
//! ```
//!
//! A turn claims what may leave now and says when to look again; between turns it sleeps until then, or until something
//! is queued. Every attempt is on disk before the provider is called, so a crash at any point leaves either a message
//! that was surely not handed over, or one whose outcome is awaited; neither is ever sent twice.

mod attempt;
pub mod brakes;
mod evidence;
mod fair;
mod gate;
mod outcome;
pub mod reconcile;
mod settlement;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::{Clock, after};
use messaging::config::Limits;
use messaging::failure::RetryLimits;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::attempt::Carrier;
use self::brakes::{Brakes, Room};
use self::fair::{Rotation, SenderKey};
use crate::config::Configs;
use crate::metrics::{DeferReason, Metrics};
use crate::store::queue::ClaimDue;
use crate::store::{Store, StoreError};

/// Another replica, which wakes nobody here, may have queued something.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// When a lane had due work and nothing was there to claim: another replica was quicker.
const TAKEN_BY_ANOTHER: Duration = Duration::from_millis(100);

/// How to dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchOptions {
    /// Who claims: the replica's name.
    pub owner: String,
    /// How long a claim lasts without being renewed. What a crashed replica held comes back after this.
    pub lease: Duration,
    /// Calls in flight at once, over all senders.
    pub max_in_flight: u32,
    pub retry: RetryLimits,
    /// When the provider is first asked about a message that it accepted and that no callback has brought to an end.
    pub ask_accepted_after: Duration,
    /// How long after an attempt of unknown outcome its absence from the provider's log means that it was not sent.
    pub unconfirmed_grace: Duration,
    /// How long a message that the provider has may go without a final status; then it ends as failed, and a later
    /// callback still corrects it.
    pub give_up_after: Duration,
}

impl DispatchOptions {
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            lease: Duration::from_secs(30),
            max_in_flight: 256,
            retry: RetryLimits::default(),
            ask_accepted_after: Duration::from_secs(10 * 60),
            unconfirmed_grace: Duration::from_secs(15 * 60),
            give_up_after: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// What dispatching needs of the rest of the process.
#[derive(Clone)]
pub struct DispatchContext {
    pub store: Arc<dyn Store>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub brakes: Arc<Brakes>,
    pub options: DispatchOptions,
}

/// Hands due messages over.
pub struct Dispatcher {
    context: DispatchContext,
    carrier: Arc<Carrier>,
    rotation: Rotation,
    calls: JoinSet<()>,
}

impl Dispatcher {
    pub fn new(context: DispatchContext) -> Self {
        let carrier = Arc::new(Carrier::new(context.clone()));
        Self { context, carrier, rotation: Rotation::default(), calls: JoinSet::new() }
    }

    /// Dispatches until told to stop, then waits for the calls that are in flight.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut config_changes = self.context.configs.subscribe();
        while !stop.is_cancelled() {
            while let Some(ended) = self.calls.try_join_next() {
                call_ended(ended);
            }
            let now = self.context.clock.now();
            let next = match self.turn().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "nothing can be dispatched while the store fails");
                    Some(after(now, STORE_PAUSE))
                }
            };
            let pause = next.map_or(LOOK_AGAIN, |at| at.duration_since(now).try_into().unwrap_or_default());
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.context.store.signals().queue.notified() => {}
                Some(ended) = self.calls.join_next() => call_ended(ended),
                changed = config_changes.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause.min(LOOK_AGAIN)) => {}
            }
        }
        self.settle_down().await;
    }

    /// Waits until no call is in flight.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.calls.join_next().await {
            call_ended(ended);
        }
    }

    /// Claims what may leave now and starts its calls. Answers when to look again; `None`: when something happens.
    pub async fn turn(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let DispatchContext { store, metrics, brakes, clock, options, .. } = &self.context;
        let now = clock.now();
        brakes.tidy(now);
        let free = options.max_in_flight.saturating_sub(u32::try_from(self.calls.len()).unwrap_or(u32::MAX));
        let (mut next, mut ready) = (None, Vec::new());
        let mut room: HashMap<SenderKey, u32> = HashMap::new();
        let mut limits: HashMap<SenderKey, Limits> = HashMap::new();
        for lane in store.lanes().await? {
            if lane.next_at > now {
                next = earlier(next, Some(lane.next_at));
                continue;
            }
            let key = fair::key(&lane.lane);
            match self.room(&key, free, now, &mut limits) {
                Room::For(places) => {
                    room.insert(key, places);
                    ready.push(lane.lane);
                }
                Room::None { why, again_at } => {
                    metrics.deferred(why);
                    next = earlier(next, again_at);
                }
            }
        }
        let shares = self.rotation.share(ready, &room, free);
        if shares.is_empty() {
            return Ok(next);
        }
        let lease_until = after(now, options.lease);
        let claim = ClaimDue { now, owner: options.owner.clone(), lease_until, shares };
        let claims = store.claim_due(claim).await?;
        if claims.is_empty() {
            return Ok(earlier(next, Some(after(now, TAKEN_BY_ANOTHER))));
        }
        for claim in claims {
            let key = (claim.message.tenant.clone(), claim.message.sender.clone());
            let limits = limits.get(&key).copied().unwrap_or_default();
            let in_flight = brakes.take(&key, &limits, now);
            let carrier = Arc::clone(&self.carrier);
            self.calls.spawn(async move { carrier.carry(claim, in_flight).await });
        }
        // There may be more than was claimed.
        Ok(Some(now))
    }

    /// How much a sender may send now; notes its limits.
    fn room(&self, key: &SenderKey, free: u32, now: Timestamp, limits: &mut HashMap<SenderKey, Limits>) -> Room {
        let tenant = self.context.configs.get(&key.0);
        let Some(sender) = tenant.as_ref().and_then(|tenant| tenant.sender(&key.1)) else {
            // Its messages wait: the config may come back, and a message that was accepted never disappears.
            return Room::None { why: DeferReason::NoConfig, again_at: None };
        };
        if sender.config.paused {
            return Room::None { why: DeferReason::Paused, again_at: None };
        }
        limits.insert(key.clone(), sender.config.limits);
        self.context.brakes.room(key, &sender.config.limits, free, now)
    }
}

/// A call that panicked wrote no result; its lease ends, and then its message is unconfirmed.
fn call_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a call to a provider ended abnormally; its outcome will be found out");
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
