//! What happens to a message when something is learned of it: its status, its timeline, its publication, and where it
//! waits.

use jiff::Timestamp;
use messaging::contact::Suppression;
use messaging::event::CloudEvent;
use messaging::failure::NewAttempts;
use messaging::id::{AttemptId, SenderName, TenantId};
use messaging::lifecycle::{LifecycleEvent, MessageState, MessageStatus};
use messaging::provider::StatusUpdate;

use super::event;
use super::validity;
use crate::store::StoreError;
use crate::store::adopted::AdoptedFailure;
use crate::store::group::Halt;
use crate::store::group::rows::{NewEvent, Rows};
use crate::store::message::{Reason, SinkId};
use crate::store::tables::attempts::AttemptRow;
use crate::store::tables::message_timeline::StepRow;
use crate::store::tables::messages::MessageRow;
use crate::store::tables::parked_statuses::ParkedRow;
use crate::store::tables::queue::QueueRow;
use crate::store::tables::stored::json;
use crate::store::tables::unsettled::UnsettledRow;

/// What was learned of a message, or decided about it.
pub(super) struct Evidence {
    pub(super) change: Change,
    pub(super) at: Timestamp,
    pub(super) reason: Option<Reason>,
}

pub(super) enum Change {
    /// The domain says what follows from it.
    Event(LifecycleEvent),
    /// It ends, unless it has ended before.
    End(MessageStatus),
}

impl Evidence {
    pub(super) fn event(event: LifecycleEvent, at: Timestamp) -> Self {
        Self { change: Change::Event(event), at, reason: None }
    }

    pub(super) fn end(status: MessageStatus, reason: Reason, at: Timestamp) -> Self {
        Self { change: Change::End(status), at, reason: Some(reason) }
    }

    /// What a callback reported.
    pub(super) fn reported(update: &StatusUpdate, at: Timestamp) -> Self {
        let event = LifecycleEvent::Reported {
            attempt: update.attempt,
            provider_message_id: update.provider_message_id.clone(),
            status: update.status,
            failure: update.failure.clone(),
        };
        let reason = update.failure.as_ref().map(Reason::from);
        Self { change: Change::Event(event), at, reason }
    }
}

/// A message with everything that learning of it may touch, looked at before anything is changed.
pub(super) struct Loaded {
    pub(super) row: MessageRow,
    /// Statuses that waited for it to be known by the provider's id that is learned now.
    parked: Vec<ParkedRow>,
    provider_message_id: Option<String>,
    /// Whether an attempt, of this message or of another, has that id already.
    id_is_taken: bool,
}

/// What came of statuses that had waited.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    pub(super) reached: Vec<MessageStatus>,
    pub(super) failures: Vec<AdoptedFailure>,
}

/// Looks at a message and where it waits; `learned` is the provider's id that it will be known by.
pub(super) fn look(
    rows: &mut Rows,
    tenant: &TenantId,
    id: messaging::id::MessageId,
    learned: Option<&str>,
) -> Result<Option<Loaded>, Halt> {
    let key = (tenant.clone(), id);
    // All of them are asked for at once.
    let message = rows.messages.get(&key).map(|row| row.cloned());
    let queued = rows.queue.get(&key).map(drop);
    let unsettled = rows.unsettled.get(&key).map(drop);
    let owner = learned.map_or(Ok(None), |learned| rows.attempt_of_provider_id(tenant, learned));
    let parked = learned.map_or(Ok(Vec::new()), |learned| rows.parked_for(tenant, learned));
    let (message, (), (), owner, parked) = (message?, queued?, unsettled?, owner?, parked?);
    let Some(row) = message else { return Ok(None) };
    // A parked status may suppress the contact.
    rows.contacts.get(&contact_key(&row))?;
    if let Some(attempt) = row.message.attempt {
        rows.attempts.get(&(tenant.clone(), attempt))?;
    }
    Ok(Some(Loaded { row, parked, provider_message_id: learned.map(str::to_owned), id_is_taken: owner.is_some() }))
}

pub(super) fn contact_key(row: &MessageRow) -> (TenantId, SenderName, messaging::address::Address) {
    (row.message.tenant.clone(), row.message.sender().clone(), row.message.to.clone())
}

