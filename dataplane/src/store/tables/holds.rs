//! What must not go on for now.

use jiff::Timestamp;
use messaging::id::TenantId;

table! {
    /// A stop on a tenant, sender, template or sink.
    pub(crate) struct HoldRow in "holds" {
        key { tenant: TenantId, scope: String, kind: String }
        changing { until: Timestamp, reason: String, created_at: Timestamp }
    }
}
