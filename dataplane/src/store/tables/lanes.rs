//! The lanes that messages have ever waited in.

use messaging::id::{SenderName, TenantId};

use crate::store::message::Priority;

table! {
    "lanes" {
        key { tenant: TenantId, sender: SenderName, priority: Priority }
    }
}