impl Loaded {
    pub(super) fn status(&self) -> MessageStatus {
        self.row.message.status
    }

    /// Applies evidence to the message. Answers with the status that the message reached; `None` when its status did
    /// not change.
    pub(super) fn advance(
        &mut self,
        rows: &mut Rows,
        evidence: &Evidence,
        sinks: &[SinkId],
    ) -> Result<Option<MessageStatus>, StoreError> {
        let message = &mut self.row.message;
        let before = MessageState {
            status: message.status,
            attempt: message.attempt,
            attempts: message.attempts,
            provider_message_id: message.provider_message_id.clone(),
        };
        let (after, text) = match &evidence.change {
            Change::Event(event) => {
                let (after, entry) = before.apply(event, evidence.at);
                (after, entry.and_then(|entry| entry.reason))
            }
            Change::End(_) if before.status.is_terminal() => (before.clone(), None),
            Change::End(status) => (MessageState { status: *status, ..before.clone() }, None),
        };
        if after == before {
            return Ok(None);
        }
        message.status = after.status;
        message.attempt = after.attempt;
        message.attempts = after.attempts;
        message.provider_message_id = after.provider_message_id;
        let key = (message.tenant.clone(), message.id);
        if message.status == before.status {
            rows.messages.put(key, self.row.clone());
            return Ok(None);
        }
        message.reason = evidence.reason.clone().or_else(|| text.map(|text| Reason::new(None, text)));
        message.updated_at = evidence.at;
        self.row.steps += 1;
        rows.messages.put(key.clone(), self.row.clone());
        let message = &self.row.message;
        let step = StepRow {
            at: message.updated_at,
            status: message.status,
            attempt: message.attempt,
            reason: message.reason.clone(),
        };
        rows.add_step(&message.tenant, message.id, self.row.steps, step);
        if event::is_published(message.status) {
            publish(rows, message.sender(), &event::status(message, before.status, evidence.at), sinks)?;
        }
        if message.status.is_terminal() {
            rows.queue.remove(&key);
            rows.unsettled.remove(&key);
        }
        Ok(Some(message.status))
    }

    /// Applies what the provider reports of an attempt of the message; where it says that another attempt may be
    /// delivered, the message goes back into the queue for it. Of an attempt that was reported as not delivered, only
    /// proof of the contrary counts from then on.
    pub(super) fn report(
        &mut self,
        rows: &mut Rows,
        update: &StatusUpdate,
        at: Timestamp,
        new_attempts: Option<&NewAttempts>,
        sinks: &[SinkId],
    ) -> Result<Option<MessageStatus>, Halt> {
        let message = &self.row.message;
        let attempt = update.attempt.or(message.attempt).map(|attempt| (message.tenant.clone(), attempt));
        let of_attempt = match &attempt {
            Some(key) => rows.attempts.get(key)?.cloned(),
            None => None,
        };
        let was_not_delivered = of_attempt.as_ref().is_some_and(AttemptRow::was_not_delivered);
        if was_not_delivered && update.status < MessageStatus::Delivered {
            return Ok(None);
        }
        let again_at = new_attempts.and_then(|new_attempts| {
            let expires_at = validity::ends_at(message, &new_attempts.validity);
            new_attempts.after_report(update.status, update.failure.as_ref(), message.attempts, expires_at, at)
        });
        if let (Some(again_at), Some(key), Some(of_attempt), Some(failure)) =
            (again_at, attempt, of_attempt, &update.failure)
        {
            let event = LifecycleEvent::NotDelivered { attempt: key.1, reason: failure.to_string() };
            let evidence = Evidence { reason: Some(failure.into()), ..Evidence::event(event, at) };
            let reached = self.advance(rows, &evidence, sinks)?;
            if reached == Some(MessageStatus::Queued) {
                rows.attempts.put(key, of_attempt.not_delivered(at));
                self.back_to_queue(rows, again_at)?;
            }
            // It belongs to an earlier attempt, or comes too late to matter.
            return Ok(reached);
        }
        Ok(self.advance(rows, &Evidence::reported(update, at), sinks)?)
    }

