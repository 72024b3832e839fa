//! Messages that wait to be handed over, in their lanes.

use jiff::Timestamp;
use messaging::id::{MessageId, SenderName, TenantId};

use crate::store::message::Priority;

table! {
    /// A message in the queue.
    pub(crate) struct QueueRow in "queue" {
        key { tenant: TenantId, message: MessageId }
        fixed { sender: SenderName, priority: Priority, expires_at: Option<Timestamp> }
        changing {
            due_at: Timestamp,
            /// When it may be claimed: when it is due, or when the claim's lease ends.
            available_at: Timestamp,
            fence: i64,
            owner: Option<String>,
        }
    }
}
