//! How far the providers' message logs have been read.

use jiff::Timestamp;
use messaging::id::TenantId;

table! {
    /// How far one account's message log has been read.
    pub(crate) struct SweepRow in "sweeps" {
        key { tenant: TenantId, account: String }
        changing { swept_until: Option<Timestamp>, available_at: Timestamp, fence: i64, owner: Option<String> }
    }
}