    /// The provider knows an attempt of the message by the id that was looked at, so statuses that waited for that id
    /// are merged. An id that belongs to another attempt is never this one's, whatever the evidence.
    pub(super) fn learn_provider_id(
        &mut self,
        rows: &mut Rows,
        attempt: AttemptId,
        new_attempts: Option<&NewAttempts>,
        sinks: &[SinkId],
    ) -> Result<Adopted, Halt> {
        let mut adopted = Adopted::default();
        let Some(id) = self.provider_message_id.clone() else { return Ok(adopted) };
        let tenant = self.row.message.tenant.clone();
        let key = (tenant.clone(), attempt);
        if !self.id_is_taken
            && let Some(mut held) = rows.attempts.get(&key)?.filter(|a| a.provider_message_id.is_none()).cloned()
        {
            held.provider_message_id = Some(id.clone());
            rows.attempts.put(key, held);
            rows.provider_knows(&tenant, &id, attempt);
        }
        for parked in std::mem::take(&mut self.parked) {
            let failure = parked.status_update.failure.as_ref();
            adopted.failures.extend(
                failure.map(|failure| AdoptedFailure { scope: failure.scope(), reported_at: parked.received_at }),
            );
            let update = StatusUpdate { attempt: Some(attempt), ..parked.status_update };
            adopted.reached.extend(self.report(rows, &update, parked.received_at, new_attempts, sinks)?);
            if let Some(suppression) = &parked.suppression {
                self.suppress(rows, suppression)?;
            }
        }
        rows.unpark(&tenant, &id);
        Ok(adopted)
    }

    /// Suppresses the contact.
    pub(super) fn suppress(&self, rows: &mut Rows, suppression: &Suppression) -> Result<(), Halt> {
        super::contact::suppress(rows, &contact_key(&self.row), suppression)
    }

    /// It is to be handed over again at `at`. No earlier holder of its place had the fence that it gets.
    pub(super) fn back_to_queue(&self, rows: &mut Rows, at: Timestamp) -> Result<(), Halt> {
        let message = &self.row.message;
        let key = (message.tenant.clone(), message.id);
        rows.unsettled.remove(&key);
        let fence = rows.queue.get(&key)?.map_or(i64::from(message.attempts) << 32, |place| place.fence + 1);
        let place = QueueRow {
            sender: message.sender().clone(),
            priority: message.priority,
            expires_at: message.expires_at,
            due_at: at,
            available_at: at,
            fence,
            owner: None,
        };
        rows.queue.put(key, place);
        rows.open_lane(&message.tenant, message.sender(), message.priority);
        rows.bells.queue = true;
        Ok(())
    }

    /// It is not to be handed over again.
    pub(super) fn leave_queue(&self, rows: &mut Rows) {
        rows.queue.remove(&(self.row.message.tenant.clone(), self.row.message.id));
    }

    /// The provider is asked for the outcome at `ask_at`, or earlier where an earlier time was set. A question that is
    /// on its way was asked before this was known, so its answer no longer counts.
    pub(super) fn await_settlement(&self, rows: &mut Rows, ask_at: Timestamp) -> Result<(), Halt> {
        if self.status().is_terminal() {
            return Ok(());
        }
        let key = (self.row.message.tenant.clone(), self.row.message.id);
        let waiting = match rows.unsettled.get(&key)? {
            Some(waiting) => UnsettledRow {
                fence: waiting.fence + 1,
                available_at: waiting.available_at.min(ask_at),
                ..waiting.clone()
            },
            None => UnsettledRow { available_at: ask_at, fence: 0, owner: None, asked: 0 },
        };
        rows.unsettled.put(key, waiting);
        Ok(())
    }
}

/// Puts an event into the outbox, once for each sink.
pub(super) fn publish(
    rows: &mut Rows,
    sender: &SenderName,
    event: &CloudEvent,
    sinks: &[SinkId],
) -> Result<(), StoreError> {
    if sinks.is_empty() {
        return Ok(());
    }
    let body = json(event)?;
    for sink in sinks {
        rows.publish(NewEvent {
            tenant: event.tenant.clone(),
            sender: sender.clone(),
            sink: sink.clone(),
            event: event.id,
            subject: event.subject.clone(),
            body: body.clone(),
            created_at: event.time,
        });
    }
    Ok(())
}
