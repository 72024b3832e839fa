//! Finds senders at the provider, and points their webhooks at the data plane.

use async_trait::async_trait;

use super::Listed;
use super::pools::PoolObservation;
use super::webhook_targets::WebhookTargets;
use crate::address::PhoneNumber;
use crate::provider::ProviderError;
use crate::provider::webhook::WebhookHome;

/// The senders of one account.
#[async_trait]
pub trait SenderAdmin: Send + Sync {
    /// Every sender of the account.
    async fn list_senders(&self) -> Result<Listed<ListedSender>, ProviderError>;

    /// The sender with this number, in a list of its own; `None` when the account has no such sender.
    async fn find_sender(&self, number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError> {
        find(&self.list_senders().await?.rows, number)
    }

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

/// A sender in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSender {
    pub number: PhoneNumber,
    /// A sender that cannot be read is not a missing one.
    pub seen: Result<SenderObservation, ProviderError>,
}

/// The sender with this number; `None` when the list has no such sender.
///
/// # Errors
/// When the list has it, and it could not be read.
#[expect(clippy::result_large_err, reason = "the error of every call to a provider")]
pub fn find(senders: &[ListedSender], number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError> {
    match senders.iter().find(|sender| sender.number == *number) {
        Some(sender) => sender.seen.clone().map(Some),
        None => Ok(None),
    }
}

/// Where a sender is on its way from its registration to being usable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is under way: it is online, or offline for other reasons.
    #[default]
    Settled,
    /// The provider or WhatsApp work on it.
    UnderWay,
    /// WhatsApp sent a code to the number, and waits for it.
    AwaitsCode,
}

/// A sender as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderObservation {
    /// The provider's id of the sender (`XE…` at Twilio).
    pub handle: String,
    pub online: bool,
    /// The state, in the provider's own term.
    pub status: String,
    pub stage: Stage,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    /// Why it is offline, one sentence each.
    pub offline_reasons: Vec<String>,
    pub webhooks: WebhookTargets,
}
