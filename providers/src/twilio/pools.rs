//! Messaging Services v1, which are Twilio's pools: their senders, and where their webhooks go.

use messaging::id::PoolId;
use messaging::provider::ProviderError;
use messaging::provider::admin::{PoolObservation, WebhookTargets};
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::hosts::{Host, Segment};

#[derive(Debug, Deserialize)]
struct ServiceResource {
    sid: Option<String>,
    inbound_request_url: Option<String>,
    status_callback: Option<String>,
    use_inbound_webhook_on_number: Option<bool>,
}

/// Two calls: the service, and its WhatsApp senders.
pub(crate) async fn find(client: &Client, id: &PoolId) -> Result<Option<PoolObservation>, ProviderError> {
    let path = format!("/v1/Services/{}", Segment(id.as_str()));
    let Some(service) = client.get::<ServiceResource>(Host::Messaging, &path).await? else {
        return Ok(None);
    };
    let senders = client.list(Host::Messaging, format!("{path}/ChannelSenders?PageSize=100"), "senders").await?;
    let ServiceResource { sid: own_sid, inbound_request_url, status_callback, use_inbound_webhook_on_number } = service;
    Ok(Some(PoolObservation {
        id: own_sid.map_or_else(|| id.clone(), PoolId::new),
        senders: senders.iter().filter_map(|row| row.get("sid").and_then(Value::as_str).map(str::to_owned)).collect(),
        defers_to_sender: use_inbound_webhook_on_number.unwrap_or(false),
        webhooks: WebhookTargets {
            inbound: inbound_request_url.filter(|url| !url.is_empty()),
            status: status_callback.filter(|url| !url.is_empty()),
        },
    }))
}

/// An absent target stays as it is. Above all, the inbound URL is never emptied, because Twilio would then neither
/// deliver nor log what customers write. (Twilio's OpenAPI document of Messaging v1.)
pub(crate) async fn configure_webhooks(
    client: &Client,
    id: &PoolId,
    targets: &WebhookTargets,
) -> Result<(), ProviderError> {
    let WebhookTargets { inbound, status } = targets;
    let mut form = Vec::new();
    if let Some(url) = inbound {
        form.extend([("InboundRequestUrl", url.clone()), ("InboundMethod", "POST".to_owned())]);
    }
    form.extend(status.clone().map(|url| ("StatusCallback", url)));
    client.post_form(Host::Messaging, &format!("/v1/Services/{}", Segment(id.as_str())), &form).await.map(drop)
}
