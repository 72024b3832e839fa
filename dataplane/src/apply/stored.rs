//! Reads a webhook of the log again, by the route it came by.

use messaging::provider::webhook::Traffic;
use messaging::provider::{MessagingProvider, WebhookEvent};

use crate::config::Configs;
use crate::store::webhook::{StoredWebhook, WaitingEvent, dedupe_key};

/// The events of a webhook, translated by the same code as live webhooks. `provider` is its sender's, whose message log
/// the webhook may come from; `None` when the sender has no config.
pub fn translate(
    configs: &Configs,
    provider: Option<&dyn MessagingProvider>,
    webhook: &StoredWebhook,
) -> Vec<WebhookEvent> {
    let StoredWebhook { route, body, .. } = webhook;
    let events = match route.route() {
        Some(own) => configs.webhook_adapter(route.provider()).map(|adapter| adapter.translate(own, body)),
        None => provider.and_then(|provider| provider.message_log()).map(|log| vec![log.read(body)]),
    };
    events.unwrap_or_else(|| {
        let reason = format!("this data plane cannot read what came by {route}");
        vec![WebhookEvent::Unreadable { reason, dedupe_key: webhook.id.clone() }]
    })
}

/// The kind of traffic on the webhook's route.
pub fn traffic(configs: &Configs, webhook: &StoredWebhook) -> Traffic {
    let StoredWebhook { route, .. } = webhook;
    match (route.route(), configs.webhook_adapter(route.provider())) {
        (Some(own), Some(adapter)) => adapter.carries(own),
        // Only customers' messages are looked for in a provider's log.
        (None, _) => Traffic::Inbound,
        (Some(_), None) => Traffic::Mixed,
    }
}

/// The one event of its webhook that waits to be applied.
pub(super) fn event(
    configs: &Configs,
    provider: Option<&dyn MessagingProvider>,
    waiting: &WaitingEvent,
) -> WebhookEvent {
    let key = &waiting.reference.dedupe_key;
    let unreadable = |reason: &str| WebhookEvent::Unreadable { reason: reason.to_owned(), dedupe_key: key.clone() };
    let Some(webhook) = &waiting.webhook else {
        return unreadable("its webhook was removed by retention before it was applied");
    };
    let found = translate(configs, provider, webhook).into_iter().find(|event| dedupe_key(event) == *key);
    found.unwrap_or_else(|| unreadable("its webhook reads differently now; replay it"))
}
