//! API keys of an account, for rotation.

use async_trait::async_trait;

use super::Listed;
use crate::provider::ProviderError;
use crate::secret::Secret;

/// The keys of one account. Needs credentials that may manage keys, which most credentials may not.
#[async_trait]
pub trait KeyAdmin: Send + Sync {
    /// Creates a key for everything that the data plane and the operator do, and for nothing else where the provider
    /// can restrict it: it may not manage keys. The provider shows the secret only this once: store it before anything
    /// else.
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError>;

    /// Every key of the account, for finding keys whose secret was lost.
    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError>;

    /// Makes a harmless call that succeeds only with a working key.
    async fn verify_key(&self, key: &MintedKey) -> Result<(), ProviderError>;

    /// Revokes a key; succeeds even if there is none. Whatever still uses the key fails from then on.
    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError>;
}

/// A key that was just created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedKey {
    pub id: String,
    pub secret: Secret,
}

/// A key as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyObservation {
    pub id: String,
    pub name: String,
}
