//! Messages whose outcome is awaited.

use jiff::Timestamp;
use messaging::id::{MessageId, TenantId};

table! {
    /// A message whose outcome is awaited.
    pub(crate) struct UnsettledRow in "unsettled" {
        key { tenant: TenantId, message: MessageId }
        changing {
            /// When the provider is asked next.
            available_at: Timestamp,
            fence: i64,
            owner: Option<String>,
            /// How often the provider has been asked.
            asked: u32,
        }
    }
}
