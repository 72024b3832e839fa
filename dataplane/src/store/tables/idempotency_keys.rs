//! Idempotency keys that were used.

use messaging::id::{MessageId, TenantId};

table! {
    /// A key's first use.
    pub(crate) struct UsedKeyRow in "idempotency_keys" {
        key { tenant: TenantId, idempotency_key: String }
        fixed {
            body_sha256: [u8; 32],
            message: MessageId,
            /// Nothing where the version before wrote the row.
            content_sha256: Option<[u8; 32]>,
        }
    }
}
