//! What is known about one contact of one sender: when they last wrote, what they agreed to, and whether anything may
//! be sent to them.
//!
//! These are only the facts. [`crate::policy`] decides what follows from them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::opt_out::OptChange;

/// Everything that policy must know about a contact. The default is a contact about whom nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContactState {
    /// When the newest message from the contact arrived; it opens the 24-hour window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppression: Option<Suppression>,
}

/// What a contact agreed to, and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentRecord {
    pub status: ConsentStatus,
    /// When it was recorded here. Its age is counted from [`ConsentRecord::given_at`].
    pub recorded_at: Timestamp,
    pub evidence: Evidence,
}

impl ConsentRecord {
    /// When the contact consented or revoked: the evidence's time, else the time of the recording. A time after the
    /// recording counts as the recording's, so that a future date cannot prolong a consent.
    pub fn given_at(&self) -> Timestamp {
        self.evidence.at.map_or(self.recorded_at, |at| at.min(self.recorded_at))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentStatus {
    Granted,
    Revoked,
}

/// The evidence that consent was given or revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Where it was given, such as `checkout-form` or `call-centre`.
    pub source: String,
    /// Its reference there: a form submission, a ticket, a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// While a contact is suppressed, nothing is sent to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suppression {
    pub reason: SuppressionReason,
    pub at: Timestamp,
    /// A sentence for a person: the keyword, or what the provider said.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SuppressionReason {
    /// The contact sent a stop keyword, or the provider reports that they opted out.
    OptedOut,
    /// The contact blocked the sender.
    Blocked,
    /// The address cannot receive WhatsApp messages.
    Unreachable,
    /// The tenant suppressed the contact.
    Manual,
}

impl SuppressionReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted out",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Manual => "suppressed by hand",
        }
    }

    /// Whether a message from the contact disproves it: a contact who writes has not blocked the sender and can be
    /// reached. Only a start keyword reverses an opt-out, and only the tenant lifts the tenant's own suppression.
    fn is_disproved_by_a_message(self) -> bool {
        matches!(self, Self::Blocked | Self::Unreachable)
    }
}

impl ContactState {
    /// The contact after a message from them that arrived at `at`. The same message may be applied again.
    #[must_use]
    pub fn after_message(self, at: Timestamp, change: Option<OptChange>, keyword: &str) -> Self {
        let suppression = match (change, self.suppression) {
            // The first opt-out stays, so that the record shows when it began.
            (Some(OptChange::Stop), Some(s)) if s.reason == SuppressionReason::OptedOut => Some(s),
            (Some(OptChange::Stop), _) => Some(Suppression {
                reason: SuppressionReason::OptedOut,
                at,
                detail: format!("the contact sent {:?}", keyword.trim()),
            }),
            // A message that is applied late does not undo a later suppression.
            (_, Some(s)) if s.at > at => Some(s),
            (Some(OptChange::Start), Some(s)) if s.reason != SuppressionReason::Manual => None,
            (_, Some(s)) if s.reason.is_disproved_by_a_message() => None,
            (_, suppression) => suppression,
        };
        Self { last_inbound_at: self.last_inbound_at.max(Some(at)), suppression, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::at;

    fn suppressed(reason: SuppressionReason) -> ContactState {
        let suppression = Some(Suppression { reason, at: at(0), detail: "as reported".into() });
        ContactState { suppression, ..ContactState::default() }
    }

    #[test]
    fn stop_suppresses_and_start_lifts_the_suppression() {
        let stopped = ContactState::default().after_message(at(1), Some(OptChange::Stop), " Stop ");
        let suppression = stopped.suppression.clone().expect("suppressed");
        assert_eq!((suppression.reason, suppression.at), (SuppressionReason::OptedOut, at(1)));
        assert_eq!(suppression.detail, "the contact sent \"Stop\"");
        assert_eq!(stopped.clone().after_message(at(2), None, "").suppression, stopped.suppression);
        assert_eq!(
            stopped.clone().after_message(at(2), Some(OptChange::Stop), "STOP").suppression,
            stopped.suppression
        );
        assert_eq!(stopped.after_message(at(3), Some(OptChange::Start), "START").suppression, None);
    }

    #[test]
    fn a_message_lifts_unreachable_and_blocked_suppressions() {
        use SuppressionReason::{Blocked, Manual, OptedOut, Unreachable};
        for (reason, lifted) in [(Blocked, true), (Unreachable, true), (OptedOut, false), (Manual, false)] {
            let after = suppressed(reason).after_message(at(1), None, "hello");
            assert_eq!(after.suppression.is_none(), lifted, "{reason:?}");
        }
        let by_hand = suppressed(Manual).after_message(at(1), Some(OptChange::Start), "START");
        assert!(by_hand.suppression.is_some(), "a keyword cannot undo what the tenant did");
    }

    #[test]
    fn a_message_that_is_applied_late_undoes_nothing_that_came_after_it() {
        let stopped = ContactState::default().after_message(at(9), Some(OptChange::Stop), "STOP");
        let after = stopped.clone().after_message(at(3), Some(OptChange::Start), "START");
        assert_eq!(after.suppression, stopped.suppression);
        let unreachable = ContactState {
            suppression: suppressed(SuppressionReason::Unreachable).suppression.map(|s| Suppression { at: at(9), ..s }),
            ..ContactState::default()
        };
        assert!(unreachable.after_message(at(3), None, "hello").suppression.is_some());
    }

    #[test]
    fn a_message_that_is_applied_late_does_not_close_the_window() {
        let after = ContactState::default().after_message(at(9), None, "").after_message(at(3), None, "");
        assert_eq!(after.last_inbound_at, Some(at(9)));
    }
}
