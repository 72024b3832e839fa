//! API keys of an account, for rotation.

use async_trait::async_trait;

use crate::provider::ProviderError;
use crate::secret::Secret;

/// The keys of one account. Needs credentials that may manage keys, which most may not.
#[async_trait]
pub trait KeyAdmin: Send + Sync {
    /// Makes a key. The provider shows its secret this once: store it before anything else.
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError>;

    /// Every key of the account, for finding those whose secret was lost on the way.
    async fn list_keys(&self) -> Result<Vec<KeyObservation>, ProviderError>;

    /// A harmless call that only a working key passes.
    async fn verify_key(&self, key: &MintedKey) -> Result<(), ProviderError>;

    /// Revokes a key; success also when there is none. What still uses the key fails from then on.
    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError>;
}

/// A key that was just made.
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
