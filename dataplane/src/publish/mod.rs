//! Delivers events from the outbox to the tenants' sinks: at least once, in order per message.
//!
//! Every sink has slots of its own, so a sink that is slow or hangs delays no other sink. An event is claimed under a
//! lease and leaves the outbox only after the sink has answered, so after a crash it is delivered again under the same
//! id.
//!
//! An idle publisher claims new events at once. A busy one waits between two claims until requests end or a few
//! milliseconds pass, and then claims for all sinks together, so the load on the store does not grow with the number of
//! events.

mod courier;
mod gone_hold;
pub mod sinks;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use messaging::clock::after;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::courier::Courier;
use self::slots::{SinkKey, SinkSlots};
use crate::progress::Task;
use crate::shared::Shared;
use crate::sink::Sink;
use crate::store::StoreError;
use crate::store::outbox::{ClaimEvents, EventClaim, OutboxLane, TakeOver};

/// Another replica, which cannot wake this one, may have put something into the outbox.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a busy publisher waits for requests to end before it claims again, unless a quarter of them end earlier.
const GATHER: Duration = Duration::from_millis(5);
const GATHERED: usize = 4;
/// Messages whose events are moved to their sink's name at once: few enough to leave room for other writes.
const TAKEN_OVER: u32 = 200;
/// Claims that wait for the store at once. They share its commits.
const CLAIMS: usize = 64;

/// What publishing needs of the rest of the process.
#[derive(Clone)]
pub struct PublishContext {
    pub shared: Shared,
    /// The replica's name, under which it claims.
    pub owner: String,
    /// How long a claim lasts; at least the sink's time limit, and time to record the outcome.
    pub lease: Duration,
}

pub struct Publisher {
    context: PublishContext,
    courier: Arc<Courier>,
    slots: SinkSlots,
    requests: JoinSet<()>,
}

impl Publisher {
    pub fn new(context: PublishContext) -> Self {
        let courier = Arc::new(Courier::new(context.clone()));
        Self { context, courier, slots: SinkSlots::default(), requests: JoinSet::new() }
    }

