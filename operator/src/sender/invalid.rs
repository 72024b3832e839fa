//! What can be wrong with a sender's spec and the Secrets that it names.

use crds::condition::{CREDENTIALS_VALID, reason};

use crate::reconcile::error::{Advice, Explain};

/// A fault in a sender, or in a Secret that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("{path}: {what}")]
    Spec { path: String, what: String },
    #[error("the secret {secret:?} {what}")]
    Credentials { secret: String, what: String },
    #[error("{path}: the secret {secret:?} {what}")]
    Signing { path: String, secret: String, what: String },
}

impl Explain for Invalid {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Spec { .. } | Self::Signing { .. } => reason::INVALID_SPEC,
            Self::Credentials { .. } => reason::CREDENTIALS_REFUSED,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        match self {
            Self::Credentials { .. } => Some(CREDENTIALS_VALID),
            Self::Spec { .. } | Self::Signing { .. } => None,
        }
    }
}
