//! API keys of the 2010 API. Only the account's auth token and its main keys may manage them. A standard key gets 401
//! with code 20003, as for wrong credentials. (Twilio docs, API keys.)

use messaging::provider::ProviderError;
use messaging::provider::admin::{KeyObservation, Listed, MintedKey};
use messaging::secret::Secret;
use serde_json::Value;

use super::client::Client;
use super::hosts::{Host, Segment};

/// Only this answer ever holds the secret.
pub(crate) async fn mint(client: &Client, name: &str) -> Result<MintedKey, ProviderError> {
    let form = [("FriendlyName", name.to_owned())];
    let key = client.post_form(Host::Api, &client.account_path("Keys.json"), &form).await?;
    let text = |field: &str| key.get(field).and_then(Value::as_str).map(str::to_owned);
    match (text("sid"), text("secret")) {
        (Some(id), Some(secret)) => Ok(MintedKey { id, secret: Secret::new(secret) }),
        _ => Err(client.unreadable_write("the new key has no sid or no secret")),
    }
}

pub(crate) async fn list(client: &Client) -> Result<Listed<KeyObservation>, ProviderError> {
    let Listed { rows, requests } =
        client.list(Host::Api, client.account_path("Keys.json?PageSize=100"), "keys").await?;
    let key = |row: &Value| {
        let name = row.get("friendly_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(KeyObservation { id: row.get("sid")?.as_str()?.to_owned(), name })
    };
    Ok(Listed { rows: rows.iter().filter_map(key).collect(), requests })
}

pub(crate) async fn revoke(client: &Client, id: &str) -> Result<(), ProviderError> {
    client.delete(Host::Api, &client.account_path(&format!("Keys/{}.json", Segment(id)))).await
}
