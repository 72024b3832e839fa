//! The approval of a content, from its submission onwards.

use std::time::Duration;

use serde_json::{Value, json};

/// The outcome of a review.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) category: Option<String>,
    /// Absent: the configured delay.
    pub(crate) delay: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(crate) struct Approval {
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) content_type: String,
    /// Lower case: received, pending, approved, rejected, paused, disabled, or any other word that a test sets.
    pub(crate) status: String,
    pub(crate) rejection_reason: String,
    pub(crate) allow_category_change: bool,
    /// The outcome that the review will have; absent once it has ended, or if it never ends.
    pub(crate) verdict: Option<Verdict>,
}

impl Approval {
    pub(crate) fn render(&self) -> Value {
        json!({
            "name": self.name,
            "category": self.category,
            "content_type": self.content_type,
            "status": self.status,
            "rejection_reason": self.rejection_reason,
            "allow_category_change": self.allow_category_change,
        })
    }

    /// The representation of a content that was never submitted.
    pub(crate) fn none() -> Value {
        json!({
            "name": "",
            "category": "",
            "content_type": "",
            "status": "unsubmitted",
            "rejection_reason": "",
            "allow_category_change": true,
        })
    }
}
