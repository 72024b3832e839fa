//! Messages come in, and are withdrawn.

use messaging::id::TenantId;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};

use super::Operation;
use super::lifecycle::{self, Evidence};
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::{AcceptMessage, Acceptance, CancelMessage, Cancellation, Message, NewMessage};
use crate::store::tables::idempotency_keys::UsedKeyRow;
use crate::store::tables::message_timeline::StepRow;
use crate::store::tables::messages::MessageRow;
use crate::store::tables::queue::QueueRow;
use crate::store::tables::stored::corrupt;

/// Writes a message, the beginning of its timeline, and its row in the queue.
pub(super) fn insert(rows: &mut Rows, new: &NewMessage, idempotency_key: Option<&str>) -> Message {
    let message = Message {
        id: new.id,
        tenant: new.tenant.clone(),
        route: new.route.clone(),
        from: new.from.clone(),
        to: new.to.clone(),
        content: Some(new.content.clone()),
        purpose: new.purpose,
        priority: new.priority,
        reply_to: new.reply_to.clone(),
        served_language: new.served_language.clone(),
        metadata: new.metadata.clone(),
        on_unconfirmed: new.on_unconfirmed,
        status: MessageStatus::Queued,
        reason: None,
        provider_message_id: None,
        attempt: None,
        attempts: 0,
        created_at: new.created_at,
        updated_at: new.created_at,
        scheduled_at: new.scheduled_at,
        expires_at: new.expires_at,
    };
    let key = (new.tenant.clone(), new.id);
    let due_at = new.scheduled_at.map_or(new.created_at, |at| at.max(new.created_at));
    let row = MessageRow { message: message.clone(), idempotency_key: idempotency_key.map(str::to_owned), steps: 1 };
    rows.messages.put(key.clone(), row);
    let step = StepRow { at: new.created_at, status: MessageStatus::Queued, attempt: None, reason: None };
    rows.add_step(&new.tenant, new.id, 1, step);
    let queued = QueueRow {
        sender: new.sender().clone(),
        priority: new.priority,
        expires_at: new.expires_at,
        due_at,
        available_at: due_at,
        fence: 0,
        owner: None,
    };
    rows.queue.put(key, queued);
    rows.open_lane(&new.tenant, new.sender(), new.priority);
    rows.bells.queue = true;
    message
}

impl Command for AcceptMessage {
    type Answer = Acceptance;
}

impl Operation for AcceptMessage {
    const SHED_FIRST: bool = true;

    fn tenant(&self) -> &TenantId {
        &self.message.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Acceptance, Halt> {
        let Some(idempotency) = &self.idempotency else {
            return Ok(Acceptance::New(Box::new(insert(rows, &self.message, None))));
        };
        let key = (self.message.tenant.clone(), idempotency.key.clone());
        if let Some(used) = rows.idempotency.get(&key)?.cloned() {
            if !idempotency.is_repeated(&used.body_sha256, used.content_sha256.as_ref()) {
                return Ok(Acceptance::KeyReused);
            }
            let known = rows.messages.get(&(key.0, used.message))?;
            let row = known.ok_or_else(|| corrupt("an idempotency key", "its message is missing"))?;
            return Ok(Acceptance::Replayed(Box::new(row.message.clone())));
        }
        let used = UsedKeyRow {
            body_sha256: idempotency.body_sha256,
            message: self.message.id,
            content_sha256: Some(idempotency.content_sha256),
        };
        rows.idempotency.put(key, used);
        Ok(Acceptance::New(Box::new(insert(rows, &self.message, Some(&idempotency.key)))))
    }
}

impl Command for CancelMessage {
    type Answer = Cancellation;
}

impl Operation for CancelMessage {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Cancellation, Halt> {
        let Some(mut known) = lifecycle::look(rows, &self.tenant, self.id, None)? else {
            return Ok(Cancellation::NotFound);
        };
        match known.status() {
            MessageStatus::Canceled => Ok(Cancellation::Canceled(Box::new(known.row.message))),
            // A claim on it can no longer begin an attempt, because its row in the queue is gone.
            MessageStatus::Queued => {
                let canceled = Evidence::event(LifecycleEvent::Canceled, self.now);
                let evidence = Evidence { reason: Some(self.reason.clone()), ..canceled };
                let sinks = self.sinks.of(rows, &self.tenant, known.row.message.sender())?;
                known.advance(rows, &evidence, &sinks)?;
                Ok(Cancellation::Canceled(Box::new(known.row.message)))
            }
            _ => Ok(Cancellation::TooLate(Box::new(known.row.message))),
        }
    }
}
