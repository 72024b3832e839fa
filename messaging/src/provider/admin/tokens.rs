//! The token of an account, which calls and signs webhooks, for rotation.

use async_trait::async_trait;

use crate::provider::ProviderError;
use crate::secret::Secret;

/// The token of one account. Needs that token: a key may not replace it.
#[async_trait]
pub trait TokenAdmin: Send + Sync {
    /// Creates the token that will replace the current one. Both make calls from then on, and webhooks stay signed with
    /// the current one. The provider shows the token only this once: store it before anything else.
    async fn create_next_token(&self) -> Result<Secret, ProviderError>;

    /// Removes a next token that was not promoted; succeeds even if there is none.
    async fn discard_next_token(&self) -> Result<(), ProviderError>;

    /// Makes the next token the current one, and returns it. The one before stops working at that moment, in calls and
    /// as the key of webhooks.
    async fn promote_next_token(&self) -> Result<Secret, ProviderError>;
}
