//! Events on their way to the sinks.

use jiff::Timestamp;
use messaging::id::{EventId, SenderName, TenantId};

use crate::store::message::SinkId;

table! {
    /// An event of the outbox. Its body is read only where it is delivered or shown.
    pub(crate) struct OutboxRow in "outbox" {
        key { tenant: TenantId, sender: SenderName, sink: SinkId, event: EventId }
        fixed { subject: String }
        elsewhere { body: String, created_at: Timestamp, position: i64 }
        changing {
            available_at: Timestamp,
            fence: i64,
            owner: Option<String>,
            tries: u32,
            last_error: Option<String>,
            dead_at: Option<Timestamp>,
        }
    }
}
