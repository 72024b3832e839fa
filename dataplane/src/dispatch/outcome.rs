//! What follows from the outcome of an attempt: one table from the provider's answer to what is written and stopped.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;
use messaging::contact::Suppression;
use messaging::failure::{AfterFailure, Failed, FailureClass, RetryLimits, Stop, next_step, stop};
use messaging::provider::SendOutcome;
use messaging::refusal::RefusalCode;

use crate::metrics::AttemptOutcome;
use crate::rules::validity;
use crate::store::message::Reason;
use crate::store::queue::AttemptResult;

/// An attempt that ended, with what is known of its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempted<'a> {
    pub(super) outcome: &'a SendOutcome,
    /// The first is 1.
    pub(super) attempt_no: u32,
    pub(super) expires_at: Timestamp,
    /// Random, at least 0 and below 1.
    pub(super) jitter: f64,
    pub(super) now: Timestamp,
}

/// What to write, and what to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) result: AttemptResult,
    pub(super) suppress: Option<Suppression>,
    pub(super) stop: Option<Stop>,
    pub(super) counted: AttemptOutcome,
}

/// When the provider is first asked about a message that no callback has reported on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskAfter {
    pub(super) accepted: Duration,
    pub(super) unconfirmed: Duration,
}

pub(super) fn resolve(attempted: Attempted<'_>, limits: &RetryLimits, ask_after: AskAfter) -> Resolution {
    let (class, error, reason) = match attempted.outcome {
        SendOutcome::Accepted { provider_message_id, status } => {
            return Resolution {
                result: AttemptResult::Accepted {
                    provider_message_id: provider_message_id.clone(),
                    status: *status,
                    ask_at: after(attempted.now, ask_after.accepted),
                },
                suppress: None,
                stop: None,
                counted: AttemptOutcome::Accepted,
            };
        }
        SendOutcome::Refused(error) => (error.failure.class, Some(error), Reason::from(&error.failure)),
        SendOutcome::NotSent { reason } => {
            (FailureClass::Retry, None, Reason::new(None, format!("the request was not sent: {reason}")))
        }
        SendOutcome::Ambiguous { reason } => (
            FailureClass::Ambiguous,
            None,
            Reason::new(None, format!("it is not known whether the provider accepted it: {reason}")),
        ),
    };
    let failed = Failed {
        class,
        attempt_no: attempted.attempt_no,
        retry_after: error.and_then(|error| error.retry_after),
        expires_at: attempted.expires_at,
    };
    let step = next_step(failed, limits, attempted.jitter, attempted.now);
    let end = |status, reason| AttemptResult::Ended { status, reason };
    let (result, suppress, stop, counted) = match step {
        AfterFailure::RetryAt(at) => {
            let stop = error.and_then(|error| stop(error.failure.scope(), limits.sender_pause, attempted.now));
            (AttemptResult::Retry { at, reason }, None, stop, AttemptOutcome::Retry)
        }
        AfterFailure::AwaitConfirmation { until } => {
            let ask_at = after(attempted.now, ask_after.unconfirmed).min(until);
            (AttemptResult::Unconfirmed { reason, ask_at }, None, None, AttemptOutcome::Unconfirmed)
        }
        AfterFailure::Suppress => {
            let suppression = error.and_then(|error| error.failure.suppression(attempted.now));
            (end(step.status(), reason), suppression, None, AttemptOutcome::Suppressed)
        }
        AfterFailure::StopTemplate { until } => {
            let stop = Stop::Template { until };
            (end(step.status(), reason), None, Some(stop), AttemptOutcome::Rejected)
        }
        AfterFailure::StopSender { until } => {
            let result = AttemptResult::Retry { at: until, reason };
            (result, None, Some(Stop::Sender { until }), AttemptOutcome::SenderStopped)
        }
        AfterFailure::Reject => (end(step.status(), reason), None, None, AttemptOutcome::Rejected),
        AfterFailure::Expire => {
            // A sender that cannot send stays stopped when the validity of one of its messages ends.
            let until = after(attempted.now, limits.sender_pause);
            let stop = (class == FailureClass::Sender).then_some(Stop::Sender { until });
            let text = format!("validFor: its validity ends at {}, before it may be tried again", attempted.expires_at);
            let late = validity::expired(Reason::new(Some(RefusalCode::Expired.as_str()), text), Some(&reason));
            (end(step.status(), late), None, stop, AttemptOutcome::Expired)
        }
    };
    Resolution { result, suppress, stop, counted }
}

