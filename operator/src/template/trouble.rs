//! A provider's error, with the request that failed.

use crds::condition::reason;
use messaging::provider::ProviderError;

use crate::reconcile::error::{Advice, Explain, advice_of};

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct ProviderTrouble {
    /// What could not be done: "en_US can't be created at AC…".
    pub(super) what: String,
    pub(super) source: ProviderError,
}

impl ProviderTrouble {
    /// Whether the account refuses the credentials.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.source.is_unauthorized()
    }
}

impl Explain for ProviderTrouble {
    fn advice(&self) -> Advice {
        advice_of(&self.source)
    }
    fn reason(&self) -> &'static str {
        match self.advice() {
            _ if self.is_unauthorized() => reason::CREDENTIALS_REFUSED,
            Advice::Stalled => reason::PROVIDER_REFUSED,
            Advice::Waiting { .. } | Advice::Transient { .. } => reason::PROVIDER_UNAVAILABLE,
        }
    }
}
