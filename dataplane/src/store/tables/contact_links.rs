//! Numbers and business-scoped ids that were seen together.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::TenantId;

use super::table::Finder;

table! {
    /// One person's number and id: see [`messaging::link::Link`].
    pub(crate) struct LinkRow in "contact_links" {
        key { tenant: TenantId, phone: Address, account: String, user_id: Address }
        changing {
            /// Grows with every change.
            version: u64,
            first_seen: Timestamp,
            last_seen: Timestamp,
            revoked_at: Option<Timestamp>,
        }
    }
}

/// The ids of a number.
pub(crate) static BY_PHONE: Finder = Finder { table: &TABLE, by: &["tenant", "phone"] };
/// The numbers of an id.
pub(crate) static BY_USER: Finder = Finder { table: &TABLE, by: &["tenant", "user_id"] };
