//! What a failure means, and what may be done next.
//!
//! Adapters classify failures: each has a table of its provider's codes. What follows from a class and a scope is
//! decided here, in one place.

mod code_table;
mod new_attempt;
mod next_step;
mod rest;
mod stop;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contact::{Suppression, SuppressionReason};

pub use code_table::{CodeTable, ErrorCode};
pub use new_attempt::NewAttempts;
pub use next_step::{AfterFailure, Failed, RetryLimits, next_step};
pub use rest::{
    LONGEST as LONGEST_REST, LONGEST_OF_TEMPLATE as LONGEST_TEMPLATE_REST, RESTART, Rest, may_start, next_rest,
};
pub use stop::{Stop, approval_of, handle_to_stop, stop};

/// The class of a failure: what may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureClass {
    /// Nothing was processed; the same call may be made again after a pause.
    Retry,
    /// The message was not delivered; a new attempt may succeed later (a rate limit, or a failure that the provider
    /// reported late).
    RetryLater,
    /// The outcome is unknown; nothing may be sent again until it is settled.
    Ambiguous,
    /// The sender or its account is misconfigured, suspended or unpaid: stop the sender and alert a person.
    Sender,
    /// The request is wrong, and repeating it will not help.
    Request,
    /// The recipient does not want messages, or cannot receive them: suppress the address.
    Suppress,
    /// This content cannot reach this recipient now (outside the window, an experiment, not on WhatsApp): use a
    /// template or another channel.
    Fallback,
    /// The template is missing, paused or wrong: stop the template.
    Template,
}

impl FailureClass {
    /// What a failure of this class affects, unless the adapter overrides it.
    pub fn usual_scope(self) -> FailureScope {
        match self {
            Self::Sender => FailureScope::Sender,
            Self::Template => FailureScope::Template,
            Self::Suppress => FailureScope::Recipient,
            Self::Retry | Self::RetryLater | Self::Ambiguous | Self::Request | Self::Fallback => FailureScope::Message,
        }
    }
}

/// What a failure affects besides the message that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureScope {
    /// Nothing else.
    Message,
    /// Every message to the recipient.
    Recipient,
    /// Every message with the template.
    Template,
    /// Messages from the sender to the recipient, for a while: they come too fast.
    Pair,
    /// What starts conversations through the sender, for a while: its limit on them is used up.
    Conversations,
    /// Everything that leaves through the sender.
    Sender,
    /// Everything that leaves through the provider account.
    Account,
}

/// Why something failed, in the provider's words and classified by its adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The provider's code, unchanged. Codes get split and refined, so match on them only in the adapter's table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Refines the code, where the provider has subcodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcode: Option<String>,
    /// A sentence for a person.
    pub message: String,
    pub class: FailureClass,
    /// Absent where it is [`FailureClass::usual_scope`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<FailureScope>,
    /// What it says about the recipient, where the class is [`FailureClass::Suppress`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<SuppressionReason>,
    /// What a person can do about it; empty where there is nothing to do.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub advice: Cow<'static, str>,
}

impl Failure {
    /// A failure without a code.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            code: None,
            subcode: None,
            message: message.into(),
            class,
            scope: None,
            suppression: None,
            advice: Cow::Borrowed(""),
        }
    }

    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// What the failure affects besides the message.
    pub fn scope(&self) -> FailureScope {
        self.scope.unwrap_or_else(|| self.class.usual_scope())
    }

    /// The suppression that follows; `None` unless the class is [`FailureClass::Suppress`]. Without more detail the
    /// recipient counts as unreachable, which their next message disproves.
    pub fn suppression(&self, at: Timestamp) -> Option<Suppression> {
        (self.class == FailureClass::Suppress).then(|| Suppression {
            reason: self.suppression.unwrap_or(SuppressionReason::Unreachable),
            at,
            detail: format!("the provider says: {}", self.message),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "provider error {code}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_of_the_recipient_suppresses_and_by_default_as_unreachable() {
        use FailureClass::{Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template};
        let at = Timestamp::UNIX_EPOCH;
        for class in [Retry, RetryLater, Ambiguous, Sender, Request, Fallback, Template] {
            assert_eq!(Failure::new(class, "no").suppression(at), None, "{class:?}");
        }
        let unknown = Failure::new(Suppress, "no");
        assert_eq!(unknown.suppression(at).map(|s| s.reason), Some(SuppressionReason::Unreachable));
        let blocked = Failure { suppression: Some(SuppressionReason::Blocked), ..unknown };
        assert_eq!(blocked.suppression(at).map(|s| s.reason), Some(SuppressionReason::Blocked));
    }

    #[test]
    fn a_failure_that_an_earlier_version_stored_still_reads() {
        let stored = r#"{"code":"63051","message":"locked","class":"sender"}"#;
        let failure: Failure = serde_json::from_str(stored).expect("reads");
        assert_eq!(failure.scope(), FailureScope::Sender);
        assert_eq!(serde_json::to_string(&failure).expect("writes"), stored);
    }
}
