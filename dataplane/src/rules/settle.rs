//! What is found out about messages whose outcome is awaited.

use jiff::Timestamp;
use messaging::failure::AfterFailure;
use messaging::id::TenantId;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};

use super::Operation;
use super::lifecycle::{self, Evidence, Loaded};
use crate::store::Command;
use crate::store::adopted::Adopting;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::SinkId;
use crate::store::queue::{Fenced, Settle, Settlement};
use crate::store::tables::queue::QueueRow;
use crate::store::tables::stored::corrupt;
use crate::store::tables::unsettled::UnsettledRow;

impl Command for Settle {
    type Answer = Adopting<Fenced>;
}

impl Operation for Settle {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Adopting<Fenced>, Halt> {
        let Self { claim, now, settlement, sinks } = self;
        let key = (claim.tenant.clone(), claim.message);
        let learned = match settlement {
            Settlement::Found { provider_message_id, .. } => Some(provider_message_id.as_str()),
            Settlement::Ended { .. } | Settlement::Resend { .. } => None,
            Settlement::AskAgain { .. } | Settlement::NotAsked { .. } => None,
        };
        let waiting = rows.unsettled.get(&key).map(|waiting| waiting.cloned());
        let known = lifecycle::look(rows, &claim.tenant, claim.message, learned);
        let owner = learned.map_or(Ok(None), |id| rows.attempt_of_provider_id(&claim.tenant, id));
        let (waiting, known, owner) = (waiting?, known?, owner?);
        let Some(waiting) = waiting.filter(|waiting| waiting.fence == claim.fence) else {
            return Ok(Fenced::LeaseLost.into());
        };
        let mut known = known.ok_or_else(|| corrupt("an unsettled message", "it is missing"))?;
        let belongs_to_another = match owner {
            Some(attempt) => {
                let of_attempt = rows.attempts.get(&(claim.tenant.clone(), attempt))?;
                of_attempt.is_some_and(|attempt| attempt.message != claim.message)
            }
            None => false,
        };
        let mut failures = Vec::new();
        let ask_at = match settlement {
            Settlement::AskAgain { at } | Settlement::NotAsked { again_at: at } => Some(*at),
            Settlement::Ended { status, reason } => {
                known.advance(rows, &Evidence::end(*status, reason.clone(), *now), sinks)?;
                None
            }
            Settlement::Resend { at, reason } => self.resend(rows, &mut known, *at, &reason.text)?,
            Settlement::Found { ask_at, .. } if belongs_to_another => Some(*ask_at),
            Settlement::Found { provider_message_id, status, reason, suppress, ask_at } => {
                let event = LifecycleEvent::Reported {
                    attempt: known.row.message.attempt,
                    provider_message_id: provider_message_id.clone(),
                    status: *status,
                    failure: None,
                };
                let found = Evidence { reason: reason.clone(), ..Evidence::event(event, *now) };
                known.advance(rows, &found, sinks)?;
                if let Some(attempt) = known.row.message.attempt {
                    failures = known.learn_provider_id(rows, attempt, sinks)?.failures;
                }
                if let Some(suppression) = suppress {
                    known.suppress(rows, suppression)?;
                }
                Some(*ask_at)
            }
        };
        if let Some(ask_at) = ask_at.filter(|_| !known.status().is_terminal()) {
            let was_asked = !matches!(settlement, Settlement::NotAsked { .. });
            let asked = waiting.asked + u32::from(was_asked);
            let again = UnsettledRow { available_at: ask_at, fence: waiting.fence + 1, owner: None, asked };
            rows.unsettled.put(key, again);
        }
        Ok(Adopting { answer: Fenced::Done, failures })
    }
}

impl Settle {
    /// Back into the queue, for a tenant that prefers a duplicate to a loss.
    fn resend(
        &self,
        rows: &mut Rows,
        known: &mut Loaded,
        at: Timestamp,
        reason: &str,
    ) -> Result<Option<Timestamp>, Halt> {
        let message = known.row.message.clone();
        let (Some(attempt), MessageStatus::Submitted | MessageStatus::Unconfirmed) = (message.attempt, message.status)
        else {
            return Ok(Some(at));
        };
        let then = AfterFailure::RetryAt(at);
        let event = LifecycleEvent::AttemptFailed { attempt, then, reason: reason.to_owned() };
        let sinks: &[SinkId] = &self.sinks;
        known.advance(rows, &Evidence::event(event, self.now), sinks)?;
        let key = (message.tenant.clone(), message.id);
        rows.unsettled.remove(&key);
        let queued = QueueRow {
            sender: message.sender().clone(),
            priority: message.priority,
            expires_at: message.expires_at,
            due_at: at,
            available_at: at,
            fence: 0,
            owner: None,
        };
        // A fence that no earlier holder had.
        let fence = rows.queue.get(&key)?.map_or(i64::from(message.attempts) << 32, |place| place.fence + 1);
        rows.queue.put(key, QueueRow { fence, ..queued });
        rows.open_lane(&message.tenant, message.sender(), message.priority);
        rows.bells.queue = true;
        Ok(None)
    }
}
