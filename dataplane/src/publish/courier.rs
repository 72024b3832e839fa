//! Takes one claimed event to its sink and records the outcome.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use messaging::publication::next_attempt_at;

use super::slots::{SinkKey, SinkSlot};
use super::{PublishContext, gone_hold};
use crate::metrics::PublishResult;
use crate::rules::outbox::EventDelivered;
use crate::sink::{Delivery, OutgoingEvent, Sink};
use crate::store::StoreError;
use crate::store::outbox::{DeferEvent, EndEvent, EventClaim};
use crate::store::queue::Fenced;

pub(super) struct Courier {
    context: PublishContext,
}

/// What to record about an event.
enum Fate {
    Delivered,
    Later {
        until: Timestamp,
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
        Self { context }
    }

    /// Delivers the event to `sink`, which is `None` when the sender's config no longer has it.
    pub(super) async fn deliver(&self, event: EventClaim, sink: Option<Arc<dyn Sink>>, slot: SinkSlot) {
        let id = event.reference.event;
        if let Err(error) = self.try_deliver(event, sink.as_deref(), slot.key()).await {
            tracing::error!(event = %id, %error, "the outcome of a delivery is not recorded; the event is delivered again when its lease ends");
        }
    }

    async fn try_deliver(&self, event: EventClaim, sink: Option<&dyn Sink>, key: &SinkKey) -> Result<(), StoreError> {
        let fate = self.fate(&event, sink, key).await?;
        let (store, metrics) = (&self.context.shared.store, &self.context.shared.metrics);
        let (now, reference) = (self.context.shared.clock.now(), event.reference.clone());
        let (fenced, counted) = match fate {
            Fate::Delivered => {
                (store.write(EventDelivered { event: reference, at: now }).await?, PublishResult::Delivered)
            }
            Fate::Later { until, error } => {
                let defer = DeferEvent { event: reference, until, error: Some(error) };
                (store.write(defer).await?, PublishResult::Retry)
            }
            Fate::Dead { error, counted } => {
                tracing::warn!(event = %event.reference.event, tenant = %key.tenant, %error, "event kept as a dead letter");
                (store.write(EndEvent { event: reference, now, error, keep: true }).await?, counted)
            }
        };
        match fenced {
            Fenced::Done => metrics.published(counted),
            // Another holder delivers it too, and counts it.
            Fenced::LeaseLost => {
                tracing::warn!(event = %event.reference.event, "the lease of an event ended during its delivery");
            }
        }
        Ok(())
    }

    async fn fate(&self, event: &EventClaim, sink: Option<&dyn Sink>, key: &SinkKey) -> Result<Fate, StoreError> {
        let dead = |error: String, counted| Ok(Fate::Dead { error, counted });
        let Some(sink) = sink else {
            return dead("the sender's config no longer has this sink".into(), PublishResult::SinkRemoved);
        };
        let holds = &self.context.shared.holds;
        let now = self.context.shared.clock.now();
        if gone_hold::applies(holds, key, sink.fingerprint(), now).await? {
            let error =
                "the sink has answered 410; it is not called until its config changes or an operator lifts the hold";
            return dead(error.into(), PublishResult::Dead);
        }
        let began = Instant::now();
        let outgoing = OutgoingEvent { id: event.reference.event, body: event.body.clone() };
        let delivery = sink.deliver(&outgoing, now).await;
        self.context.shared.metrics.publish_took(began.elapsed());
        let now = self.context.shared.clock.now();
        match delivery {
            Delivery::Delivered => Ok(Fate::Delivered),
            Delivery::Gone => {
                tracing::warn!(tenant = %key.tenant, sender = %key.sender, "a sink answered 410; no further events are sent there");
                gone_hold::put(holds, key, sink.fingerprint(), now).await?;
                dead("the sink answered 410".into(), PublishResult::Dead)
            }
            Delivery::Refused { reason, counted } => dead(reason, counted),
            Delivery::Later { reason, retry_after } => {
                match next_attempt_at(event.tries + 1, retry_after, rand::random(), now) {
                    Some(until) => Ok(Fate::Later { until, error: reason }),
                    None => dead(format!("given up after {} tries: {reason}", event.tries + 1), PublishResult::Dead),
                }
            }
        }
    }
}
