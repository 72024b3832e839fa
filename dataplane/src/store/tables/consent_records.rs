//! Consents as they were recorded; only ever added.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::ConsentRecord;
use messaging::id::{SenderName, TenantId};

table! {
    /// A consent, under the version that the contact had when it was recorded.
    pub(crate) struct ConsentRow in "consent_records" {
        key { tenant: TenantId, sender: SenderName, contact: Address, version: u64 }
        fixed { recorded_at: Timestamp, record: ConsentRecord }
    }
}
