//! Statuses that wait for their message to become known.

use jiff::Timestamp;
use messaging::contact::Suppression;
use messaging::id::{SenderName, TenantId};
use messaging::provider::StatusUpdate;

use super::table::Finder;

table! {
    /// A status that waits for its message.
    pub(crate) struct ParkedRow in "parked_statuses" {
        key { tenant: TenantId, provider_message_id: String, webhook: String, position: u32 }
        fixed {
            sender: SenderName,
            received_at: Timestamp,
            status_update: StatusUpdate,
            suppression: Option<Suppression>,
        }
    }
}

/// Every status that waits for the message that the provider knows by this id.
pub(crate) static BY_PROVIDER_ID: Finder =
    Finder { table: &TABLE, by: &["tenant", "provider_message_id"], index: None };
