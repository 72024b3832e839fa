//! The sinks that events have ever waited for, by their names.

use messaging::id::{SenderName, TenantId};

use crate::store::message::SinkId;

table! {
    "sink_lanes" {
        key { tenant: TenantId, sender: SenderName, sink: SinkId }
    }
}
