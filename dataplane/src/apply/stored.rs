//! A webhook of the log, read once more as it was when it came.

use std::collections::BTreeMap;

use messaging::provider::{MessagingProvider, WebhookEvent, WebhookKind, WebhookRequest};

use crate::store::webhook::{StoredWebhook, WaitingEvent, dedupe_key};

/// The events of a webhook, through the code that live webhooks go through. Only what was verified is in the log, so it
/// is not verified again: its key may have been rotated since.
pub fn translate(provider: &dyn MessagingProvider, webhook: &StoredWebhook) -> Vec<WebhookEvent> {
    // Headers that do not read matter to nobody but who looks at them.
    let headers: BTreeMap<String, String> = serde_json::from_str(&webhook.headers).unwrap_or_default();
    provider.translate(&WebhookRequest {
        kind: kind(&webhook.url),
        method: "POST",
        url: &webhook.url,
        headers: &headers,
        body: &webhook.body,
    })
}

/// What a webhook tells of, by the path that it came to.
pub fn kind(url: &str) -> WebhookKind {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some("status"), _) => WebhookKind::Status { attempt: None },
        (Some(attempt), Some("status")) => WebhookKind::Status { attempt: attempt.parse().ok() },
        _ => WebhookKind::Inbound,
    }
}

/// The one event of its webhook that waits to be applied.
pub(super) fn event(provider: &dyn MessagingProvider, waiting: &WaitingEvent) -> WebhookEvent {
    let key = &waiting.reference.dedupe_key;
    let unreadable = |reason: &str| WebhookEvent::Unreadable { reason: reason.to_owned(), dedupe_key: key.clone() };
    let Some(webhook) = &waiting.webhook else {
        return unreadable("its webhook was removed by retention before it was applied");
    };
    let found = translate(provider, webhook).into_iter().find(|event| dedupe_key(event) == *key);
    found.unwrap_or_else(|| unreadable("its webhook reads differently now; replay it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_what_a_webhook_tells_of() {
        let base = "https://whatsapp.example.com/webhooks/shop/status/twilio";
        let attempt = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978";
        assert_eq!(kind(&format!("{base}/inbound")), WebhookKind::Inbound);
        assert_eq!(kind(&format!("{base}/status?x=/inbound")), WebhookKind::Status { attempt: None });
        assert_eq!(kind(&format!("{base}/status/{attempt}")), WebhookKind::Status { attempt: attempt.parse().ok() });
        assert_eq!(kind("https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/SM1.json"), WebhookKind::Inbound);
    }
}
