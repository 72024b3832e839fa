//! Contacts of senders.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::ContactState;
use messaging::id::{SenderName, TenantId};

table! {
    /// A contact as the store keeps it.
    #[derive(Default)]
    pub struct Contact in "contacts" {
        key { tenant: TenantId, sender: SenderName, contact: Address }
        changing {
            /// Grows with every change; 0 when nothing is known. A decision made on one version is void on another.
            version: u64,
            /// When it last changed.
            updated_at: Timestamp,
            state: ContactState,
        }
    }
}