#[cfg(test)]
mod tests {
    use messaging::failure::Failure;
    use messaging::lifecycle::MessageStatus;
    use messaging::provider::ProviderError;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    const ASK_AFTER: AskAfter = AskAfter { accepted: Duration::from_secs(600), unconfirmed: Duration::from_secs(60) };

    fn of(outcome: &SendOutcome, attempt_no: u32, expires_at: Option<Timestamp>) -> Resolution {
        let expires_at = expires_at.unwrap_or(at(86_400));
        let attempted = Attempted { outcome, attempt_no, expires_at, jitter: 0.5, now: at(0) };
        resolve(attempted, &RetryLimits::default(), ASK_AFTER)
    }

    fn refused(class: FailureClass) -> SendOutcome {
        SendOutcome::Refused(ProviderError {
            failure: Failure::new(class, "invalid recipient").with_code("63024"),
            http_status: Some(400),
            retry_after: None,
        })
    }

    #[test]
    fn only_what_was_certainly_not_sent_is_ever_tried_again() {
        use FailureClass::{Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template};
        let not_sent = SendOutcome::NotSent { reason: "connection refused".into() };
        assert!(matches!(of(&not_sent, 1, None).result, AttemptResult::Retry { .. }));
        for class in [Retry, RetryLater, Sender] {
            assert!(matches!(of(&refused(class), 1, None).result, AttemptResult::Retry { .. }), "{class:?}");
        }
        let lost = SendOutcome::Ambiguous { reason: "timed out".into() };
        for unclear in [&lost, &refused(Ambiguous)] {
            let AttemptResult::Unconfirmed { ask_at, .. } = of(unclear, 1, None).result else { panic!("{unclear:?}") };
            assert_eq!(ask_at, at(60));
        }
        for (class, status) in [
            (Suppress, MessageStatus::Suppressed),
            (Request, MessageStatus::Rejected),
            (Fallback, MessageStatus::Rejected),
            (Template, MessageStatus::Rejected),
        ] {
            let AttemptResult::Ended { status: ended, reason } = of(&refused(class), 1, None).result else {
                panic!("{class:?}")
            };
            assert_eq!((ended, reason.code.as_deref()), (status, Some("63024")), "{class:?}");
        }
    }

    #[test]
    fn a_retry_that_would_come_after_the_validity_ends_the_message() {
        let result = of(&refused(FailureClass::Sender), 1, Some(at(10))).result;
        let AttemptResult::Ended { status, reason } = result else { panic!("{result:?}") };
        assert_eq!(status, MessageStatus::Expired);
        assert_eq!(reason.code.as_deref(), Some("expired"));
        assert!(reason.text.ends_with("the last attempt failed: 63024: invalid recipient"), "{}", reason.text);
    }

    #[test]
    fn a_failure_stops_what_it_affects_and_nothing_else() {
        assert_eq!(of(&refused(FailureClass::Sender), 1, None).stop, Some(Stop::Sender { until: at(60) }));
        assert_eq!(of(&refused(FailureClass::Sender), 8, Some(at(1))).stop, Some(Stop::Sender { until: at(60) }));
        assert_eq!(of(&refused(FailureClass::Template), 1, None).stop, Some(Stop::Template { until: at(3600) }));
        let suppressed = of(&refused(FailureClass::Suppress), 1, None);
        assert_eq!((suppressed.stop, suppressed.suppress.is_some()), (None, true));
        assert_eq!(of(&refused(FailureClass::Request), 1, None).stop, None);
    }
}
