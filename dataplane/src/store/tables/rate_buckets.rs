//! The buckets of rates, which all replicas share.

use messaging::id::TenantId;

table! {
    /// How full a rate's bucket is.
    pub(crate) struct BucketRow in "rate_buckets" {
        key { tenant: TenantId, bucket: String }
        changing {
            /// In nanoseconds since 1970.
            empty_at: i64,
        }
    }
}
