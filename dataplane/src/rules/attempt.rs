//! Attempts: begun before the provider is called, and finished with what became of the call.

use messaging::failure::AfterFailure;
use messaging::id::TenantId;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};

use super::Operation;
use super::lifecycle::{self, Evidence, contact_key};
use super::queue::{given_back, held};
use crate::store::Command;
use crate::store::adopted::Adopting;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::Reason;
use crate::store::person::person_in_pool;
use crate::store::queue::{AttemptResult, Began, BeginAttempt, Fenced, FinishAttempt};
use crate::store::tables::attempts::AttemptRow;
use crate::store::tables::queue::QueueRow;

impl Command for BeginAttempt {
    type Answer = Began;
}

impl Operation for BeginAttempt {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Began, Halt> {
        let Self { claim, attempt, now, contact_version, others_in_pool } = self;
        let place = held(rows, claim);
        let known = lifecycle::look(rows, &claim.tenant, claim.message, None);
        let (Some(_), Some(mut known)) = (place?, known?) else { return Ok(Began::LeaseLost) };
        // Written by this very call, whose commit was not heard of.
        if known.status() == MessageStatus::Submitted && known.row.message.attempt == Some(*attempt) {
            return Ok(Began::Begun);
        }
        // Anything but queued has been handed over, or may have been: there must be no second call.
        if known.status() != MessageStatus::Queued {
            return Ok(Began::LeaseLost);
        }
        if person_in_pool(rows, &contact_key(&known.row), others_in_pool)?.version != *contact_version {
            return Ok(Began::ContactChanged);
        }
        let begun = AttemptRow {
            message: claim.message,
            started_at: *now,
            finished_at: None,
            outcome: None,
            provider_message_id: None,
            provider_request_id: None,
        };
        rows.attempts.put((claim.tenant.clone(), *attempt), begun);
        known.advance(rows, &Evidence::event(LifecycleEvent::Claimed { attempt: *attempt }, *now), &[])?;
        Ok(Began::Begun)
    }
}

impl FinishAttempt {
    /// How an attempt is remembered.
    fn outcome(&self) -> &'static str {
        match self.result {
            AttemptResult::Accepted { .. } => "accepted",
            AttemptResult::Retry { .. } => "retry",
            AttemptResult::Unconfirmed { .. } => "unconfirmed",
            AttemptResult::Ended { .. } => "ended",
        }
    }

    /// What the attempt's end says of the message. `newest`: no later attempt was begun.
    fn evidence(&self, status: MessageStatus, newest: bool) -> Option<Evidence> {
        let Self { attempt, now, result, .. } = self;
        let failed = |then, reason: &Reason| {
            let event = LifecycleEvent::AttemptFailed { attempt: *attempt, then, reason: reason.text.clone() };
            Evidence { reason: Some(reason.clone()), ..Evidence::event(event, *now) }
        };
        match result {
            AttemptResult::Accepted { provider_message_id, status, ask_at: _ } => {
                let (attempt, provider_message_id) = (*attempt, provider_message_id.clone());
                let accepted = LifecycleEvent::Accepted { attempt, provider_message_id, status: *status };
                Some(Evidence::event(accepted, *now))
            }
            AttemptResult::Retry { at, reason } => Some(failed(AfterFailure::RetryAt(*at), reason)),
            AttemptResult::Unconfirmed { reason, ask_at } => {
                Some(failed(AfterFailure::AwaitConfirmation { until: *ask_at }, reason))
            }
            // Its status says why it ended. Nothing is ended that is known to have been taken.
            AttemptResult::Ended { status: end, reason } => {
                let unresolved = matches!(status, MessageStatus::Submitted | MessageStatus::Unconfirmed);
                (unresolved && newest).then(|| Evidence::end(*end, reason.clone(), *now))
            }
        }
    }
}

impl Command for FinishAttempt {
    type Answer = Adopting<Fenced>;
}

impl Operation for FinishAttempt {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Adopting<Fenced>, Halt> {
        let Self { claim, attempt, now, result, provider_request_id, suppress, new_attempts, sinks } = self;
        let learned = match result {
            AttemptResult::Accepted { provider_message_id, .. } => Some(provider_message_id.as_str()),
            AttemptResult::Retry { .. } | AttemptResult::Unconfirmed { .. } | AttemptResult::Ended { .. } => None,
        };
        let attempt_key = (claim.tenant.clone(), *attempt);
        let of_attempt = rows.attempts.get(&attempt_key).map(|row| row.cloned());
        let place = rows.queue.get(&(claim.tenant.clone(), claim.message)).map(|place| place.cloned());
        let known = lifecycle::look(rows, &claim.tenant, claim.message, learned);
        let (of_attempt, place, known) = (of_attempt?, place?, known?);
        let (Some(mut of_attempt), Some(mut known)) = (of_attempt, known) else { return Ok(Fenced::LeaseLost.into()) };
        if of_attempt.message != claim.message {
            return Ok(Fenced::LeaseLost.into());
        }
        if provider_request_id.is_some() {
            of_attempt.provider_request_id.clone_from(provider_request_id);
            rows.attempts.put(attempt_key.clone(), of_attempt.clone());
        }
        let is_newest = known.row.message.attempt == Some(*attempt);
        match &place {
            Some(place) if place.fence == claim.fence => {}
            // A callback was faster and took the message out of the queue. What we know adds to that.
            None if is_newest && known.status() >= MessageStatus::Accepted => {}
            // That the provider accepted it is true even when another replica holds the message now, and only moves it
            // forward.
            _ if is_newest && learned.is_some() => {}
            _ => return Ok(Fenced::LeaseLost.into()),
        }
        // A callback was faster and reported that it was not delivered: the message waits for another attempt.
        if of_attempt.was_not_delivered() {
            let failures = known.learn_provider_id(rows, *attempt, Some(new_attempts), sinks)?.failures;
            return Ok(Adopting { answer: Fenced::Done, failures });
        }
        // An attempt that is known to be accepted stays accepted when a caller only knows that it was begun.
        if of_attempt.outcome.as_deref() != Some("accepted") {
            of_attempt.finished_at = Some(*now);
            of_attempt.outcome = Some(self.outcome().to_owned());
            rows.attempts.put(attempt_key, of_attempt);
        }
        if let Some(evidence) = self.evidence(known.status(), is_newest) {
            known.advance(rows, &evidence, sinks)?;
        }
        let failures = known.learn_provider_id(rows, *attempt, Some(new_attempts), sinks)?.failures;
        match result {
            AttemptResult::Retry { at, .. } if known.status() == MessageStatus::Queued => {
                if let Some(place) = place.filter(|place| place.fence == claim.fence) {
                    let place = QueueRow { due_at: *at, ..given_back(place, *at) };
                    rows.queue.put((claim.tenant.clone(), claim.message), place);
                }
                rows.bells.queue = true;
            }
            // A status that had waited reported that it was not delivered.
            AttemptResult::Accepted { .. } if known.status() == MessageStatus::Queued => {}
            // Where a callback has reported more than the answer did, the callback's status stays.
            AttemptResult::Retry { .. } | AttemptResult::Ended { .. } => known.leave_queue(rows),
            AttemptResult::Accepted { ask_at, .. } | AttemptResult::Unconfirmed { ask_at, .. } => {
                known.leave_queue(rows);
                known.await_settlement(rows, *ask_at)?;
            }
        }
        if let Some(suppression) = suppress {
            known.suppress(rows, suppression)?;
        }
        Ok(Adopting { answer: Fenced::Done, failures })
    }
}
