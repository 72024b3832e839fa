//! The tokens and the keys of the account in memory, and what a caller may do with them.

use async_trait::async_trait;
use messaging::config::ProviderAccount;
use messaging::provider::ProviderError;
use messaging::provider::admin::{KeyAdmin, KeyObservation, Listed, MintedKey, TokenAdmin};
use messaging::secret::Secret;

use super::{FakeAdmin, State, provider_error};

/// The tokens of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) primary: Secret,
    pub(crate) secondary: Option<Secret>,
}

impl FakeAdmin {
    /// From now on, credentials count.
    pub(crate) fn set_token(&self, token: &str) {
        self.state().tokens = Some(Tokens { primary: Secret::new(token), secondary: None });
    }

    pub(crate) fn tokens(&self) -> Tokens {
        self.state().tokens.clone().expect("the account has a token")
    }

    /// The keys that exist, by id.
    pub(crate) fn key_ids(&self) -> Vec<String> {
        self.state().keys.iter().map(|(key, _)| key.id.clone()).collect()
    }

    pub(crate) fn secret_of(&self, id: &str) -> Secret {
        let state = self.state();
        state.keys.iter().find(|(key, _)| key.id == id).map(|(_, secret)| secret.clone()).expect("the key exists")
    }

    /// Somebody else revokes a key.
    pub(crate) fn remove_key(&self, id: &str) {
        self.state().keys.retain(|(key, _)| key.id != id);
    }

    /// Whether the account lets somebody call with these credentials.
    pub(crate) fn accepts(&self, access: &ProviderAccount) -> bool {
        let client = self.signed_in_as(access);
        let state = client.state();
        client.may_call(&state, "check_credentials")
    }

    pub(super) fn may_call(&self, state: &State, operation: &str) -> bool {
        let (Some(Tokens { primary, secondary }), Some((user, password))) = (&state.tokens, &self.caller) else {
            return true;
        };
        if !user.starts_with("SK") {
            return password == primary || Some(password) == secondary.as_ref();
        }
        let manages = ["mint_key", "list_keys", "revoke_key", "create_token", "discard_token", "promote_token"];
        !manages.contains(&operation) && state.keys.iter().any(|(key, secret)| key.id == *user && secret == password)
    }
}

#[async_trait]
impl TokenAdmin for FakeAdmin {
    async fn create_next_token(&self) -> Result<Secret, ProviderError> {
        let token = {
            let mut state = self.begin("create_token")?;
            state.made += 1;
            let token = Secret::new(format!("token{}", state.made));
            if let Some(tokens) = &mut state.tokens {
                if tokens.secondary.is_some() {
                    return Err(provider_error(Some(400), None));
                }
                tokens.secondary = Some(token.clone());
            }
            token
        };
        self.end("create_token", token).await
    }

    async fn discard_next_token(&self) -> Result<(), ProviderError> {
        self.begin("discard_token")?.tokens.as_mut().map(|tokens| tokens.secondary.take());
        self.end("discard_token", ()).await
    }

    async fn promote_next_token(&self) -> Result<Secret, ProviderError> {
        let promoted = {
            let mut state = self.begin("promote_token")?;
            let tokens = state.tokens.as_mut().expect("the account has a token");
            match tokens.secondary.take() {
                Some(secondary) => tokens.primary = secondary,
                None => return Err(provider_error(Some(400), None)),
            }
            tokens.primary.clone()
        };
        self.end("promote_token", promoted).await
    }
}

#[async_trait]
impl KeyAdmin for FakeAdmin {
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError> {
        let minted = {
            let mut state = self.begin("mint_key")?;
            state.made += 1;
            let (id, secret) = (format!("SK{}", state.made), Secret::new(format!("secret{}", state.made)));
            state.keys.push((KeyObservation { id: id.clone(), name: name.to_owned() }, secret.clone()));
            MintedKey { id, secret }
        };
        self.end("mint_key", minted).await
    }

    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError> {
        let state = self.begin("list_keys")?;
        Ok(state.listed(state.keys.iter().map(|(key, _)| key.clone()).collect()))
    }

    async fn verify_key(&self, MintedKey { id, secret }: &MintedKey) -> Result<(), ProviderError> {
        let mut client = self.clone();
        client.caller = Some((id.clone(), secret.clone()));
        client.begin("verify_key").map(drop)
    }

    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError> {
        self.begin("revoke_key")?.keys.retain(|(key, _)| key.id != id);
        self.end("revoke_key", ()).await
    }
}
