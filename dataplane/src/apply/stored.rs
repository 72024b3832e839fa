//! A webhook of the log, read once more as it was when it came.

use std::collections::BTreeMap;

use messaging::provider::{MessagingProvider, WebhookEvent, WebhookKind, WebhookRequest};
use url::Url;

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

/// What our route said of a webhook, from the URL that was called: `…/status`, `…/status/{attempt}`, `…/inbound`. What
/// has another was no webhook, but was found in the provider's log of what customers wrote.
pub fn kind(url: &str) -> WebhookKind {
    let Ok(url) = Url::parse(url) else { return WebhookKind::Inbound };
    let mut segments: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    // `webhooks/{namespace}/{sender}/{provider}/` stands before, and whatever the public base URL has before that.
    let is_route = |rest: &[&str]| rest.len() >= 4 && rest[rest.len() - 4] == "webhooks";
    let last = segments.pop();
    match (last, segments.last()) {
        (Some("status"), _) if is_route(&segments) => WebhookKind::Status { attempt: None },
        (Some(attempt), Some(&"status")) if is_route(&segments[..segments.len() - 1]) => {
            WebhookKind::Status { attempt: attempt.parse().ok() }
        }
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

    const ATTEMPT: &str = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978";

    #[test]
    fn a_url_says_what_its_webhook_was() {
        let status = |attempt| WebhookKind::Status { attempt };
        for (path, expected) in [
            ("/webhooks/shop/support/twilio/inbound", WebhookKind::Inbound),
            ("/webhooks/shop/support/twilio/status?x=1", status(None)),
            ("/webhooks/shop/support/twilio/status/att-0192d3b8c7a97c3e8f1e2d3c4b5a6978", status(ATTEMPT.parse().ok())),
            ("/behind/a/path/webhooks/shop/status/twilio/status", status(None)),
            ("/webhooks/status/status/twilio/inbound", WebhookKind::Inbound),
            ("/2010-04-01/Accounts/AC1/Messages/SM1.json", WebhookKind::Inbound),
            ("", WebhookKind::Inbound),
        ] {
            assert_eq!(kind(&format!("https://hooks.example.com{path}")), expected, "{path}");
        }
        assert_eq!(kind("no url"), WebhookKind::Inbound);
    }
}
