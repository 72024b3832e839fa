//! One claimed event: carried to its sink, and what became of it written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use messaging::config::HttpSink;
use messaging::id::{SenderName, TenantId};
use messaging::publication::next_attempt_at;

use super::PublishContext;
use super::transport::Delivery;
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
    sinks: Arc<Mutex<HashMap<SinkKey, SinkState>>>,
}

#[derive(Debug, Default)]
struct SinkState {
    in_flight: u32,
    /// The sink as it was configured when it answered 410. While it is configured so, nothing goes there.
    gone: Option<HttpSink>,
}

/// A request's place among those of its sink. Dropping it, also by a panic, gives it back.
pub(super) struct Place {
    sinks: Arc<Mutex<HashMap<SinkKey, SinkState>>>,
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
        Self { context, sinks: Arc::default() }
    }

    pub(super) fn in_flight(&self, key: &SinkKey) -> u32 {
        lock(&self.sinks).get(key).map_or(0, |sink| sink.in_flight)
    }

    pub(super) fn take(&self, key: &SinkKey) -> Place {
        lock(&self.sinks).entry(key.clone()).or_default().in_flight += 1;
        Place { sinks: Arc::clone(&self.sinks), key: key.clone() }
    }

    /// Carries the event to `sink`, which is `None` when the sender has no such sink any more.
    pub(super) async fn deliver(&self, event: EventClaim, sink: Option<HttpSink>, place: Place) {
        let id = event.reference.event;
        if let Err(error) = self.try_deliver(event, sink, &place.key).await {
            tracing::error!(event = %id, %error, "what became of an event is not written; it is delivered again when its lease ends");
        }
    }

    async fn try_deliver(&self, event: EventClaim, sink: Option<HttpSink>, key: &SinkKey) -> Result<(), StoreError> {
        let fate = self.fate(&event, sink, key).await;
        let (store, metrics) = (&self.context.store, &self.context.metrics);
        let (now, reference) = (self.context.clock.now(), event.reference.clone());
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

    async fn fate(&self, event: &EventClaim, sink: Option<HttpSink>, key: &SinkKey) -> Fate {
        let dead = |error: String, counted| Fate::Dead { error, counted };
        let Some(sink) = sink else {
            return dead("the sender has no such sink any more".into(), PublishResult::SinkRemoved);
        };
        if lock(&self.sinks).get(key).is_some_and(|state| state.gone.as_ref() == Some(&sink)) {
            let error = "the sink has answered 410; it is not called until its config changes";
            return dead(error.into(), PublishResult::Dead);
        }
        let began = Instant::now();
        let now = self.context.clock.now();
        let delivery = self.context.transport.deliver(&sink, &event.reference.event, event.body.clone(), now).await;
        self.context.metrics.publish_took(began.elapsed());
        match delivery {
            Delivery::Delivered => Fate::Delivered,
            Delivery::Gone => {
                lock(&self.sinks).entry(key.clone()).or_default().gone = Some(sink);
                dead("the sink answered 410".into(), PublishResult::Dead)
            }
            Delivery::Private(error) => dead(error.to_string(), PublishResult::PrivateAddress),
            Delivery::Failed { reason, retry_after } => {
                let now = self.context.clock.now();
                match next_attempt_at(event.tries + 1, retry_after, rand::random(), now) {
                    Some(until) => Fate::Later { until, error: reason },
                    None => dead(format!("given up after {} tries: {reason}", event.tries + 1), PublishResult::Dead),
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sinks = lock(&self.sinks);
        if let Some(sink) = sinks.get_mut(&self.key) {
            sink.in_flight = sink.in_flight.saturating_sub(1);
            if sink.in_flight == 0 && sink.gone.is_none() {
                sinks.remove(&self.key);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
