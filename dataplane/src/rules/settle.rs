//! What is found out about messages whose outcome is awaited.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messaging::failure::AfterFailure;
use messaging::id::TenantId;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};
use messaging::provider::StatusUpdate;

use super::Operation;
use super::lifecycle::{self, Evidence, Loaded};
use crate::store::Command;
use crate::store::adopted::Adopting;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::SinkId;
use crate::store::queue::{Settle, Settled, Settlement};
use crate::store::tables::stored::corrupt;
use crate::store::tables::unsettled::UnsettledRow;

impl Command for Settle {
    type Answer = Adopting<Settled>;
}

impl Operation for Settle {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Adopting<Settled>, Halt> {
        let Self { claim, now, settlement, new_attempts, sinks } = self;
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
            return Ok(Settled::LeaseLost.into());
        };
        let mut known = known.ok_or_else(|| corrupt("an unsettled message", "it is missing"))?;
        let before = known.status();
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
            Settlement::Found { provider_message_id, status, failure, ask_at } => {
                let attempt = known.row.message.attempt;
                let update = StatusUpdate {
                    provider_message_id: provider_message_id.clone(),
                    attempt,
                    status: *status,
                    failure: failure.clone(),
                    extra: BTreeMap::new(),
                };
                known.report(rows, &update, *now, new_attempts.as_ref(), sinks)?;
                if let Some(attempt) = attempt {
                    failures = known.learn_provider_id(rows, attempt, new_attempts.as_ref(), sinks)?.failures;
                }
                if let Some(suppression) = failure.as_ref().and_then(|failure| failure.suppression(*now)) {
                    known.suppress(rows, &suppression)?;
                }
                Some(*ask_at)
            }
        };
        let is_out = !known.status().is_terminal() && known.status() != MessageStatus::Queued;
        if let Some(ask_at) = ask_at.filter(|_| is_out) {
            let was_asked = !matches!(settlement, Settlement::NotAsked { .. });
            let asked = waiting.asked + u32::from(was_asked);
            let again = UnsettledRow { available_at: ask_at, fence: waiting.fence + 1, owner: None, asked };
            rows.unsettled.put(key, again);
        }
        let reached = Some(known.status()).filter(|status| *status != before);
        Ok(Adopting { answer: Settled::Done { reached }, failures })
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
        known.back_to_queue(rows, at)?;
        Ok(None)
    }
}
