//! What the operator needs from one provider account. Each concern is a trait of its own. What a provider does not have
//! is absent: pools of senders, keys that can be minted and revoked, a token that can be replaced, streams of events,
//! and numbers that are registered by calls.

pub mod alerts;
pub mod keys;
pub mod pools;
pub mod registrations;
pub mod senders;
pub mod streams;
pub mod templates;
pub mod tokens;
pub mod webhook_targets;

use async_trait::async_trait;

pub use alerts::{AlertAdmin, AlertObservation};
pub use keys::{KeyAdmin, KeyObservation, MintedKey};
pub use pools::{FoundPool, Joined, PoolAdmin, PoolMember, PoolObservation};
pub use registrations::{BusinessProfile, CodeBy, Labelled, Registered, Registration, RegistrationAdmin, Verified};
pub use senders::{ListedSender, SenderAdmin, SenderObservation, Stage};
pub use streams::{Stream, StreamAdmin, StreamState, Subscription};
pub use templates::{
    FoundContent, Inexpressible, ReviewBegins, TemplateAdmin, TemplateHandle, TemplateObservation, TemplateRevision,
};
pub use tokens::TokenAdmin;
pub use webhook_targets::WebhookTargets;

use super::ProviderError;
use crate::secret::Secret;

/// A whole list, and how many requests it took: one for each page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub requests: u32,
}

/// One account.
#[async_trait]
pub trait AccountAdmin: SenderAdmin + TemplateAdmin {
    /// Makes a harmless call that succeeds only with valid credentials.
    async fn check_credentials(&self) -> Result<(), ProviderError>;

    /// Makes a harmless call that succeeds only if the provider signs the account's webhooks with this key. Makes none
    /// where [`AccountAdmin::check_credentials`] shows that already.
    async fn check_webhook_key(&self, key: &Secret) -> Result<(), ProviderError>;

    /// The account's pools; `None` where the provider has none.
    fn pools(&self) -> Option<&dyn PoolAdmin>;

    /// The account's keys; `None` where the provider cannot mint any.
    fn keys(&self) -> Option<&dyn KeyAdmin>;

    /// What the provider noticed to go wrong; `None` where it does not tell.
    fn alerts(&self) -> Option<&dyn AlertAdmin>;

    /// The account's token; `None` where the provider's cannot be replaced by calls.
    fn tokens(&self) -> Option<&dyn TokenAdmin>;

    /// The account's streams of events; `None` where the provider has none, or they need no setting up.
    fn streams(&self) -> Option<&dyn StreamAdmin>;

    /// The account's registrations of numbers; `None` where calls cannot register any.
    fn registrations(&self) -> Option<&dyn RegistrationAdmin>;
}
