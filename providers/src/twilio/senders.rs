//! WhatsApp senders (Senders v2).

use messaging::address::Address;
use messaging::provider::ProviderError;
use messaging::provider::admin::{Listed, ListedSender, SenderObservation, Stage, WebhookTargets};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::address;
use super::client::Client;
use super::hosts::{Host, Segment};
use super::webhook::urls;

/// The channel is required; 20 a page is Twilio's own default for WhatsApp. (Twilio's OpenAPI document of Senders v2.)
const LIST: &str = "/v2/Channels/Senders?Channel=whatsapp&PageSize=20";

#[derive(Debug, Deserialize)]
struct SenderResource {
    sid: Option<String>,
    status: Option<String>,
    webhook: Option<Webhook>,
    properties: Option<Properties>,
    offline_reasons: Option<Vec<Option<OfflineReason>>>,
}

#[derive(Debug, Default, Deserialize)]
struct Webhook {
    callback_url: Option<String>,
    callback_method: Option<String>,
    status_callback_url: Option<String>,
    status_callback_method: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Properties {
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OfflineReason {
    /// A string here, unlike everywhere else.
    code: Option<Value>,
    message: Option<String>,
}

pub(crate) async fn list(client: &Client) -> Result<Listed<ListedSender>, ProviderError> {
    let Listed { rows, requests } = client.list(Host::Messaging, LIST.to_owned(), "senders").await?;
    let listed = |row: Value| {
        let number = match address::parse(row.get("sender_id")?.as_str()?)? {
            Address::Phone(number) => number,
            Address::User(_) => return None,
        };
        let seen = serde_json::from_value(row)
            .map_err(|error| error.to_string())
            .and_then(|resource| observation(resource).ok_or_else(|| "it has no sid".to_owned()))
            .map_err(|why| client.unreadable_read(&format!("the sender {number}: {why}")));
        Some(ListedSender { number, seen })
    };
    Ok(Listed { rows: rows.into_iter().filter_map(listed).collect(), requests })
}

fn observation(resource: SenderResource) -> Option<SenderObservation> {
    let SenderResource { sid, status, webhook, properties, offline_reasons } = resource;
    let status = status.unwrap_or_else(|| "UNKNOWN".to_owned());
    let Webhook { callback_url, callback_method, status_callback_url, status_callback_method } =
        webhook.unwrap_or_default();
    let Properties { quality_rating, messaging_limit } = properties.unwrap_or_default();
    Some(SenderObservation {
        handle: sid?,
        // After every change a sender is ONLINE:UPDATING for a while, and can still send.
        online: status.to_ascii_uppercase().split(':').next() == Some("ONLINE"),
        stage: stage(&status),
        status,
        quality: quality_rating,
        messaging_limit,
        offline_reasons: offline_reasons.into_iter().flatten().flatten().map(sentence).collect(),
        webhooks: WebhookTargets {
            inbound: urls::observed(callback_url, callback_method),
            status: urls::observed(status_callback_url, status_callback_method),
        },
    })
}

/// An offline sender is VERIFYING after a change, too.
fn stage(status: &str) -> Stage {
    match status.to_ascii_uppercase().as_str() {
        "CREATING" | "VERIFYING" => Stage::UnderWay,
        "PENDING_VERIFICATION" => Stage::AwaitsCode,
        _ => Stage::Settled,
    }
}

fn sentence(reason: OfflineReason) -> String {
    let code = match reason.code {
        Some(Value::String(code)) => Some(code),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    match (code, reason.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        (None, message) => message.unwrap_or_else(|| "Twilio gave no reason".to_owned()),
    }
}

/// Twilio answers 202, so later reads may show the old URLs for a while. An absent target stays as it is.
pub(crate) async fn configure_webhooks(
    client: &Client,
    sid: &str,
    targets: &WebhookTargets,
) -> Result<(), ProviderError> {
    client.post_json(Host::Messaging, &path(sid), &json!({ "webhook": webhook(targets) })).await.map(drop)
}

pub(super) fn path(sid: &str) -> String {
    format!("/v2/Channels/Senders/{}", Segment(sid))
}

/// As Twilio takes them.
pub(super) fn webhook(WebhookTargets { inbound, status }: &WebhookTargets) -> Map<String, Value> {
    let mut webhook = Map::new();
    for (name, target) in [("callback", inbound), ("status_callback", status)] {
        if let Some(url) = target {
            webhook.insert(format!("{name}_url"), json!(url));
            webhook.insert(format!("{name}_method"), json!("POST"));
        }
    }
    webhook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(row: Value) -> SenderObservation {
        serde_json::from_value(row).ok().and_then(observation).expect("a sender")
    }

    #[test]
    fn a_sender_that_is_being_updated_is_online() {
        for (status, online) in
            [("ONLINE", true), ("ONLINE:UPDATING", true), ("online", true), ("OFFLINE", false), ("VERIFYING", false)]
        {
            assert_eq!(of(json!({"sid": "XE1", "status": status})).online, online, "{status}");
        }
    }

    #[test]
    fn a_sender_that_is_being_registered_is_known_by_its_status() {
        for (status, stage) in [
            ("CREATING", Stage::UnderWay),
            ("verifying", Stage::UnderWay),
            ("PENDING_VERIFICATION", Stage::AwaitsCode),
            ("ONLINE", Stage::Settled),
            ("ONLINE:UPDATING", Stage::Settled),
            ("OFFLINE", Stage::Settled),
            ("TWILIO_REVIEW", Stage::Settled),
        ] {
            let sender = of(json!({"sid": "XE1", "status": status}));
            assert_eq!((sender.stage, sender.online), (stage, status.starts_with("ONLINE")), "{status}");
        }
    }

    #[test]
    fn every_reason_for_being_offline_becomes_a_sentence() {
        let sender = of(json!({"sid": "XE1", "status": "OFFLINE", "offline_reasons": [
            {"code": "63020", "message": "Business Manager error", "more_info": "https://x"}, {"code": 63001}, null, {}
        ], "properties": {"quality_rating": "HIGH", "messaging_limit": "10K Customers/24hr"},
           "webhook": {"callback_url": "", "status_callback_url": null}}));
        assert_eq!(sender.offline_reasons, ["63020: Business Manager error", "63001", "Twilio gave no reason"]);
        assert_eq!(
            (sender.quality.as_deref(), sender.messaging_limit.as_deref()),
            (Some("HIGH"), Some("10K Customers/24hr"))
        );
        assert_eq!(sender.webhooks, WebhookTargets::default());
    }

    #[test]
    fn a_webhook_that_is_not_posted_is_not_where_it_should_be() {
        let of = |method: &str| {
            let webhook = json!({
                "callback_url": "https://h/in", "callback_method": method,
                "status_callback_url": "https://h/st", "status_callback_method": "POST",
            });
            of(json!({"sid": "XE1", "status": "ONLINE", "webhook": webhook})).webhooks
        };
        let wanted = WebhookTargets { inbound: Some("https://h/in".into()), status: Some("https://h/st".into()) };
        assert!(of("POST").same_as(&wanted) && of("post").same_as(&wanted));
        assert_eq!(of("PUT").inbound.as_deref(), Some("PUT https://h/in"));
        assert!(!of("PUT").same_as(&wanted));
    }
}
