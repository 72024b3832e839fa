//! Meta's review of submitted contents, as a test controls it.

use serde::{Deserialize, Serialize};

/// A decision about a submitted content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Decision {
    /// `approved`, `rejected`, `paused`, `disabled`, or any other word.
    pub status: String,
    pub reason: String,
    /// The category that Meta assigns.
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
    /// The category that Meta changes it to, if the submission allows that.
    pub change_category: Option<String>,
    /// How long the review takes; absent: the configured delay.
    pub delay_ms: Option<u64>,
}
