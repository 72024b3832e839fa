//! What a failure of class [`super::FailureClass::Suppress`] says of the recipient.

use jiff::Timestamp;

use crate::contact::{Suppression, SuppressionReason};

/// The suppression that follows from a provider's failure with this code (Twilio's) and message. A recipient of whom
/// nothing more is told cannot be reached, which their next message disproves.
pub fn suppression(code: Option<&str>, message: &str, at: Timestamp) -> Suppression {
    let reason = match code {
        // Opted out at the provider: only a start keyword takes it back.
        Some("21610") => SuppressionReason::OptedOut,
        // Blocked by the user, in the words of SMS and of WhatsApp.
        Some("30004" | "63014" | "63033") => SuppressionReason::Blocked,
        _ => SuppressionReason::Unreachable,
    };
    Suppression { reason, at, detail: format!("the provider says: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opted_out_is_told_from_who_blocked_and_who_cannot_be_reached() {
        let of = |code| suppression(code, "no", Timestamp::UNIX_EPOCH).reason;
        assert_eq!(of(Some("21610")), SuppressionReason::OptedOut);
        assert_eq!(of(Some("63014")), SuppressionReason::Blocked);
        assert_eq!(of(Some("63024")), SuppressionReason::Unreachable);
        assert_eq!(of(None), SuppressionReason::Unreachable);
    }
}
