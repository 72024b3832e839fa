//! The log of webhooks.

use bytes::Bytes;
use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::WebhookRoute;

use super::value::Lent;
use crate::store::webhook::RecordWebhook;

table! {
    "webhooks" {
        key {}
        fixed {
            tenant: TenantId,
            received_at: Timestamp,
            id: String,
            sender: SenderName,
            url: String,
            headers: String,
            body: Bytes,
            route: WebhookRoute,
        }
    }
}

pub(crate) const ID: usize = TABLE.position("id");

/// The row of a webhook, borrowed from it, and 1 where it is kept although it brings no new event, else 0.
pub(crate) fn lent(webhook: &RecordWebhook) -> [Lent<'_>; 9] {
    [
        Lent::Text(webhook.tenant.as_str()),
        Lent::Int(webhook.received_at.as_microsecond()),
        Lent::Text(&webhook.id),
        Lent::Text(webhook.sender.as_str()),
        Lent::Text(&webhook.url),
        Lent::Text(&webhook.headers),
        Lent::Blob(&webhook.body),
        Lent::Text(webhook.route.as_str()),
        Lent::Int(i64::from(webhook.dedupe_keys.is_empty())),
    ]
}
