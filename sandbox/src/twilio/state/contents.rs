//! Contents, and what their approval means for sending.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::approvals::Approval;
use crate::{
    clock,
    twilio::{
        content_types::{self, Session},
        types::Decision,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) friendly_name: String,
    pub(crate) language: String,
    /// Sample values by name.
    pub(crate) variables: Map<String, Value>,
    pub(crate) types: Map<String, Value>,
    pub(crate) approval: Option<Approval>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// The order of creation.
    pub(crate) number: usize,
}

/// What an approval means for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApprovalState {
    Unapproved,
    Approved,
    Paused,
    Disabled,
}

impl Content {
    pub(crate) fn approval_state(&self) -> ApprovalState {
        match self.approval.as_ref().map(|approval| approval.status.as_str()) {
            Some("approved") => ApprovalState::Approved,
            Some("paused") => ApprovalState::Paused,
            Some("disabled") => ApprovalState::Disabled,
            _ => ApprovalState::Unapproved,
        }
    }

    pub(crate) fn session(&self) -> Session {
        content_types::session(&self.types)
    }

    /// Advances the review: from received to pending to the verdict.
    pub(crate) fn take_review_step(&mut self, now: Timestamp) {
        let Some(approval) = self.approval.as_mut() else { return };
        match approval.status.as_str() {
            "received" => "pending".clone_into(&mut approval.status),
            "pending" => {
                let Some(verdict) = approval.verdict.take() else { return };
                approval.status = verdict.status;
                approval.rejection_reason = verdict.reason;
                approval.category = verdict.category.unwrap_or_else(|| approval.category.clone());
            }
            _ => return,
        }
        self.updated = now;
    }

    /// Replaces the review's outcome. Returns false for a content that was never submitted.
    pub(crate) fn overrule(&mut self, decision: Decision, now: Timestamp) -> bool {
        let Some(approval) = self.approval.as_mut() else { return false };
        approval.verdict = None;
        approval.status = decision.status;
        approval.rejection_reason = decision.reason;
        approval.category = decision.category.unwrap_or_else(|| approval.category.clone());
        self.updated = now;
        true
    }

    /// The fields that all representations of a content share.
    fn common(&self) -> Value {
        json!({
            "date_created": clock::iso8601(self.created),
            "date_updated": clock::iso8601(self.updated),
            "sid": self.sid,
            "account_sid": self.account,
            "friendly_name": self.friendly_name,
            "language": self.language,
            "variables": self.variables,
            "types": self.types,
        })
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        let mut rendered = self.common();
        let url = format!("{base}/v1/Content/{}", self.sid);
        rendered["links"] = json!({
            "approval_create": format!("{url}/ApprovalRequests/whatsapp"),
            "approval_fetch": format!("{url}/ApprovalRequests"),
        });
        rendered["url"] = json!(url);
        rendered
    }

    pub(crate) fn with_approval(&self) -> Value {
        let mut rendered = self.common();
        rendered["approval_requests"] = self.approval.as_ref().map_or_else(Approval::none, Approval::render);
        rendered
    }
}
