//! A message's state, and what each event does to it.
//!
//! Every writer of a message's row goes through [`MessageState::apply`], in the transaction that stores the event. An
//! event that was already applied, or that came too late to matter, changes nothing. So after a crash between deciding
//! and storing, the event is simply applied again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MessageStatus;
use crate::failure::AfterFailure;
use crate::failure::Failure;
use crate::id::AttemptId;
use crate::refusal::Refusal;

/// A message's status and attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageState {
    pub status: MessageStatus,
    /// The newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// How many attempts were made, including the newest.
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_message_id: Option<String>,
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// An attempt begins. Stored before the provider is called.
    Claimed { attempt: AttemptId },
    /// The provider accepted the attempt.
    Accepted { attempt: AttemptId, provider_message_id: String, status: MessageStatus },
    /// The attempt was refused, never left, or is ambiguous; `then` is what
    /// [`next_step`](crate::failure::next_step()) said. An attempt whose holder died is ambiguous.
    AttemptFailed { attempt: AttemptId, then: AfterFailure, reason: String },
    /// The provider reported on an attempt, by callback or in its log. `attempt` is absent where the report does not
    /// carry it and was matched by the provider's message id.
    Reported {
        attempt: Option<AttemptId>,
        provider_message_id: String,
        status: MessageStatus,
        failure: Option<Failure>,
    },
    /// The provider reported that an attempt was not delivered, and may deliver a later one: it is to have one.
    NotDelivered { attempt: AttemptId, reason: String },
    /// Policy refused it at dispatch. An ended validity is one of the reasons.
    Refused { refusal: Refusal },
    /// The tenant canceled it.
    Canceled,
    /// No evidence came in time for an unconfirmed attempt.
    ConfirmationOverdue,
}

/// One line of a message's timeline in the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When we learned about it.
    pub at: Timestamp,
    pub status: MessageStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// A sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl MessageState {
    /// A message that was just accepted from a tenant, and the first line of its timeline.
    pub fn queued(at: Timestamp) -> (Self, TimelineEntry) {
        let state = Self { status: MessageStatus::Queued, attempt: None, attempts: 0, provider_message_id: None };
        (state, TimelineEntry { at, status: MessageStatus::Queued, attempt: None, reason: None })
    }

    /// The state after an event, and the line that it adds to the timeline if the status changed. `at` is now.
    #[must_use]
    pub fn apply(&self, event: &LifecycleEvent, at: Timestamp) -> (Self, Option<TimelineEntry>) {
        let (next, reason) = self.next(event);
        let entry = (next.status != self.status).then_some(TimelineEntry {
            at,
            status: next.status,
            attempt: next.attempt,
            reason,
        });
        (next, entry)
    }

    fn next(&self, event: &LifecycleEvent) -> (Self, Option<String>) {
        match event {
            LifecycleEvent::Claimed { attempt } => (self.claimed(*attempt), None),
            LifecycleEvent::Accepted { attempt, provider_message_id, status } => {
                (self.reported(Some(*attempt), provider_message_id, *status), None)
            }
            LifecycleEvent::AttemptFailed { attempt, then, reason } => {
                (self.attempt_failed(*attempt, *then), Some(reason.clone()))
            }
            LifecycleEvent::Reported { attempt, provider_message_id, status, failure } => {
                (self.reported(*attempt, provider_message_id, *status), reason_of(*status, failure.as_ref()))
            }
            LifecycleEvent::NotDelivered { attempt, reason } => (self.not_delivered(*attempt), Some(reason.clone())),
            LifecycleEvent::Refused { refusal } => (self.if_queued(refusal.status()), Some(refusal.to_string())),
            LifecycleEvent::Canceled => (self.if_queued(MessageStatus::Canceled), Some("canceled by request".into())),
            LifecycleEvent::ConfirmationOverdue => (self.confirmation_overdue(), Some(OVERDUE.into())),
        }
    }

    /// Only a queued message is handed over, so there is never a second attempt while one is unresolved.
    fn claimed(&self, attempt: AttemptId) -> Self {
        if self.status != MessageStatus::Queued || self.attempt == Some(attempt) {
            return self.clone();
        }
        Self {
            status: MessageStatus::Submitted,
            attempt: Some(attempt),
            attempts: self.attempts.saturating_add(1),
            provider_message_id: None,
        }
    }

    /// A message returns to the queue only after its newest attempt, and only while there is no evidence that the
    /// provider took it.
    fn attempt_failed(&self, attempt: AttemptId, then: AfterFailure) -> Self {
        let unresolved = matches!(self.status, MessageStatus::Submitted | MessageStatus::Unconfirmed);
        if unresolved && self.attempt == Some(attempt) { self.with(then.status()) } else { self.clone() }
    }

    fn reported(&self, attempt: Option<AttemptId>, provider_message_id: &str, reported: MessageStatus) -> Self {
        let evidence = as_evidence(reported);
        let is_of_an_earlier_attempt = attempt.is_some() && attempt != self.attempt;
        if is_of_an_earlier_attempt && evidence == MessageStatus::Failed {
            return self.clone(); // It failed, which is why there was a later attempt.
        }
        // As far as we know, what we ended ourselves was never handed over. Only a delivery proves otherwise.
        let ended_by_us = self.status.is_terminal() && self.status < MessageStatus::Failed;
        if ended_by_us && evidence < MessageStatus::Delivered {
            return self.clone();
        }
        let mut next = self.with(self.status.merge(evidence));
        next.provider_message_id.get_or_insert_with(|| provider_message_id.to_owned());
        next
    }

    /// The newest attempt is resolved, so there may be another.
    fn not_delivered(&self, attempt: AttemptId) -> Self {
        let is_out = self.status > MessageStatus::Queued && !self.status.is_terminal();
        if is_out && self.attempt == Some(attempt) { self.with(MessageStatus::Queued) } else { self.clone() }
    }

    fn confirmation_overdue(&self) -> Self {
        if self.status == MessageStatus::Unconfirmed { self.with(MessageStatus::Failed) } else { self.clone() }
    }

    fn if_queued(&self, status: MessageStatus) -> Self {
        if self.status == MessageStatus::Queued { self.with(status) } else { self.clone() }
    }

    fn with(&self, status: MessageStatus) -> Self {
        Self { status, ..self.clone() }
    }
}

const OVERDUE: &str = "the provider never confirmed the attempt; the message may or may not have been sent";

/// What a provider's report proves. The provider knows the message, so it has at least accepted it. A message that
/// ended without arriving has failed, whatever the provider calls that.
fn as_evidence(reported: MessageStatus) -> MessageStatus {
    use MessageStatus::{
        Accepted, Canceled, Delivered, Expired, Failed, Queued, Read, Rejected, Sent, Submitted, Suppressed,
        Unconfirmed,
    };
    match reported {
        Queued | Submitted | Unconfirmed | Accepted => Accepted,
        Sent => Sent,
        Canceled | Expired | Suppressed | Rejected | Failed => Failed,
        Delivered => Delivered,
        Read => Read,
    }
}

fn reason_of(reported: MessageStatus, failure: Option<&Failure>) -> Option<String> {
    match failure {
        Some(failure) => Some(failure.to_string()),
        None if as_evidence(reported) == MessageStatus::Failed => {
            Some(format!("the provider reported it as {reported} and gave no reason"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests;
