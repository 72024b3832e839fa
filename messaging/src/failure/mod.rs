//! What a failure means for what may be done next.
//!
//! Each provider's codes are data (a table per provider); what follows from a class is decided here, once.

mod next_step;
mod stop;
mod suppression;
pub mod twilio;

use serde::{Deserialize, Serialize};

use crate::contact::SuppressionReason;

pub use next_step::{AfterFailure, Consequence, Failed, RetryLimits, next_step};
pub use stop::{Stop, handle_to_stop, stop};
pub use suppression::{suppression, suppression_in};

/// The class of a failure: what may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureClass {
    /// Nothing was processed; the same call may be made again after a pause.
    Retry,
    /// This message is over; a new one later may pass (a rate limit or a trouble that the provider reported late).
    RetryLater,
    /// The outcome is unknown; nothing may be sent again until it is settled.
    Ambiguous,
    /// The sender or its account is misconfigured, suspended or unpaid: stop the sender and tell a person.
    Sender,
    /// The request is wrong and will stay wrong.
    Request,
    /// The recipient does not want or cannot get messages: suppress the address.
    Suppress,
    /// This content cannot reach this recipient now (outside the window, an experiment, not on WhatsApp): use a
    /// template or another channel.
    Fallback,
    /// The template is missing, paused or wrong: stop the template.
    Template,
}

impl FailureClass {
    /// What else follows for others than this message, wherever the failure was told: in an answer or in a status.
    pub fn consequence(self) -> Consequence {
        match self {
            Self::Sender => Consequence::StopSender,
            Self::Template => Consequence::StopTemplate,
            Self::Suppress => Consequence::SuppressRecipient,
            Self::Retry | Self::RetryLater | Self::Ambiguous | Self::Request | Self::Fallback => Consequence::None,
        }
    }
}

/// An error code of a provider, as its table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    pub code: u32,
    pub class: FailureClass,
    /// What it says of the recipient; present exactly where the class is [`FailureClass::Suppress`].
    pub suppression: Option<SuppressionReason>,
    /// The provider's name for it, shortened.
    pub title: &'static str,
    /// What a person can do about it; empty where there is nothing to do.
    pub advice: &'static str,
}

/// A provider's table of codes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes(pub &'static [ErrorCode]);

impl Codes {
    /// The entry for a code as the provider wrote it.
    pub fn find(&self, code: &str) -> Option<&'static ErrorCode> {
        let code: u32 = code.trim().parse().ok()?;
        self.0.binary_search_by_key(&code, |entry| entry.code).ok().map(|index| &self.0[index])
    }
}