    /// Publishes until `stop`, then waits for the requests that are in flight.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut config_changes = self.context.shared.configs.subscribe();
        while !stop.is_cancelled() {
            while let Some(ended) = self.requests.try_join_next() {
                request_ended(ended);
            }
            let now = self.context.shared.clock.now();
            let next = match self.turn().await {
                Ok(next) => {
                    self.context.shared.progress.did(Task::Publish, now);
                    next
                }
                Err(error) => {
                    tracing::error!(%error, "nothing can be published while the store fails");
                    None
                }
            };
            let pause = next.map_or(LOOK_AGAIN, |at| at.duration_since(now).try_into().unwrap_or_default());
            if pause.is_zero() {
                self.gather().await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.context.shared.store.signals().outbox.notified() => {}
                Some(ended) = self.requests.join_next() => {
                    request_ended(ended);
                    self.gather().await;
                }
                changed = config_changes.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause.min(LOOK_AGAIN)) => {}
            }
        }
        self.settle_down().await;
    }

    /// Waits until a quarter of what is in flight has ended, or a moment has passed.
    async fn gather(&mut self) {
        let wanted = self.requests.len() / GATHERED;
        let requests = &mut self.requests;
        let ended = async {
            for _ in 0..wanted {
                let Some(ended) = requests.join_next().await else { return };
                request_ended(ended);
            }
        };
        // An error means that the moment has passed.
        drop(tokio::time::timeout(GATHER, ended).await);
    }

    /// Waits until no request is in flight.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.requests.join_next().await {
            request_ended(ended);
        }
    }

    /// Claims what may be published now and starts its requests. Returns when to look again; `None` means when
    /// something happens.
    pub async fn turn(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.context.shared.clock.now();
        let mut lanes = self.lanes(now).await?;
        // The longest wait is claimed first.
        lanes.sort_by_key(|lane| lane.next_at);
        let mut next = lanes.iter().map(|lane| lane.next_at).find(|at| *at > now);
        let due: Vec<DueLane> =
            lanes.into_iter().filter(|lane| lane.next_at <= now).filter_map(|lane| self.open(lane)).collect();
        if due.is_empty() {
            return Ok(next);
        }

        let context = &self.context;
        let mut claims = stream::iter(due)
            .map(|lane| async move {
                let claimed = claim(context, &lane, now).await;
                (lane, claimed)
            })
            .buffer_unordered(CLAIMS);
        let (mut claimed_any, mut failed) = (false, None);
        while let Some((lane, claimed)) = claims.next().await {
            match claimed {
                Ok(events) => {
                    claimed_any |= !events.is_empty();
                    for event in events {
                        let courier = Arc::clone(&self.courier);
                        let (slot, sink) = (self.slots.acquire(&lane.key), lane.sink.clone());
                        self.requests.spawn(async move { courier.deliver(event, sink, slot).await });
                    }
                }
                // A fault with one sink's events harms no other sink.
                Err(error) => {
                    tracing::error!(%error, tenant = %lane.key.tenant, sender = %lane.key.sender, "events cannot be claimed");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if !claimed_any => return Err(error),
            // There may be more than was claimed.
            _ if claimed_any => next = Some(now),
            _ => {}
        }
        Ok(next)
    }

    /// The sinks that events wait for. What waits under an address, from before sinks had names, is moved to the name.
    async fn lanes(&self, now: Timestamp) -> Result<Vec<OutboxLane>, StoreError> {
        let Shared { store, configs, .. } = &self.context.shared;
        let lanes = store.outbox_lanes().await?;
        let mut moved = 0;
        for OutboxLane { tenant, sender, sink: address, .. } in &lanes {
            let config = configs.get(tenant);
            let name = config.as_ref().and_then(|config| config.sender(sender)?.successor(address).cloned());
            let Some(name) = name else { continue };
            let (tenant, sender, address) = (tenant.clone(), sender.clone(), address.clone());
            moved += store.write(TakeOver { tenant, sender, address, name, now, limit: TAKEN_OVER }).await?;
        }
        if moved > 0 { store.outbox_lanes().await } else { Ok(lanes) }
    }

    /// The lane with its sink and free slots; `None` when nothing may be claimed from it now.
    fn open(&self, lane: OutboxLane) -> Option<DueLane> {
        let OutboxLane { tenant, sender, sink, next_at: _ } = lane;
        let Shared { configs, removals, .. } = &self.context.shared;
        let config = configs.get(&tenant);
        let opened = match config.as_ref().and_then(|config| config.sender(&sender)) {
            // A replica of the version before is delivering it; the rest has been moved.
            Some(sender) if sender.successor(&sink).is_some() => return None,
            Some(sender) => sender.sink(&sink).cloned(),
            None if removals.is_removed(&tenant, &sender) => None,
            // Events of a sender without a config wait: the config may come back.
            None => return None,
        };
        let key = SinkKey { tenant, sender, sink };
        let free = self.slots.free(&key);
        (free > 0).then_some(DueLane { key, sink: opened, free })
    }
}

/// A sink that has due events and free slots.
struct DueLane {
    key: SinkKey,
    /// `None` when the sender's config no longer has this sink.
    sink: Option<Arc<dyn Sink>>,
    free: u32,
}

async fn claim(context: &PublishContext, lane: &DueLane, now: Timestamp) -> Result<Vec<EventClaim>, StoreError> {
    let DueLane { key: SinkKey { tenant, sender, sink: id }, sink, free } = lane;
    let lease = sink.as_ref().map_or(context.lease, |sink| context.lease.max(sink.time_limit() * 2));
    let claim = ClaimEvents {
        tenant: tenant.clone(),
        sender: sender.clone(),
        sink: id.clone(),
        now,
        owner: context.owner.clone(),
        lease_until: after(now, lease),
        limit: *free,
    };
    context.shared.store.write(claim).await
}

/// A request that panicked recorded no outcome; its lease ends, and the event is delivered again.
fn request_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request to a sink ended abnormally; its event will be delivered again");
    }
}
