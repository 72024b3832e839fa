//! Changes to a sender that its account does not make.

use serde::{Deserialize, Serialize};

/// A change to a sender that its account does not make: Meta's quality rating, a ban.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SenderChange {
    pub status: Option<String>,
    pub quality_rating: Option<String>,
    pub messaging_limit: Option<String>,
    /// Code and message of each reason; an empty list removes them.
    pub offline_reasons: Option<Vec<OfflineReason>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OfflineReason {
    pub code: String,
    pub message: String,
}
