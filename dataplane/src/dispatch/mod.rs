//! Sends due messages: claims them, checks them again, and hands them to the providers.
//!
//! ```text
//! turn: lanes ─> outlook (room by rates and brakes) ─> schedule (whose turn) ─> claim ─> gate ─> attempt ─> outcome
//! settle: unsettled ─> evidence (the provider's log) ─> settlement
//! ```
//!
//! A turn claims what may leave now and returns when to look again. Between turns the dispatcher sleeps until then, or
//! until something is queued. Every attempt is on disk before the provider is called, so a crash at any point leaves
//! either a message that was certainly not handed over or one whose outcome is awaited. Neither is sent twice.

mod attempt;
pub mod brakes;
mod evidence;
mod gate;
mod outcome;
mod outlook;
mod schedule;
pub mod settle;
mod settlement;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use messaging::clock::{Clock, after};
use messaging::failure::RetryLimits;
use messaging::provider::MessagingProvider;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub(crate) use self::schedule::pairs::LONGEST_WAIT as LONGEST_DEFERRAL;
pub(crate) use self::settlement::LONGEST_PAUSE;

use self::attempt::Carrier;
use self::brakes::{Brakes, Destination};
use self::outlook::{Limits, Outlook};
use self::schedule::lane_cache::LaneCache;
use self::schedule::rates::Buckets;
use self::schedule::{Scheduler, SenderKey, Share};
use crate::progress::Task;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::queue::{self, Claim, ClaimDue, Claimed, LaneRef, RateOf};

/// Another replica, which cannot wake this one, may have queued something.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a lane with due work gave nothing to claim, because another replica was quicker.
const TAKEN_BY_ANOTHER: Duration = Duration::from_millis(100);
/// A busy dispatcher claims many at once: it waits until one place in so many is free, but no longer than this.
const GATHER_ONE_IN: u32 = 4;
const GATHER_FOR: Duration = Duration::from_millis(5);
/// A probe that takes longer counts as not answered.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// How to dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchOptions {
    /// The replica's name, under which it claims.
    pub owner: String,
    /// How long a claim lasts without being renewed. A crashed replica's claims come back after this.
    pub lease: Duration,
    /// Calls in flight at once, over all senders.
    pub max_in_flight: u32,
    pub retry: RetryLimits,
    /// After so many attempts a message of unknown outcome is not sent again, even where its tenant prefers that: each
    /// may have reached the recipient.
    pub most_attempts_to_resend: u32,
    /// When the provider is first asked about a message that it accepted and that no callback has brought to an end.
    pub ask_accepted_after: Duration,
    /// How long after an attempt of unknown outcome its absence from the provider's log means that it was not sent.
    pub unconfirmed_grace: Duration,
    /// How long a message that the provider accepted may go without a terminal status. It then ends as failed; a later
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
            most_attempts_to_resend: 8,
            ask_accepted_after: Duration::from_secs(10 * 60),
            unconfirmed_grace: Duration::from_secs(15 * 60),
            give_up_after: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// What dispatching needs of the rest of the process.
#[derive(Clone)]
pub struct DispatchContext {
    pub shared: Shared,
    pub brakes: Arc<Brakes>,
    pub options: DispatchOptions,
}

/// Hands due messages to the providers.
pub struct Dispatcher {
    context: DispatchContext,
    carrier: Arc<Carrier>,
    scheduler: Scheduler,
    lane_cache: LaneCache,
    buckets: Buckets,
    calls: JoinSet<()>,
}

/// When to take the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There is more work, and room for it.
    Now,
    /// There may be more work, but a turn for each ended call would cost more than the calls.
    AfterSomeCalls,
    At(Timestamp),
    WhenSomethingHappens,
}

impl Dispatcher {
    pub fn new(context: DispatchContext) -> Self {
        context.shared.progress.begins(Task::Dispatch, context.shared.clock.now());
        let carrier = Arc::new(Carrier::new(context.clone()));
        let (scheduler, lane_cache, buckets) = (Scheduler::default(), LaneCache::default(), Buckets::default());
        Self { context, carrier, scheduler, lane_cache, buckets, calls: JoinSet::new() }
    }

