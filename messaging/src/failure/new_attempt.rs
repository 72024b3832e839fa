//! When a message that its provider reports as not delivered gets a new attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::{AfterFailure, Failed, Failure, FailureClass, RetryLimits, next_step};
use crate::config::Validity;
use crate::lifecycle::MessageStatus;

/// The shortest pause: what the provider refused a moment ago it refuses again.
const LEAST: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How a sender's messages get new attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewAttempts {
    /// The sender's defaults.
    pub validity: Validity,
    /// Random, at least 0 and below 1.
    pub jitter: f64,
}

impl NewAttempts {
    /// When a message gets a new attempt after a report on its newest one, of `attempts`; `None` when the report does
    /// not say that another may be delivered, or the message's validity is over before.
    pub fn after_report(
        &self,
        status: MessageStatus,
        failure: Option<&Failure>,
        attempts: u32,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let class = failure.map(|failure| failure.class);
        if status != MessageStatus::Failed || class != Some(FailureClass::RetryLater) {
            return None;
        }
        let failed =
            Failed { class: FailureClass::RetryLater, attempt_no: attempts, retry_after: Some(LEAST), expires_at };
        let limits = RetryLimits { base: LEAST, cap: LONGEST, ..RetryLimits::default() };
        match next_step(failed, &limits, self.jitter, now) {
            AfterFailure::RetryAt(at) => Some(at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::at;

    fn when(status: MessageStatus, class: FailureClass, attempts: u32, expires_at: i64) -> Option<Timestamp> {
        let failure = Failure::new(class, "rate limit exceeded");
        let new_attempts = NewAttempts { validity: Validity::default(), jitter: 0.5 };
        new_attempts.after_report(status, Some(&failure), attempts, at(expires_at), at(0))
    }

    #[test]
    fn a_message_gets_a_new_attempt_while_it_is_valid_after_a_growing_pause() {
        let when = |attempts, expires_at| when(MessageStatus::Failed, FailureClass::RetryLater, attempts, expires_at);
        assert_eq!(when(1, 86_400), Some(at(60 + 30)));
        assert_eq!(when(2, 86_400), Some(at(60 + 60)));
        assert_eq!(when(30, 86_400), Some(at(60 + 1800)));
        assert_eq!(when(1, 60), None, "its validity ends before");
    }

    #[test]
    fn what_would_fail_again_or_has_not_failed_gets_none() {
        for class in [FailureClass::Request, FailureClass::Fallback, FailureClass::Template, FailureClass::Suppress] {
            assert_eq!(when(MessageStatus::Failed, class, 1, 86_400), None, "{class:?}");
        }
        assert_eq!(when(MessageStatus::Sent, FailureClass::RetryLater, 1, 86_400), None);
    }
}
