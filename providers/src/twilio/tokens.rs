//! The account's auth token. Only the token itself may replace it. The secondary token makes calls as soon as it
//! exists, and webhooks are signed with the primary one until the promotion. (Twilio docs, AuthTokens; error 57012.)

use messaging::provider::ProviderError;
use messaging::secret::Secret;
use serde_json::Value;

use super::client::Client;
use super::hosts::Host;

const SECONDARY: &str = "/v1/AuthTokens/Secondary";

/// Only this answer ever holds the token.
pub(crate) async fn create_secondary(client: &Client) -> Result<Secret, ProviderError> {
    let created = client.post_form(Host::Accounts, SECONDARY, &[]).await?;
    token(&created, "secondary_auth_token").ok_or_else(|| client.unreadable_write("it has no token"))
}

pub(crate) async fn delete_secondary(client: &Client) -> Result<(), ProviderError> {
    client.delete(Host::Accounts, SECONDARY).await
}

pub(crate) async fn promote(client: &Client) -> Result<Secret, ProviderError> {
    let promoted = client.post_form(Host::Accounts, "/v1/AuthTokens/Promote", &[]).await?;
    token(&promoted, "auth_token").ok_or_else(|| client.unreadable_write("it has no token"))
}

fn token(answer: &Value, field: &str) -> Option<Secret> {
    answer.get(field).and_then(Value::as_str).filter(|token| !token.is_empty()).map(Secret::new)
}
