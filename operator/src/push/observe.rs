//! Sees what the provider has of a sender's template events. Only reads.

use std::sync::Arc;

use messaging::config::ProviderAccount;
use messaging::provider::admin::StreamAdmin;
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::plan::SeenStream;
use crate::accounts::{Account, Accounts};

/// The account, called with its token. A key would need a permission of its own for streams, and the token is in the
/// Secret anyway, because it signs the events. Of several, the first that the provider accepts: after a promotion it is not
/// the first of all.
pub async fn account(
    provider: &ProviderAccount,
    accounts: &Accounts,
    name: &str,
) -> Result<(Arc<Account>, Vec<SeenStream>), ProviderError> {
    let tokens = provider.webhook_keys();
    let mut refused = None;
    let with_tokens = tokens.iter().map(|token| provider.called_with_token(token));
    for access in with_tokens.chain(tokens.is_empty().then(|| provider.clone())) {
        let account = accounts.get(&access);
        match streams(&account, name).await {
            Ok(streams) => return Ok((account, streams)),
            Err(error) if error.http_status == Some(401) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    // There was at least one token, or the account itself.
    Err(refused.unwrap_or_else(|| unreachable!("an account was asked")))
}

/// The streams of exactly this name, with their subscriptions.
async fn streams(account: &Account, name: &str) -> Result<Vec<SeenStream>, ProviderError> {
    let mut seen = Vec::new();
    if account.streams().is_none() {
        return Ok(seen);
    }
    for stream in account.list_streams().await?.rows.into_iter().filter(|stream| stream.name == name) {
        let subscriptions = account.list_subscriptions(&stream.id).await?.rows;
        seen.push(SeenStream { stream, subscriptions });
    }
    Ok(seen)
}
