//! Sees what the provider has of a sender's template events. Only reads.

use std::sync::Arc;

use messaging::config::ProviderAccount;
use messaging::provider::admin::StreamAdmin;
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::plan::SeenStream;
use crate::accounts::{Account, Accounts};

/// The account, called with its token. A key would need a permission of its own for streams, and the token is in the
/// Secret anyway, because it signs the events. Of several, the first that the provider accepts: after a promotion it is
/// not the first of all.
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

#[cfg(test)]
mod tests {
    use messaging::config::TwilioAccount;
    use messaging::secret::Secret;

    use super::*;
    use crate::metrics::Metrics;
    use crate::testing::FakeAdmin;

    fn provider(tokens: &[&str]) -> ProviderAccount {
        ProviderAccount::Twilio(TwilioAccount {
            account_sid: "AC1".to_owned(),
            username: "SK1".to_owned(),
            password: Secret::new("of a key"),
            webhook_keys: tokens.iter().map(|&token| Secret::new(token)).collect(),
            messaging_service_sid: None,
            base_url: None,
        })
    }

    fn accounts(admin: &FakeAdmin) -> Accounts {
        let admin = admin.clone();
        Accounts::new(
            Arc::new(move |access| Arc::new(admin.signed_in_as(access)) as _),
            Arc::new(Metrics::new().unwrap()),
        )
    }

    #[tokio::test]
    async fn the_first_token_that_the_provider_accepts_makes_the_calls() {
        let admin = FakeAdmin::default();
        admin.set_token("promoted");
        for tokens in [&["promoted"][..], &["promoted", "before"], &["before", "promoted"]] {
            let accounts = accounts(&admin);
            let (account, streams) = account(&provider(tokens), &accounts, "ours").await.unwrap();
            account.streams().unwrap().create_stream("others", "https://hooks.example.com/").await.unwrap();
            assert_eq!(streams, [], "{tokens:?}");
        }
        let refused = account(&provider(&["before", "other"]), &accounts(&admin), "ours").await.unwrap_err();
        assert!(refused.is_unauthorized(), "{refused}");
    }

    #[tokio::test]
    async fn an_outage_is_no_reason_to_try_another_token() {
        let admin = FakeAdmin::default();
        admin.set_token("promoted");
        admin.fail_operation("list_streams", 1);
        let failed = account(&provider(&["promoted", "before"]), &accounts(&admin), "ours").await.unwrap_err();
        assert_eq!((failed.http_status, admin.calls("list_streams")), (Some(503), 1));
    }
}
