//! What an error calls for: a person, patience, or another try.
//!
//! Each step has its own error enum, and all of them implement [`Explain`]. The driver turns a [`Failure`] into
//! conditions, an Event and the time of the next look, so no step decides that for itself.

use std::time::Duration;

use messaging::failure::FailureClass;
use messaging::provider::ProviderError;

use crate::reconcile::redact;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// A person must act. Backoff does not apply; the object is still looked at in its usual interval, because the
    /// person may act at the provider.
    Stalled,
    /// A dependency does not exist yet. Its arrival triggers a reconcile; otherwise look again after this time
    /// (absent: in the usual interval).
    Waiting { after: Option<Duration> },
    /// Try again with growing delays, and not before this time.
    Transient { not_before: Option<Duration> },
}

/// An error of one step, and what it means for the object.
pub trait Explain: std::error::Error + Send + Sync + 'static {
    fn advice(&self) -> Advice;
    /// The reason in conditions and Events: one word in PascalCase, out of a bounded set.
    fn reason(&self) -> &'static str;
    /// The condition that becomes `False` besides `Ready`.
    fn condition(&self) -> Option<&'static str> {
        None
    }
}

/// Any step's error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(Box<dyn Explain>);

/// Makes the trait object usable as the source of [`Failure`].
impl std::error::Error for Box<dyn Explain> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        (**self).source()
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    pub fn advice(&self) -> Advice {
        self.0.advice()
    }
    pub fn reason(&self) -> &'static str {
        self.0.reason()
    }
    pub fn condition(&self) -> Option<&'static str> {
        self.0.condition()
    }
    /// The whole chain, without secrets, short enough for an Event.
    pub fn message(&self) -> String {
        redact::chain(&*self.0)
    }
}

/// What a provider's error calls for, where the caller knows nothing better.
pub fn advice_of(error: &ProviderError) -> Advice {
    match error.http_status {
        // A limit, no answer, or a failure at the provider.
        Some(408 | 425 | 429 | 500..) | None => Advice::Transient { not_before: error.retry_after },
        Some(_) if error.failure.class == FailureClass::Retry => Advice::Transient { not_before: error.retry_after },
        // The same request would be refused again.
        Some(_) => Advice::Stalled,
    }
}

/// Whether the provider may have carried out the request, although it answered with an error.
pub fn may_have_been_done(error: &ProviderError) -> bool {
    match error.http_status {
        Some(408 | 500..) => true,
        Some(_) => false,
        None => error.failure.class != FailureClass::Retry,
    }
}

/// What an error of the API server calls for.
pub fn advice_of_kubernetes(error: &kube::Error) -> Advice {
    match error {
        // A person must grant missing rights. Everything else (conflicts, limits, no API server) is transient.
        kube::Error::Api(status) if status.code == 403 => Advice::Stalled,
        _ => Advice::Transient { not_before: None },
    }
}

/// The API server refused, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct KubernetesFailure {
    /// What could not be done: "cannot read the secret twilio".
    pub what: String,
    #[source]
    pub source: kube::Error,
}

impl KubernetesFailure {
    pub fn new(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self { what, source }
    }
}

impl Explain for KubernetesFailure {
    fn advice(&self) -> Advice {
        advice_of_kubernetes(&self.source)
    }
    fn reason(&self) -> &'static str {
        "KubernetesFailed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(http_status: Option<u16>) -> ProviderError {
        ProviderError {
            failure: messaging::failure::Failure::new(FailureClass::Request, "no").with_code("20003"),
            http_status,
            retry_after: Some(Duration::from_secs(7)),
        }
    }

    #[test]
    fn a_refusal_needs_a_person_and_other_errors_are_transient() {
        let again = Advice::Transient { not_before: Some(Duration::from_secs(7)) };
        for (status, advice) in [
            (Some(401), Advice::Stalled),
            (Some(404), Advice::Stalled),
            (Some(400), Advice::Stalled),
            (Some(429), again),
            (Some(503), again),
            (None, again),
        ] {
            assert_eq!(advice_of(&answer(status)), advice, "{status:?}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the provider refused")]
    struct Refused(#[source] ProviderError);
    impl Explain for Refused {
        fn advice(&self) -> Advice {
            advice_of(&self.0)
        }
        fn reason(&self) -> &'static str {
            "Refused"
        }
    }

    #[test]
    fn a_failure_keeps_its_cause() {
        let failure = Failure::from(Refused(answer(Some(401))));
        assert_eq!(failure.message(), "the provider refused: provider error 20003: no");
        assert_eq!((failure.advice(), failure.reason()), (Advice::Stalled, "Refused"));
    }
}
