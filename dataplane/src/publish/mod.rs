//! Out to the tenants: events carried from the outbox to each sink, at least once, in order per message.
//!
//! Every sink has places of its own, so one that is slow or hangs holds up nobody else's events. An event is claimed
//! under a lease and taken from the outbox only after the sink has answered, so a crash delivers it again, under the
//! same id.

mod deliver;
pub mod guard;
pub mod signature;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::{Clock, after};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::deliver::{Courier, SinkKey};
use self::transport::Transport;
use crate::config::Configs;
use crate::metrics::Metrics;
use crate::store::outbox::{ClaimEvents, OutboxLane};
use crate::store::{Store, StoreError};

/// Requests to one sink at once. They are of different messages, so order is kept.
const PER_SINK: u32 = 8;
/// Another replica, which wakes nobody here, may have put something into the outbox.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What publishing needs of the rest of the process.
#[derive(Clone)]
pub struct PublishContext {
    pub store: Arc<dyn Store>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub transport: Transport,
    /// Who claims: the replica's name.
    pub owner: String,
    /// How long a claim lasts; at least a request's time-out, and time to write what became of it.
    pub lease: Duration,
}

/// Publishes events.
pub struct Publisher {
    context: PublishContext,
    courier: Arc<Courier>,
    requests: JoinSet<()>,
}

impl Publisher {
    pub fn new(context: PublishContext) -> Self {
        let courier = Arc::new(Courier::new(context.clone()));
        Self { context, courier, requests: JoinSet::new() }
    }

    /// Publishes until told to stop, then waits for the requests that are in flight.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut config_changes = self.context.configs.subscribe();
        while !stop.is_cancelled() {
            while let Some(ended) = self.requests.try_join_next() {
                request_ended(ended);
            }
            let now = self.context.clock.now();
            let next = match self.turn().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "nothing can be published while the store fails");
                    None
                }
            };
            let pause = next.map_or(LOOK_AGAIN, |at| at.duration_since(now).try_into().unwrap_or_default());
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.context.store.signals().outbox.notified() => {}
                Some(ended) = self.requests.join_next() => request_ended(ended),
                changed = config_changes.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause.min(LOOK_AGAIN)) => {}
            }
        }
        self.settle_down().await;
    }

    /// Waits until no request is in flight.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.requests.join_next().await {
            request_ended(ended);
        }
    }

    /// Claims what may be published now and starts its requests. Answers when to look again; `None`: when something
    /// happens.
    pub async fn turn(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.context.clock.now();
        let mut next: Option<Timestamp> = None;
        for lane in self.context.store.outbox_lanes().await? {
            if lane.next_at > now {
                next = Some(next.map_or(lane.next_at, |next| next.min(lane.next_at)));
            } else if self.claim(lane, now).await? > 0 {
                // There may be more than was claimed.
                next = Some(now);
            }
        }
        Ok(next)
    }

    async fn claim(&mut self, lane: OutboxLane, now: Timestamp) -> Result<usize, StoreError> {
        let OutboxLane { tenant, sender, sink, next_at: _ } = lane;
        // Events of a tenant that is not configured wait: its config may come back.
        let Some(config) = self.context.configs.get(&tenant) else { return Ok(0) };
        let http = config.sender(&sender).and_then(|sender| sender.http_sink(&sink)).cloned();
        let key = SinkKey { tenant: tenant.clone(), sender: sender.clone(), sink: sink.clone() };
        let free = PER_SINK.saturating_sub(self.courier.in_flight(&key));
        if free == 0 {
            return Ok(0);
        }
        let lease = self.context.lease.max(transport::TIMEOUT * 2);
        let (owner, lease_until) = (self.context.owner.clone(), after(now, lease));
        let claim = ClaimEvents { tenant, sender, sink, now, owner, lease_until, limit: free };
        let claimed = self.context.store.claim_events(claim).await?;
        let n = claimed.len();
        for event in claimed {
            let (courier, place, http) = (Arc::clone(&self.courier), self.courier.take(&key), http.clone());
            self.requests.spawn(async move { courier.deliver(event, http, place).await });
        }
        Ok(n)
    }
}

/// A request that panicked wrote no result; its lease ends, and the event is delivered again.
fn request_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request to a sink ended abnormally; its event will be delivered again");
    }
}
