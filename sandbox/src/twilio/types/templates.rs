//! Meta's review of submitted contents, as a test controls it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A content to create, of any type that the Content API has, as it is after a review or without one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewContent {
    pub sid: Option<String>,
    pub friendly_name: String,
    pub language: String,
    /// Sample values by name.
    pub variables: Map<String, Value>,
    /// As in the Content API: `{"twilio/text": {"body": "…"}}`.
    pub types: Map<String, Value>,
    /// Absent: it was never submitted.
    pub approval: Option<NewApproval>,
}

/// An approval that has been decided, or that stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewApproval {
    /// `approved`, `rejected`, `pending`, `paused`, `disabled`, or any other word.
    pub status: String,
    pub category: String,
    pub reason: String,
    /// The type that WhatsApp has, where the content has several. Absent: the first.
    pub content_type: Option<String>,
}

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
