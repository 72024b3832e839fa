//! Numbers and business-scoped ids that were seen together, and ids that a provider replaced.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::TenantId;
use messaging::link;

use super::table::Finder;

table! {
    /// Two addresses of one person: see [`messaging::link::Link`]. Where the provider gave an id up for another, the
    /// former stands in the place of the number.
    pub(crate) struct LinkRow in "contact_links" {
        key { tenant: TenantId, phone: Address, account: String, user_id: Address }
        changing {
            /// Grows with every change.
            version: u64,
            first_seen: Timestamp,
            last_seen: Timestamp,
            revoked_at: Option<Timestamp>,
            /// Who said then that the addresses are not one person's.
            revoked_by: Option<String>,
            /// Why.
            revoked_reason: Option<String>,
        }
    }
}

/// The ids of a number, or the ids that came after an id.
pub(crate) static BY_PHONE: Finder = Finder { table: &TABLE, by: &["tenant", "phone"], index: None };
/// The numbers of an id, and the ids that came before it.
pub(crate) static BY_USER: Finder =
    Finder { table: &TABLE, by: &["tenant", "user_id"], index: Some("contact_links_by_user") };

impl LinkRow {
    /// Whether it was revoked, and not seen since.
    pub(crate) fn is_revoked(&self) -> bool {
        link::is_revoked(self.last_seen, self.revoked_at)
    }
}
