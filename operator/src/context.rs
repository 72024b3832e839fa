//! What every reconcile may use.

use std::sync::Arc;

use crds::condition::reason;
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use messaging::clock::Clock;
use messaging::config::kubernetes::{CONFIG_KEY, secret_name};
use messaging::config::{SenderConfig, TenantConfig};
use messaging::id::{SenderName, TenantId};

use crate::accounts::{Account, Accounts};
use crate::metrics::Metrics;
use crate::publish::{Contributions, DataPlane};
use crate::reconcile::backoff::Attempts;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::reconcile::events::Events;
use crate::reconcile::freshness::Freshness;
use crate::settings::Settings;
use crate::watch::stores::Stores;
use crate::watch::triggers::Trigger;
use tokio::sync::Semaphore;

/// One per time of leading.
pub struct Context {
    pub client: Client,
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub accounts: Accounts,
    pub contributions: Contributions,
    pub data_plane: DataPlane,
    pub attempts: Attempts,
    pub freshness: Freshness,
    pub senders: Stores<WhatsAppSender>,
    pub templates: Stores<MessageTemplate>,
    pub policies: Stores<RoutingPolicy>,
    pub sender_trigger: Trigger<WhatsAppSender>,
    pub template_trigger: Trigger<MessageTemplate>,
    pub policy_trigger: Trigger<RoutingPolicy>,
    /// One for each reconcile that may run at once, over all kinds and namespaces.
    pub permits: Semaphore,
}

/// A sender whose credentials were accepted.
#[derive(Debug, Clone)]
pub struct KnownSender {
    pub config: SenderConfig,
    pub account: Arc<Account>,
}

/// A sender that something refers to can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SenderUnavailable {
    #[error("there is no WhatsAppSender {0:?} in this namespace; create it, or name another one")]
    Missing(SenderName),
    #[error("the WhatsAppSender {0:?} is not ready: its credentials were not accepted yet; see its conditions")]
    NotReady(SenderName),
    #[error("the WhatsAppSender {0:?} is gone, and so are the credentials that were kept of it")]
    Forgotten(SenderName),
}

impl Explain for SenderUnavailable {
    fn advice(&self) -> Advice {
        match self {
            // Its arrival triggers a reconcile.
            Self::Missing(_) | Self::NotReady(_) => Advice::Waiting { after: None },
            Self::Forgotten(_) => Advice::Stalled,
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::Forgotten(_) => reason::REFERENCE_NOT_FOUND,
            Self::NotReady(_) => reason::DEPENDENCY_NOT_READY,
        }
    }
}

impl Context {
    /// A sender that a template or a policy refers to. It is there, is not being deleted, and its credentials were
    /// accepted: now, or, right after a restart, when the published config was compiled.
    pub async fn sender(&self, tenant: &TenantId, name: &SenderName) -> Result<KnownSender, Failure> {
        match self.senders.get(tenant, name.as_str()) {
            Some(sender) if sender.metadata.deletion_timestamp.is_none() => {}
            _ => return Err(SenderUnavailable::Missing(name.clone()).into()),
        }
        self.find_sender(tenant, name).await?.ok_or_else(|| SenderUnavailable::NotReady(name.clone()).into())
    }

    /// A sender for taking something back from its provider: also one that is gone, while its credentials are kept.
    pub async fn sender_for_cleanup(&self, tenant: &TenantId, name: &SenderName) -> Result<KnownSender, Failure> {
        self.find_sender(tenant, name).await?.ok_or_else(|| SenderUnavailable::Forgotten(name.clone()).into())
    }

    /// As contributed by the sender's controller, else as published.
    async fn find_sender(&self, tenant: &TenantId, name: &SenderName) -> Result<Option<KnownSender>, Failure> {
        let config = match self.contributions.sender(tenant, name) {
            Some(config) => Some(config),
            None => self.published(tenant).await?.and_then(|mut published| published.senders.remove(name)),
        };
        Ok(config.map(|config| KnownSender { account: self.accounts.get(&config.provider), config }))
    }

    /// The tenant's config as the data plane has it; `None` when there is none, or none that can be read.
    pub async fn published(&self, tenant: &TenantId) -> Result<Option<TenantConfig>, KubernetesFailure> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.settings.config_namespace);
        let secret = secrets
            .get_opt(&secret_name(tenant))
            .await
            .map_err(KubernetesFailure::new("the published config cannot be read"))?;
        Ok(secret.as_ref().and_then(|secret| read_config(tenant, secret)))
    }

    /// Has everything of the tenant that may depend on its senders looked at again.
    pub fn ask_dependants(&self, tenant: &TenantId) {
        self.templates.of(tenant).iter().for_each(|template| self.template_trigger.ask(template));
        self.policies.of(tenant).iter().for_each(|policy| self.policy_trigger.ask(policy));
    }
}

/// The config in a compiled Secret. One that can't be read is as good as none: it is compiled anew.
pub fn read_config(tenant: &TenantId, secret: &Secret) -> Option<TenantConfig> {
    let bytes = &secret.data.as_ref()?.get(CONFIG_KEY)?.0;
    TenantConfig::from_json(tenant, bytes)
        .inspect_err(
            |error| tracing::warn!(%tenant, %error, "the published config cannot be read; it is compiled anew"),
        )
        .ok()
}
