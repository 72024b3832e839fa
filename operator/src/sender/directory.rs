//! Looks senders up by name for other objects, with the accounts that their credentials open.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::WhatsAppSender;
use crds::condition::{STALLED, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use messaging::config::SenderConfig;
use messaging::id::{SenderName, TenantId};

use crate::accounts::{Account, Accounts};
use crate::publish::Contributions;
use crate::publish::published::PublishedConfigs;
use crate::reconcile::error::{Advice, Explain, KubernetesFailure};
use crate::watch::Objects;

/// A sender whose credentials were accepted.
#[derive(Debug, Clone)]
pub struct AcceptedSender {
    pub config: SenderConfig,
    pub account: Arc<Account>,
}

/// Why a sender that an object refers to can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SenderUnavailable {
    #[error("the WhatsAppSender {0:?} does not exist in this namespace; create it, or name another one")]
    Missing(SenderName),
    #[error("the WhatsAppSender {0:?} is not ready: {1}; see its conditions")]
    NotReady(SenderName, String),
    #[error(transparent)]
    Kubernetes(#[from] KubernetesFailure),
}

impl Explain for SenderUnavailable {
    fn advice(&self) -> Advice {
        match self {
            // Its arrival triggers a reconcile.
            Self::Missing(_) | Self::NotReady(..) => Advice::Waiting { after: None },
            Self::Kubernetes(failure) => failure.advice(),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => reason::REFERENCE_NOT_FOUND,
            Self::NotReady(..) => reason::DEPENDENCY_NOT_READY,
            Self::Kubernetes(failure) => failure.reason(),
        }
    }
}

/// Why a sender is not used yet.
fn why_not(sender: &WhatsAppSender) -> String {
    let conditions = sender.status.iter().flat_map(|status| &status.conditions);
    match conditions.into_iter().find(|condition| condition.type_ == STALLED && condition.status == "True") {
        Some(Condition { reason, .. }) if reason == reason::CONFLICT => {
            "another sender takes precedence over it".to_owned()
        }
        Some(Condition { reason, .. }) => format!("it is stalled ({reason})"),
        None => "its credentials have not been accepted yet".to_owned(),
    }
}

/// Looks senders up.
pub struct SenderDirectory {
    pub senders: Arc<Objects<WhatsAppSender>>,
    pub contributions: Arc<Contributions>,
    pub published: Arc<dyn PublishedConfigs>,
    pub accounts: Arc<Accounts>,
}

impl SenderDirectory {
    /// A sender that a template or a policy refers to. It exists, is not being deleted, and its credentials were
    /// accepted: now, or, right after a restart, when the published config was compiled.
    pub async fn usable(&self, tenant: &TenantId, name: &SenderName) -> Result<AcceptedSender, SenderUnavailable> {
        let sender = self.senders.stores.get(tenant, name.as_str());
        let Some(sender) = sender.filter(|sender| sender.metadata.deletion_timestamp.is_none()) else {
            return Err(SenderUnavailable::Missing(name.clone()));
        };
        self.find(tenant, name).await?.ok_or_else(|| SenderUnavailable::NotReady(name.clone(), why_not(&sender)))
    }

    /// A sender for removing something from its provider: also one that is gone, while its credentials are kept.
    /// `None` when no credentials of it were ever accepted, or none are kept.
    pub async fn find(
        &self,
        tenant: &TenantId,
        name: &SenderName,
    ) -> Result<Option<AcceptedSender>, KubernetesFailure> {
        // What the sender's controller contributed is newer than what is published.
        let config = match self.contributions.sender(tenant, name) {
            Some(config) => Some(config),
            None => self.published.of(tenant).await?.and_then(|published| published.senders.get(name).cloned()),
        };
        Ok(config.map(|config| AcceptedSender { account: self.accounts.get(&config.provider), config }))
    }

    /// Every account of a tenant that its senders have credentials for, also of senders that are gone.
    pub async fn accounts(&self, tenant: &TenantId) -> Result<BTreeMap<String, Arc<Account>>, KubernetesFailure> {
        let published = self.published.of(tenant).await?.map(|config| config.senders.clone()).unwrap_or_default();
        let contributed = self.contributions.senders(tenant);
        // What was contributed is newer than what is published, so it comes last.
        Ok(published
            .into_values()
            .chain(contributed.into_values())
            .map(|sender| (sender.provider.account_key().to_owned(), self.accounts.get(&sender.provider)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::sender::validate::tests::sender as quickstart;

    #[test]
    fn why_a_sender_is_not_used_yet_is_told_in_its_own_words() {
        let stalled = |reason: &str| {
            let mut sender = quickstart();
            let condition = Condition {
                type_: STALLED.to_owned(),
                status: "True".to_owned(),
                reason: reason.to_owned(),
                message: String::new(),
                observed_generation: Some(1),
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
            };
            sender.status = Some(crds::WhatsAppSenderStatus { conditions: vec![condition], ..Default::default() });
            why_not(&sender)
        };
        assert_eq!(why_not(&quickstart()), "its credentials have not been accepted yet");
        assert_eq!(stalled(reason::CONFLICT), "another sender takes precedence over it");
        assert_eq!(stalled(reason::CREDENTIALS_REFUSED), "it is stalled (CredentialsRefused)");
    }
}
