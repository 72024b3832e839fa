//! Meta's review of submitted contents, as a test directs it.

use serde::{Deserialize, Serialize};

/// A decision about a content that was submitted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Decision {
    /// `approved`, `rejected`, `paused`, `disabled`, or whatever word is to be observed.
    pub status: String,
    pub reason: String,
    /// The category that Meta puts it in.
    pub category: Option<String>,
}

/// How submissions are reviewed. The first rule that matches decides; without one, contents that break Meta's format
/// rules are rejected and all others approved.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReviewRule {
    /// A regular expression, searched for in the name of the submission.
    pub name: Option<String>,
    pub category: Option<String>,
    pub account: Option<String>,
    /// `approved`, `rejected`, or `pending` for a review that does not end by itself.
    pub decision: String,
    pub reason: String,
    /// The category that Meta changes it to, where the submission allows that.
    pub change_category: Option<String>,
    /// How long it takes; absent: as configured.
    pub delay_ms: Option<u64>,
}
