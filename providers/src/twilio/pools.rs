//! Messaging Services v1, which are Twilio's pools: their senders, and where their webhooks go.

use messaging::address::Address;
use messaging::id::PoolId;
use messaging::provider::ProviderError;
use messaging::provider::admin::{FoundPool, Joined, Listed, PoolMember, PoolObservation, WebhookTargets};
use serde::Deserialize;
use serde_json::Value;

use super::address;
use super::client::Client;
use super::hosts::{Host, Segment};
use super::webhook::urls;

#[derive(Debug, Deserialize)]
struct ServiceResource {
    sid: Option<String>,
    inbound_request_url: Option<String>,
    inbound_method: Option<String>,
    status_callback: Option<String>,
    use_inbound_webhook_on_number: Option<bool>,
}

/// The service, and then its WhatsApp senders.
pub(crate) async fn find(client: &Client, id: &PoolId) -> Result<FoundPool, ProviderError> {
    let Some(service) = client.get::<ServiceResource>(Host::Messaging, &path(id)).await? else {
        return Ok(FoundPool { pool: None, requests: 1 });
    };
    let (pool, more) = observe(client, id.clone(), service).await?;
    Ok(FoundPool { pool: Some(pool), requests: 1 + more })
}

/// The services, and then the senders of each.
pub(crate) async fn list(client: &Client) -> Result<Listed<PoolObservation>, ProviderError> {
    let Listed { rows, mut requests } =
        client.list(Host::Messaging, "/v1/Services?PageSize=100".to_owned(), "services").await?;
    let mut pools = Vec::with_capacity(rows.len());
    for row in rows {
        // A service that cannot be read is not a missing one.
        let service: ServiceResource =
            serde_json::from_value(row).map_err(|error| client.unreadable_read(&format!("a service: {error}")))?;
        let id = service.sid.clone().ok_or_else(|| client.unreadable_read("a service has no sid"))?;
        let (pool, more) = observe(client, PoolId::new(id), service).await?;
        pools.push(pool);
        requests += more;
    }
    Ok(Listed { rows: pools, requests })
}

fn path(id: &PoolId) -> String {
    format!("/v1/Services/{}", Segment(id.as_str()))
}

/// The pool with its senders, and how many requests their list took.
async fn observe(
    client: &Client,
    id: PoolId,
    service: ServiceResource,
) -> Result<(PoolObservation, u32), ProviderError> {
    let ServiceResource {
        sid: own_sid,
        inbound_request_url,
        inbound_method,
        status_callback,
        use_inbound_webhook_on_number,
    } = service;
    let members = format!("{}/ChannelSenders?PageSize=100", path(&id));
    let Listed { rows, requests } = client.list(Host::Messaging, members, "senders").await?;
    let pool = PoolObservation {
        id: own_sid.map_or(id, PoolId::new),
        senders: rows.iter().filter_map(member).collect(),
        defers_to_sender: use_inbound_webhook_on_number.unwrap_or(false),
        webhooks: WebhookTargets {
            inbound: urls::observed(inbound_request_url, inbound_method),
            // A service has no method for it.
            status: urls::observed(status_callback, None),
        },
    };
    Ok((pool, requests))
}

fn member(row: &Value) -> Option<PoolMember> {
    let text = |key| row.get(key).and_then(Value::as_str);
    let number = match text("sender").and_then(address::parse) {
        Some(Address::Phone(number)) => Some(number),
        Some(Address::User(_)) | None => None,
    };
    Some(PoolMember { handle: text("sid")?.to_owned(), number })
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
    client.post_form(Host::Messaging, &path(id), &form).await.map(drop)
}

pub(crate) async fn add_member(client: &Client, id: &PoolId, sender: &str) -> Result<Joined, ProviderError> {
    let path = format!("{}/ChannelSenders", path(id));
    match client.post_form(Host::Messaging, &path, &[("Sid", sender.to_owned())]).await {
        Ok(_) => Ok(Joined::Added),
        Err(error) => refusal(error.failure.code.as_deref()).ok_or(error),
    }
}

/// What the code of a refused addition says. (Twilio docs, errors 21710, 21712 and 21714.)
fn refusal(code: Option<&str>) -> Option<Joined> {
    match code {
        Some("21710") => Some(Joined::WasIn),
        Some("21712") => Some(Joined::IsElsewhere),
        Some("21714") => Some(Joined::IsFull),
        _ => None,
    }
}

pub(crate) async fn remove_member(client: &Client, id: &PoolId, sender: &str) -> Result<(), ProviderError> {
    client.delete(Host::Messaging, &format!("{}/ChannelSenders/{}", path(id), Segment(sender))).await
}
