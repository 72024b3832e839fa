//! The sinks that events have ever waited for.

use messaging::id::{SenderName, TenantId};

use crate::store::message::SinkId;

table! {
    "outbox_lanes" {
        key { tenant: TenantId, sender: SenderName, sink: SinkId }
    }
}
