//! What to do after a failed attempt: try again, wait, stop something, or give up.

use std::time::Duration;

use jiff::Timestamp;

use super::FailureClass;
use crate::clock::after;
use crate::lifecycle::MessageStatus;

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// Calls for one message, including the first.
    pub max_attempts: u32,
    /// The longest pause after the first attempt; it doubles with each.
    pub base: Duration,
    /// The longest pause, whatever `Retry-After` says.
    pub cap: Duration,
    /// How long to wait for evidence of an ambiguous attempt's outcome.
    pub confirm_within: Duration,
    /// How long a sender is stopped for after a failure of its own.
    pub sender_pause: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(5 * 60),
            confirm_within: Duration::from_secs(60 * 60),
            sender_pause: Duration::from_secs(60),
        }
    }
}

/// A failed attempt. A call that never left is [`FailureClass::Retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    pub class: FailureClass,
    /// The attempt's number within its message; the first is 1.
    pub attempt_no: u32,
    /// The value of the provider's `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// What follows for a message whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Back into the queue until then.
    RetryAt(Timestamp),
    /// Nothing may be sent until a callback or the provider's log settles the attempt, or this time comes.
    AwaitConfirmation { until: Timestamp },
    /// The message ends, and its recipient is suppressed.
    Suppress,
    /// The message ends, and the template is not used until it is found approved again.
    StopTemplate,
    /// Nothing leaves through this sender until then; the message waits with it.
    StopSender { until: Timestamp },
    /// The message ends: the provider will not accept it.
    Reject,
    /// The message ends: every safe attempt is used up.
    Fail,
}

impl AfterFailure {
    /// The status that the message takes.
    pub fn status(self) -> MessageStatus {
        match self {
            Self::RetryAt(_) | Self::StopSender { .. } => MessageStatus::Queued,
            Self::AwaitConfirmation { .. } => MessageStatus::Unconfirmed,
            Self::Suppress => MessageStatus::Suppressed,
            Self::StopTemplate | Self::Reject => MessageStatus::Rejected,
            Self::Fail => MessageStatus::Failed,
        }
    }
}

/// Decides what follows an attempt that was refused, never left, or is ambiguous. A failure that a *status* reports ends the
/// message, so only its scope matters: see [`super::stop`].
///
/// `jitter` is random, at least 0 and below 1. Pauses are exponential with full jitter, so that messages that failed
/// together are not retried together. `Retry-After` is the shortest pause, and `limits.cap` the longest.
pub fn next_step(failed: Failed, limits: &RetryLimits, jitter: f64, now: Timestamp) -> AfterFailure {
    let may_try_again = failed.attempt_no < limits.max_attempts;
    match failed.class {
        FailureClass::Ambiguous => AfterFailure::AwaitConfirmation { until: after(now, limits.confirm_within) },
        FailureClass::Retry if may_try_again => AfterFailure::RetryAt(after(now, pause(failed, limits, jitter))),
        FailureClass::Sender if may_try_again => AfterFailure::StopSender { until: after(now, limits.sender_pause) },
        FailureClass::Retry | FailureClass::Sender | FailureClass::RetryLater => AfterFailure::Fail,
        FailureClass::Suppress => AfterFailure::Suppress,
        FailureClass::Template => AfterFailure::StopTemplate,
        FailureClass::Request | FailureClass::Fallback => AfterFailure::Reject,
    }
}

fn pause(failed: Failed, limits: &RetryLimits, jitter: f64) -> Duration {
    let doublings = failed.attempt_no.saturating_sub(1).min(31);
    let ceiling = limits.base.saturating_mul(1 << doublings).min(limits.cap);
    let backoff = ceiling.mul_f64(jitter.clamp(0.0, 1.0));
    // The jitter on top spreads messages that got the same Retry-After.
    failed.retry_after.map_or(backoff, |least| least.saturating_add(backoff)).min(limits.cap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::FailureClass::{Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template};
    use super::*;
    use crate::clock::tests::at;

    const CLASSES: [FailureClass; 8] = [Retry, RetryLater, Ambiguous, Sender, Request, Suppress, Fallback, Template];

    fn limits() -> RetryLimits {
        RetryLimits {
            max_attempts: 4,
            base: Duration::from_secs(2),
            cap: Duration::from_secs(10),
            confirm_within: Duration::from_secs(600),
            sender_pause: Duration::from_secs(60),
        }
    }

    fn step(class: FailureClass, attempt_no: u32, retry_after: Option<u64>, jitter: f64) -> AfterFailure {
        let retry_after = retry_after.map(Duration::from_secs);
        next_step(Failed { class, attempt_no, retry_after }, &limits(), jitter, at(0))
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread_by_the_jitter() {
        assert_eq!(step(Retry, 1, None, 0.5), AfterFailure::RetryAt(at(1)));
        assert_eq!(step(Retry, 2, None, 0.5), AfterFailure::RetryAt(at(2)));
        assert_eq!(step(Retry, 3, None, 0.5), AfterFailure::RetryAt(at(4)));
        assert_eq!(step(Retry, 3, None, 0.0), AfterFailure::RetryAt(at(0)));
        assert_eq!(step(Retry, 4, None, 0.5), AfterFailure::Fail);
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap() {
        assert_eq!(step(Retry, 1, Some(5), 0.0), AfterFailure::RetryAt(at(5)));
        assert_eq!(step(Retry, 1, Some(5), 0.5), AfterFailure::RetryAt(at(6)));
        assert_eq!(step(Retry, 1, Some(86_400), 0.5), AfterFailure::RetryAt(at(10)));
    }

    #[test]
    fn each_class_has_its_own_end() {
        assert_eq!(step(Ambiguous, 9, None, 0.5), AfterFailure::AwaitConfirmation { until: at(600) });
        assert_eq!(step(Sender, 1, None, 0.5), AfterFailure::StopSender { until: at(60) });
        assert_eq!(step(Sender, 4, None, 0.5), AfterFailure::Fail);
        assert_eq!(step(RetryLater, 1, None, 0.5), AfterFailure::Fail);
        assert_eq!(step(Suppress, 1, None, 0.5), AfterFailure::Suppress);
        assert_eq!(step(Template, 1, None, 0.5), AfterFailure::StopTemplate);
        assert_eq!(step(Request, 1, None, 0.5), AfterFailure::Reject);
        assert_eq!(step(Fallback, 1, None, 0.5), AfterFailure::Reject);
    }

    proptest! {
        #[test]
        fn only_what_was_certainly_not_sent_goes_back_into_the_queue(
            class in proptest::sample::select(&CLASSES[..]),
            attempt_no in 0u32..,
            retry_after in proptest::option::of(0u64..),
            jitter in 0.0f64..1.0,
        ) {
            let then = step(class, attempt_no, retry_after, jitter);
            prop_assert_eq!(then.status() == MessageStatus::Queued, matches!(class, Retry | Sender) && attempt_no < 4);
            prop_assert_eq!(then.status() == MessageStatus::Unconfirmed, class == Ambiguous);
            if let AfterFailure::RetryAt(due) = then {
                prop_assert!(at(0) <= due && due <= at(10));
            }
        }
    }
}