    /// Dispatches until `stop`, then waits for the calls that are in flight.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut config_changes = self.context.shared.configs.subscribe();
        while !stop.is_cancelled() {
            let now = self.context.shared.clock.now();
            let next = match self.step().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "nothing can be dispatched while the store fails");
                    Next::At(after(now, STORE_PAUSE))
                }
            };
            let pause = match next {
                Next::Now => continue,
                Next::AfterSomeCalls => {
                    self.gather(&stop).await;
                    continue;
                }
                Next::At(at) => at.duration_since(now).try_into().unwrap_or_default(),
                Next::WhenSomethingHappens => LOOK_AGAIN,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.context.shared.store.signals().queue.notified() => self.lane_cache.forget(),
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

    /// Claims what may leave now, by a fresh look at the store, and starts its calls. Returns when to look again;
    /// `None` means when something happens.
    pub async fn turn(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.lane_cache.forget();
        let now = self.context.shared.clock.now();
        Ok(match self.step().await? {
            Next::Now | Next::AfterSomeCalls => Some(now),
            Next::At(at) => Some(at),
            Next::WhenSomethingHappens => None,
        })
    }

    async fn step(&mut self) -> Result<Next, StoreError> {
        while let Some(ended) = self.calls.try_join_next() {
            call_ended(ended);
        }
        let DispatchContext { shared, brakes, options } = &self.context;
        let Shared { store, configs, clock, clock_check, metrics, holds, progress, removals: _ } = shared;
        let now = clock.now();
        brakes.lift_approved_again(holds, configs, now).await;
        brakes.tidy(holds, now);
        self.buckets.tidy(now);
        let places = options.max_in_flight.saturating_sub(u32::try_from(self.calls.len()).unwrap_or(u32::MAX));
        if places == 0 {
            // Each call has a time limit of its own.
            progress.found_nothing(Task::Dispatch, now);
            return Ok(Next::WhenSomethingHappens);
        }
        if store.signals().queue.notified().now_or_never().is_some() {
            self.lane_cache.forget();
        }
        let (lanes, just_asked) = match self.lane_cache.get(now) {
            Some(lanes) => (lanes, false),
            None => (self.lane_cache.learn(store.lanes().await?, now), true),
        };
        let limits = Limits { configs, brakes, holds, buckets: &self.buckets, metrics, now };
        let mut outlook = Outlook::new(lanes, places, &limits);
        let has_probed = !outlook.probes.is_empty();
        for (destination, provider) in outlook.probes.drain() {
            brakes.probe_begins(&destination, now);
            self.calls.spawn(probe(Arc::clone(brakes), destination, provider, Arc::clone(clock)));
        }
        let shares = self.scheduler.share(outlook.turn);
        if shares.is_empty() {
            // What waits is held, limited, or for a provider that is away.
            progress.found_nothing(Task::Dispatch, now);
        }
        if shares.is_empty() && has_probed {
            return Ok(Next::AfterSomeCalls);
        }
        if shares.is_empty() {
            return Ok(outlook.next_at.map_or(Next::WhenSomethingHappens, Next::At));
        }
        let leave_timed = !clock_check.is_reliable();
        let (rates, shares_of_rates) = draw(&shares, &outlook.rates);
        let claim = ClaimDue {
            now,
            owner: options.owner.clone(),
            lease_until: after(now, options.lease),
            shares: shares_of_rates,
            rates: rates.clone(),
            leave_timed,
        };
        let Claimed { claims, buckets } = store.write(claim).await?;
        for (rate, bucket) in rates.iter().zip(buckets) {
            self.buckets.learn(rate, bucket);
        }
        let has_room = |lane: &LaneRef| {
            let rates = outlook.rates.get(&(lane.tenant.clone(), lane.sender.clone()));
            rates.into_iter().flatten().all(|rate| self.buckets.room(rate, 1, now).is_ok())
        };
        let there_is_more = report_claims(&mut self.scheduler, &mut self.lane_cache, &shares, &claims, has_room);
        if claims.is_empty() {
            progress.found_nothing(Task::Dispatch, now);
            // The remembered lanes may be out of date. If they are fresh, another replica took the work.
            self.lane_cache.forget();
            let again_at = after(now, if leave_timed { LOOK_AGAIN } else { TAKEN_BY_ANOTHER });
            return Ok(if just_asked {
                Next::At(outlook.next_at.map_or(again_at, |at| at.min(again_at)))
            } else {
                Next::Now
            });
        }
        let left = places.saturating_sub(u32::try_from(claims.len()).unwrap_or(u32::MAX));
        for claim in claims {
            let key = (claim.message.tenant.clone(), claim.message.sender().clone());
            let Some(destination) = outlook.destinations.get(&key) else { continue };
            let in_flight = brakes.take(&key, destination);
            let carrier = Arc::clone(&self.carrier);
            self.calls.spawn(async move { carrier.carry(claim, in_flight).await });
        }
        let has_room = left >= options.max_in_flight.div_ceil(GATHER_ONE_IN);
        Ok(if there_is_more && has_room { Next::Now } else { Next::AfterSomeCalls })
    }

    /// Waits for some calls to end, so that the next turn claims many at once. Returns at once when none are in flight.
    async fn gather(&mut self, stop: &CancellationToken) {
        let mut pause = std::pin::pin!(tokio::time::sleep(GATHER_FOR));
        for _ in 0..self.context.options.max_in_flight.div_ceil(GATHER_ONE_IN) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = &mut pause => return,
                ended = self.calls.join_next() => match ended {
                    Some(ended) => call_ended(ended),
                    None => return,
                },
            }
        }
    }
}

