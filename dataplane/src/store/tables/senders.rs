//! The senders that configs have had.

use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};

use crate::store::message::SinkId;

table! {
    /// What is remembered of a sender after it leaves every config: see [`crate::rules::removal`].
    #[derive(Default)]
    pub(crate) struct SenderRow in "senders" {
        key { tenant: TenantId, sender: SenderName }
        changing {
            /// Its retention in its last config; `None` when it has been in none since it is remembered.
            bodies_seconds: Option<u64>,
            metadata_seconds: Option<u64>,
            /// Since when no config has it, and until when that has been seen.
            absent_since: Option<Timestamp>,
            absent_until: Option<Timestamp>,
            /// Its sinks in its last config; `None` when it has been in none since they are remembered.
            sinks: Option<Vec<SinkId>>,
        }
    }
}
