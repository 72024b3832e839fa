//! API keys, by IAM. Only the account's auth token and its main keys may manage them. A standard key gets 401 with code
//! 20003, as for wrong credentials. (Twilio docs, API keys.)

use messaging::provider::ProviderError;
use messaging::provider::admin::{KeyObservation, Listed, MintedKey};
use messaging::secret::Secret;
use serde_json::{Value, json};

use super::client::Client;
use super::hosts::{Host, Segment};

/// What the data plane and the operator do: they send, look messages up, list them and read received files; watch
/// senders and Messaging Services, and point their webhooks; and submit templates. (Twilio docs, permissions of
/// restricted API keys. There is none of its own for listing the files of a message.)
const PERMISSIONS: [&str; 16] = [
    "/twilio/messaging/messages/create",
    "/twilio/messaging/messages/read",
    "/twilio/messaging/messages/list",
    "/twilio/messaging/messages.media/read",
    "/twilio/messaging/services/read",
    "/twilio/messaging/services/list",
    "/twilio/messaging/services/update",
    "/twilio/messaging/services.channelsenders/read",
    "/twilio/messaging/services.channelsenders/list",
    "/twilio/messaging/whatsapp-senders/read",
    "/twilio/messaging/whatsapp-senders/list",
    "/twilio/messaging/whatsapp-senders/update",
    "/twilio/messaging/content-templates/read",
    "/twilio/messaging/content-templates/list",
    "/twilio/messaging/content-templates/create",
    "/twilio/messaging/content-templates/delete",
];

/// Mints a restricted key. Only this answer ever holds the secret.
pub(crate) async fn mint(client: &Client, name: &str) -> Result<MintedKey, ProviderError> {
    let form = [
        ("AccountSid", client.account_sid().to_owned()),
        ("FriendlyName", name.to_owned()),
        ("KeyType", "restricted".to_owned()),
        ("Policy", json!({ "allow": PERMISSIONS }).to_string()),
    ];
    let key = client.post_form(Host::Iam, "/v1/Keys", &form).await?;
    let text = |field: &str| key.get(field).and_then(Value::as_str).map(str::to_owned);
    match (text("sid"), text("secret")) {
        (Some(id), Some(secret)) => Ok(MintedKey { id, secret: Secret::new(secret) }),
        _ => Err(client.unreadable_write("the new key has no sid or no secret")),
    }
}

pub(crate) async fn list(client: &Client) -> Result<Listed<KeyObservation>, ProviderError> {
    let first = format!("/v1/Keys?AccountSid={}&PageSize=50", Segment(client.account_sid()));
    let Listed { rows, requests } = client.list(Host::Iam, first, "keys").await?;
    let key = |row: &Value| {
        let name = row.get("friendly_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(KeyObservation { id: row.get("sid")?.as_str()?.to_owned(), name })
    };
    Ok(Listed { rows: rows.iter().filter_map(key).collect(), requests })
}

pub(crate) async fn revoke(client: &Client, id: &str) -> Result<(), ProviderError> {
    client.delete(Host::Iam, &format!("/v1/Keys/{}", Segment(id))).await
}
