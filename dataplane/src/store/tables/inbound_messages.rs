//! Messages that customers sent; only ever added.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};

table! {
    /// A message that a customer sent.
    pub(crate) struct InboundRow in "inbound_messages" {
        key { tenant: TenantId, id: MessageId }
        fixed { sender: SenderName, contact: Address, provider_message_id: String, received_at: Timestamp }
    }
}
