//! Out to the tenants: events carried from the outbox to each sink, at least once, in order per message.
//!
//! Every sink has places of its own, so one that is slow or hangs holds up nobody else's events. An event is claimed
//! under a lease and taken from the outbox only after the sink has answered, so a crash delivers it again, under the
//! same id.
//!
//! An idle publisher claims at once what is put into the outbox. A busy one lets requests end, or a few milliseconds
//! pass, between two claims, and then claims for all sinks at the same time, so that what it asks of the store does not
//! grow with the number of events.

mod deliver;
mod gone;
pub mod guard;
pub mod signature;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use messaging::clock::after;
use messaging::config::HttpSink;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::deliver::{Courier, SinkKey};
use self::transport::Transport;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::outbox::{ClaimEvents, EventClaim, OutboxLane};

/// Requests to one sink at once. They are of different messages, so order is kept.
const PER_SINK: u32 = 8;
/// Another replica, which wakes nobody here, may have put something into the outbox.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a busy publisher lets requests end before it claims again, unless a quarter of them ended earlier.
const GATHER: Duration = Duration::from_millis(5);
const GATHERED: usize = 4;
/// Claims that wait for the store at once. They share its commits.
const CLAIMS: usize = 64;

/// What publishing needs of the rest of the process.
#[derive(Clone)]
pub struct PublishContext {
    pub shared: Shared,
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
        let mut config_changes = self.context.shared.configs.subscribe();
        while !stop.is_cancelled() {
            while let Some(ended) = self.requests.try_join_next() {
                request_ended(ended);
            }
            let now = self.context.shared.clock.now();
            let next = match self.turn().await {
                Ok(next) => next,
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

    /// Claims what may be published now and starts its requests. Answers when to look again; `None`: when something
    /// happens.
    pub async fn turn(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.context.shared.clock.now();
        let mut lanes = self.context.shared.store.outbox_lanes().await?;
        // Who waits longest is claimed first.
        lanes.sort_by_key(|lane| lane.next_at);
        let mut next = lanes.iter().map(|lane| lane.next_at).find(|at| *at > now);
        let due: Vec<Lane> =
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
                        let (place, http) = (self.courier.take(&lane.key), lane.http.clone());
                        self.requests.spawn(async move { courier.deliver(event, http, place).await });
                    }
                }
                // What is wrong with one sink's events harms no other's.
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

    /// A lane from which something may be claimed now.
    fn open(&self, lane: OutboxLane) -> Option<Lane> {
        let OutboxLane { tenant, sender, sink, next_at: _ } = lane;
        // Events of a tenant that is not configured wait: its config may come back.
        let config = self.context.shared.configs.get(&tenant)?;
        let http = config.sender(&sender).and_then(|sender| sender.http_sink(&sink)).cloned();
        let key = SinkKey { tenant, sender, sink };
        let free = PER_SINK.saturating_sub(self.courier.in_flight(&key));
        (free > 0).then_some(Lane { key, http, free })
    }
}

/// A sink that has events, and places for more requests.
struct Lane {
    key: SinkKey,
    /// `None`: the sender has no such sink any more.
    http: Option<HttpSink>,
    free: u32,
}

async fn claim(context: &PublishContext, lane: &Lane, now: Timestamp) -> Result<Vec<EventClaim>, StoreError> {
    let Lane { key: SinkKey { tenant, sender, sink }, http: _, free } = lane;
    let lease = context.lease.max(transport::TIMEOUT * 2);
    let claim = ClaimEvents {
        tenant: tenant.clone(),
        sender: sender.clone(),
        sink: sink.clone(),
        now,
        owner: context.owner.clone(),
        lease_until: after(now, lease),
        limit: *free,
    };
    context.shared.store.claim_events(claim).await
}

/// A request that panicked wrote no result; its lease ends, and the event is delivered again.
fn request_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request to a sink ended abnormally; its event will be delivered again");
    }
}
