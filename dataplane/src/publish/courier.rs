//! One claimed event: carried to its sink, and what became of it written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use messaging::config::HttpSink;
use messaging::id::{SenderName, TenantId};
use messaging::publication::next_attempt_at;

use super::transport::Delivery;
use super::{PublishContext, gone};
use crate::metrics::PublishResult;
use crate::store::StoreError;
use crate::store::message::SinkId;
use crate::store::outbox::{DeferEvent, EndEvent, EventClaim};
use crate::store::queue::Fenced;

/// A sink of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SinkKey {
    pub(super) tenant: TenantId,
    pub(super) sender: SenderName,
    pub(super) sink: SinkId,
}

pub(super) struct Courier {
    context: PublishContext,
    in_flight: InFlight,
}

/// Requests to each sink; one without any is not here.
type InFlight = Arc<Mutex<HashMap<SinkKey, u32>>>;

/// A request's place among those of its sink. Dropping it, also by a panic, gives it back.
pub(super) struct Place {
    in_flight: InFlight,
    key: SinkKey,
}

/// What to write of an event.
enum Fate {
    Delivered,
    Later {
        until: jiff::Timestamp,
        error: String,
    },
    /// Kept as a dead letter.
    Dead {
        error: String,
        counted: PublishResult,
    },
}

impl Courier {
    pub(super) fn new(context: PublishContext) -> Self {
        Self { context, in_flight: Arc::default() }
    }

    pub(super) fn in_flight(&self, key: &SinkKey) -> u32 {
        lock(&self.in_flight).get(key).copied().unwrap_or(0)
    }

    pub(super) fn take(&self, key: &SinkKey) -> Place {
        *lock(&self.in_flight).entry(key.clone()).or_default() += 1;
        Place { in_flight: Arc::clone(&self.in_flight), key: key.clone() }
    }

    /// Carries the event to `sink`, which is `None` when the sender has no such sink any more.
    pub(super) async fn deliver(&self, event: EventClaim, sink: Option<HttpSink>, place: Place) {
        let id = event.reference.event;
        if let Err(error) = self.try_deliver(event, sink, &place.key).await {
            tracing::error!(event = %id, %error, "what became of an event is not written; it is delivered again when its lease ends");
        }
    }

    async fn try_deliver(&self, event: EventClaim, sink: Option<HttpSink>, key: &SinkKey) -> Result<(), StoreError> {
        let fate = self.fate(&event, sink, key).await?;
        let (store, metrics) = (&self.context.shared.store, &self.context.shared.metrics);
        let (now, reference) = (self.context.shared.clock.now(), event.reference.clone());
        let (fenced, counted) = match fate {
            Fate::Delivered => (store.event_delivered(reference, now).await?, PublishResult::Delivered),
            Fate::Later { until, error } => {
                let defer = DeferEvent { event: reference, until, error: Some(error) };
                (store.defer_event(defer).await?, PublishResult::Retry)
            }
            Fate::Dead { error, counted } => {
                tracing::warn!(event = %event.reference.event, tenant = %key.tenant, %error, "event kept as a dead letter");
                (store.end_event(EndEvent { event: reference, now, error, keep: true }).await?, counted)
            }
        };
        match fenced {
            Fenced::Done => metrics.published(counted),
            // Another holder delivers it too, and counts it.
            Fenced::LeaseLost => {
                tracing::warn!(event = %event.reference.event, "the lease of an event went during its delivery");
            }
        }
        Ok(())
    }

    async fn fate(&self, event: &EventClaim, sink: Option<HttpSink>, key: &SinkKey) -> Result<Fate, StoreError> {
        let dead = |error: String, counted| Ok(Fate::Dead { error, counted });
        let Some(sink) = sink else {
            return dead("the sender has no such sink any more".into(), PublishResult::SinkRemoved);
        };
        let holds = &self.context.shared.holds;
        let now = self.context.shared.clock.now();
        if gone::is_gone(holds, key, &sink, now).await? {
            let error =
                "the sink has answered 410; it is not called until its config changes or somebody lifts the hold";
            return dead(error.into(), PublishResult::Dead);
        }
        let began = Instant::now();
        let delivery = self.context.transport.deliver(&sink, &event.reference.event, event.body.clone(), now).await;
        self.context.shared.metrics.publish_took(began.elapsed());
        let now = self.context.shared.clock.now();
        match delivery {
            Delivery::Delivered => Ok(Fate::Delivered),
            Delivery::Gone => {
                tracing::warn!(tenant = %key.tenant, sender = %key.sender, "a sink answered 410; nothing more is sent there");
                gone::put(holds, key, &sink, now).await?;
                dead("the sink answered 410".into(), PublishResult::Dead)
            }
            Delivery::Private(error) => dead(error.to_string(), PublishResult::PrivateAddress),
            Delivery::Failed { reason, retry_after } => {
                match next_attempt_at(event.tries + 1, retry_after, rand::random(), now) {
                    Some(until) => Ok(Fate::Later { until, error: reason }),
                    None => dead(format!("given up after {} tries: {reason}", event.tries + 1), PublishResult::Dead),
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(n) = in_flight.get_mut(&self.key) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
