//! Finds senders at the provider, and points their webhooks at the data plane.

use async_trait::async_trait;
use url::Url;

use super::pools::PoolObservation;
use crate::address::PhoneNumber;
use crate::provider::ProviderError;
use crate::provider::webhook::WebhookHome;

/// The senders of one account.
#[async_trait]
pub trait SenderAdmin: Send + Sync {
    /// The sender with this number, as the provider reports it; `None` when the account has no such sender.
    async fn find_sender(&self, number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError>;

    /// Where a sender's webhooks belong, exactly as [`SenderAdmin::configure_webhooks`] takes it and an observation
    /// then reports it.
    fn webhook_targets(&self, home: &WebhookHome<'_>) -> WebhookTargets;

    /// Points a sender's webhooks, or those of the pool that decides for it, at `targets`, which
    /// [`SenderAdmin::webhook_targets`] returned. An absent target stays as it is; an empty one is unset.
    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        pool: Option<&PoolObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError>;
}

/// A sender as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderObservation {
    /// The provider's id of the sender (`XE…` at Twilio).
    pub handle: String,
    pub online: bool,
    /// The state, in the provider's own term.
    pub status: String,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    /// Why it is offline, one sentence each.
    pub offline_reasons: Vec<String>,
    pub webhooks: WebhookTargets,
}

/// Where webhooks go. Compare with [`WebhookTargets::same_as`], because providers normalise URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookTargets {
    pub inbound: Option<String>,
    pub status: Option<String>,
}

impl WebhookTargets {
    /// Whether both are the same once URLs are normalised (case of scheme and host, default port, the trailing slash of
    /// an empty path). The fragment counts: it carries Twilio's connection overrides.
    pub fn same_as(&self, other: &Self) -> bool {
        let normal =
            |url: &Option<String>| url.as_deref().map(|u| Url::parse(u).map_or_else(|_| u.to_owned(), Into::into));
        normal(&self.inbound) == normal(&other.inbound) && normal(&self.status) == normal(&other.status)
    }
}
