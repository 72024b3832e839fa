//! The events of the log's webhooks: which are known, and which still wait to take effect.

use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};

use super::value::Lent;
use crate::store::webhook::RecordWebhook;

table! {
    /// An event of the log, as far as applying it needs to know.
    pub(crate) struct EventRow in "webhook_events" {
        key { tenant: TenantId, sender: SenderName, dedupe_key: String }
        fixed { received_at: Timestamp }
        elsewhere { webhook: String, position: u32 }
        changing {
            /// `None` once it has taken effect.
            available_at: Option<Timestamp>,
            tries: u32,
        }
    }
}

pub(crate) const WEBHOOK: usize = TABLE.position("webhook");
pub(crate) const POSITION: usize = TABLE.position("position");

/// Tenant, sender and dedupe key.
pub(crate) type Key<'a> = (&'a str, &'a str, &'a str);

/// The row of an event that comes with its webhook, borrowed from it.
pub(crate) fn lent<'a>((tenant, sender, key): Key<'a>, webhook: &'a RecordWebhook, position: u32) -> [Lent<'a>; 8] {
    [
        Lent::Text(tenant),
        Lent::Text(sender),
        Lent::Text(key),
        Lent::Int(webhook.received_at.as_microsecond()),
        Lent::Text(&webhook.id),
        Lent::Int(i64::from(position)),
        Lent::Int(webhook.left_to_others_at.as_microsecond()),
        Lent::Int(0),
    ]
}
