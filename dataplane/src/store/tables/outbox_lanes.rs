//! The sinks that events have ever waited for, by their addresses: all that the version before knows.

use messaging::id::{SenderName, TenantId};

use crate::store::message::SinkId;

table! {
    "outbox_lanes" {
        key { tenant: TenantId, sender: SenderName, sink: SinkId }
    }
}
