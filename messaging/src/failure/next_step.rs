//! What to do after a failed attempt: try again while the message is valid, wait, stop something, or end it.

use std::time::Duration;

use jiff::Timestamp;

use super::FailureClass;
use super::rest::LONGEST_OF_TEMPLATE;
use crate::clock::after;
use crate::lifecycle::MessageStatus;

/// How to space attempts. How long they go on is the message's own validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
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
    /// When the message's validity ends.
    pub expires_at: Timestamp,
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
    /// The message ends, and the template is not used until then, or until the config shows it approved again.
    StopTemplate { until: Timestamp },
    /// Nothing leaves through this sender until then; the message waits with it.
    StopSender { until: Timestamp },
    /// The message ends: the provider will not accept it.
    Reject,
    /// The message ends: its validity is over before it may be tried again.
    Expire,
}

impl AfterFailure {
    /// The status that the message takes.
    pub fn status(self) -> MessageStatus {
        match self {
            Self::RetryAt(_) | Self::StopSender { .. } => MessageStatus::Queued,
            Self::AwaitConfirmation { .. } => MessageStatus::Unconfirmed,
            Self::Suppress => MessageStatus::Suppressed,
            Self::StopTemplate { .. } | Self::Reject => MessageStatus::Rejected,
            Self::Expire => MessageStatus::Expired,
        }
    }
}

/// Decides what follows an attempt that was refused, never left, or is ambiguous. A failure that a *status* reports
/// ends the message, so only its scope matters: see [`super::stop`].
///
/// What was surely not sent is tried until its validity ends, so an outage of the provider or of the network costs time
/// and no messages. `jitter` is random, at least 0 and below 1. Pauses are exponential with full jitter, so that
/// messages that failed together are not retried together. `Retry-After` is the shortest pause, and `limits.cap` the
/// longest; a pause of our own never leads beyond the validity, except in its last moments.
pub fn next_step(failed: Failed, limits: &RetryLimits, jitter: f64, now: Timestamp) -> AfterFailure {
    match failed.class {
        FailureClass::Ambiguous => AfterFailure::AwaitConfirmation { until: after(now, limits.confirm_within) },
        FailureClass::Retry | FailureClass::RetryLater => {
            let at = after(now, pause(failed, limits, jitter, now));
            if at < failed.expires_at { AfterFailure::RetryAt(at) } else { AfterFailure::Expire }
        }
        FailureClass::Sender => {
            let until = after(now, limits.sender_pause);
            if until < failed.expires_at { AfterFailure::StopSender { until } } else { AfterFailure::Expire }
        }
        FailureClass::Suppress => AfterFailure::Suppress,
        FailureClass::Template => AfterFailure::StopTemplate { until: after(now, LONGEST_OF_TEMPLATE) },
        FailureClass::Request | FailureClass::Fallback => AfterFailure::Reject,
    }
}

fn pause(failed: Failed, limits: &RetryLimits, jitter: f64, now: Timestamp) -> Duration {
    let doublings = failed.attempt_no.saturating_sub(1).min(31);
    let remains = failed.expires_at.duration_since(now).try_into().unwrap_or(Duration::ZERO);
    // The base is the least: otherwise attempts would become ever more frequent towards the end.
    let ceiling = limits.base.saturating_mul(1 << doublings).min(limits.cap).min(remains).max(limits.base);
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
            base: Duration::from_secs(2),
            cap: Duration::from_secs(10),
            confirm_within: Duration::from_secs(600),
            sender_pause: Duration::from_secs(60),
        }
    }

    fn step(class: FailureClass, attempt_no: u32, retry_after: Option<u64>, jitter: f64) -> AfterFailure {
        within(86_400, class, attempt_no, retry_after, jitter)
    }

    /// The step of a message that is valid for so many seconds more.
    fn within(valid: i64, class: FailureClass, attempt_no: u32, retry_after: Option<u64>, jitter: f64) -> AfterFailure {
        let retry_after = retry_after.map(Duration::from_secs);
        next_step(Failed { class, attempt_no, retry_after, expires_at: at(valid) }, &limits(), jitter, at(0))
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread_by_the_jitter() {
        assert_eq!(step(Retry, 1, None, 0.5), AfterFailure::RetryAt(at(1)));
        assert_eq!(step(Retry, 2, None, 0.5), AfterFailure::RetryAt(at(2)));
        assert_eq!(step(Retry, 3, None, 0.5), AfterFailure::RetryAt(at(4)));
        assert_eq!(step(Retry, 3, None, 0.0), AfterFailure::RetryAt(at(0)));
        assert_eq!(step(Retry, 4000, None, 0.5), AfterFailure::RetryAt(at(5)));
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap() {
        assert_eq!(step(Retry, 1, Some(5), 0.0), AfterFailure::RetryAt(at(5)));
        assert_eq!(step(Retry, 1, Some(5), 0.5), AfterFailure::RetryAt(at(6)));
        assert_eq!(step(Retry, 1, Some(86_400), 0.5), AfterFailure::RetryAt(at(10)));
    }

    #[test]
    fn what_was_not_sent_is_tried_until_its_validity_ends_however_often_it_was_tried() {
        for class in [Retry, RetryLater, Sender] {
            assert_eq!(within(61, class, 1_000_000, None, 0.5).status(), MessageStatus::Queued, "{class:?}");
            assert_eq!(within(0, class, 1, None, 0.5), AfterFailure::Expire, "{class:?}");
        }
        assert_eq!(within(60, Sender, 1, None, 0.5), AfterFailure::Expire, "its sender rests for longer");
        assert_eq!(within(5, Retry, 1, Some(5), 0.0), AfterFailure::Expire, "the provider asks for a longer pause");
    }

    #[test]
    fn a_pause_does_not_pass_over_the_rest_of_the_validity() {
        assert_eq!(within(4, Retry, 9, None, 0.99), AfterFailure::RetryAt(at(0) + Duration::from_millis(3960)));
        assert_eq!(within(2, Retry, 9, None, 0.5), AfterFailure::RetryAt(at(1)));
        assert_eq!(
            within(1, Retry, 9, None, 0.75),
            AfterFailure::Expire,
            "the last moments are not filled with attempts"
        );
    }

    #[test]
    fn each_class_has_its_own_end() {
        assert_eq!(step(Ambiguous, 9, None, 0.5), AfterFailure::AwaitConfirmation { until: at(600) });
        assert_eq!(step(Sender, 1, None, 0.5), AfterFailure::StopSender { until: at(60) });
        assert_eq!(step(RetryLater, 1, None, 0.5), AfterFailure::RetryAt(at(1)));
        assert_eq!(step(Suppress, 1, None, 0.5), AfterFailure::Suppress);
        assert_eq!(step(Template, 1, None, 0.5), AfterFailure::StopTemplate { until: at(3600) });
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
            prop_assert_eq!(then.status() == MessageStatus::Queued, matches!(class, Retry | RetryLater | Sender));
            prop_assert_eq!(then.status() == MessageStatus::Unconfirmed, class == Ambiguous);
            if let AfterFailure::RetryAt(due) = then {
                prop_assert!(at(0) <= due && due <= at(10));
            }
        }
    }
}