/// Asks a provider that is away whether it is back. Messages follow once it is.
async fn probe(
    brakes: Arc<Brakes>,
    destination: Destination,
    provider: Arc<dyn MessagingProvider>,
    clock: Arc<dyn Clock>,
) {
    let Some(probe) = provider.probe() else { return };
    if tokio::time::timeout(PROBE_WITHIN, probe.is_answered()).await == Ok(true) {
        brakes.probe_answered(&destination, clock.now());
    }
}

/// The rates that the shares draw on, each once, and the shares in the store's form.
fn draw(shares: &[Share], rates: &HashMap<SenderKey, [RateOf; 2]>) -> (Vec<RateOf>, Vec<queue::Share>) {
    let mut drawn: Vec<RateOf> = Vec::new();
    let mut places = HashMap::new();
    let of_store = shares.iter().map(|Share { lane, count }| {
        let key = (lane.tenant.clone(), lane.sender.clone());
        let draws_on = rates.get(&key).into_iter().flatten().map(|rate| {
            *places.entry(rate.key()).or_insert_with(|| {
                drawn.push(rate.clone());
                drawn.len() - 1
            })
        });
        queue::Share { draws_on: draws_on.collect(), lane: lane.clone(), limit: *count }
    });
    let of_store = of_store.collect();
    (drawn, of_store)
}

/// Reports to the scheduler what was claimed of each share. A lane that gave less than it was asked for, although its
/// rates have room, is remembered as drained. Returns whether any lane may hold more.
fn report_claims(
    scheduler: &mut Scheduler,
    lane_cache: &mut LaneCache,
    shares: &[Share],
    claims: &[Claim],
    has_room: impl Fn(&LaneRef) -> bool,
) -> bool {
    let mut claimed: HashMap<LaneRef, u32> = HashMap::new();
    for Claim { message, .. } in claims {
        let (tenant, sender) = (message.tenant.clone(), message.sender().clone());
        *claimed.entry(LaneRef { tenant, sender, priority: message.priority }).or_default() += 1;
    }
    let mut there_is_more = false;
    for share in shares {
        let count = claimed.get(&share.lane).copied().unwrap_or(0);
        scheduler.claimed(share, count);
        if count < share.count && has_room(&share.lane) {
            lane_cache.drained(&share.lane);
        } else {
            there_is_more = true;
        }
    }
    there_is_more
}

/// A call that panicked wrote no result. Its message becomes unconfirmed when the lease ends.
fn call_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a call to a provider panicked; its message is settled when its lease ends");
    }
}
