//! Pools of senders that the provider picks from, such as Twilio's Messaging Services.

use async_trait::async_trait;

use super::webhook_targets::WebhookTargets;
use crate::id::PoolId;
use crate::provider::ProviderError;

/// The pools of one account.
#[async_trait]
pub trait PoolAdmin: Send + Sync {
    /// The pool with its senders; `None` when the account has no such pool.
    async fn find_pool(&self, id: &PoolId) -> Result<Option<PoolObservation>, ProviderError>;
}

/// A pool as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolObservation {
    pub id: PoolId,
    /// Handles of the senders in the pool.
    pub senders: Vec<String>,
    /// Inbound messages go to each sender's own webhook, not to the pool's.
    pub defers_to_sender: bool,
    pub webhooks: WebhookTargets,
}

impl PoolObservation {
    /// Whether the pool, rather than the sender with this handle, decides where inbound messages to it go.
    pub fn decides_webhooks_of(&self, sender: &str) -> bool {
        !self.defers_to_sender && self.senders.iter().any(|handle| handle == sender)
    }
}
