//! What a failure of class [`super::FailureClass::Suppress`] says of the recipient.

use jiff::Timestamp;

use super::{Codes, twilio};
use crate::contact::{Suppression, SuppressionReason};

/// [`suppression_in`] Twilio's table, for callers that hold a failure of Twilio's.
pub fn suppression(code: Option<&str>, message: &str, at: Timestamp) -> Suppression {
    suppression_in(&twilio::CODES, code, message, at)
}

/// The suppression that follows from a failure with this code and message of the provider whose table it is. A recipient
/// of whom nothing more is told cannot be reached, which their next message disproves.
pub fn suppression_in(codes: &Codes, code: Option<&str>, message: &str, at: Timestamp) -> Suppression {
    let known = code.and_then(|code| codes.find(code)).and_then(|entry| entry.suppression);
    Suppression {
        reason: known.unwrap_or(SuppressionReason::Unreachable),
        at,
        detail: format!("the provider says: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ErrorCode, FailureClass};
    use super::*;

    fn reason(codes: &Codes, code: Option<&str>) -> SuppressionReason {
        suppression_in(codes, code, "no", Timestamp::UNIX_EPOCH).reason
    }

    #[test]
    fn who_opted_out_is_told_from_who_blocked_and_who_cannot_be_reached() {
        for (code, told) in [
            (Some("21610"), SuppressionReason::OptedOut),
            (Some("30004"), SuppressionReason::Blocked),
            (Some("63014"), SuppressionReason::Blocked),
            (Some("63033"), SuppressionReason::Blocked),
            (Some("63024"), SuppressionReason::Unreachable),
            (Some("20429"), SuppressionReason::Unreachable),
            (Some("no code"), SuppressionReason::Unreachable),
            (None, SuppressionReason::Unreachable),
        ] {
            assert_eq!(reason(&twilio::CODES, code), told, "{code:?}");
        }
    }

    #[test]
    fn each_provider_means_its_own_by_a_code() {
        const OTHER: Codes = Codes(&[ErrorCode {
            code: 63024,
            class: FailureClass::Suppress,
            suppression: Some(SuppressionReason::Blocked),
            title: "blocked",
            advice: "",
        }]);
        assert_eq!(reason(&OTHER, Some("63024")), SuppressionReason::Blocked);
        assert_eq!(reason(&twilio::CODES, Some("63024")), SuppressionReason::Unreachable);
    }
}
