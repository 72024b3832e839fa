//! WhatsApp's verdict on a template.

use serde::{Deserialize, Serialize};

/// The state of WhatsApp's review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Approval {
    Unsubmitted,
    Pending,
    Approved,
    Rejected {
        reason: String,
    },
    Paused {
        reason: String,
    },
    Disabled {
        reason: String,
    },
    /// A state that this version does not know; treated as not approved, and shown.
    Unknown {
        word: String,
    },
}
