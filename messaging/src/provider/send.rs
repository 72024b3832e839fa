//! One attempt to hand a message over, and its outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::ProviderError;
use crate::address::{Address, PhoneNumber};
use crate::id::{AttemptId, PoolId};
use crate::lifecycle::MessageStatus;

/// One attempt, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    pub attempt: AttemptId,
    pub from: PhoneNumber,
    /// The pool that picks the sender of a template, where the message leaves through one. A free-form message leaves
    /// from `from` all the same, because the window is that sender's.
    pub via: Option<PoolId>,
    pub to: Address,
    pub content: RenderedContent,
    /// Where the provider reports on this attempt; carries the attempt's id.
    pub status_callback: Option<Url>,
    /// The provider drops the message if it cannot deliver it within this time.
    pub validity: Option<Duration>,
    /// The provider's id of the message that this one replies to.
    pub reply_to: Option<String>,
}

/// Content with every reference resolved for this provider account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderedContent {
    Text {
        body: String,
    },
    Media {
        url: Url,
        caption: Option<String>,
    },
    Template {
        /// The provider's handle: a content SID at Twilio, a template name at Meta.
        handle: String,
        language: String,
        values: BTreeMap<String, String>,
    },
}

/// What came of one call to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub outcome: SendOutcome,
    /// The provider's own id of the request, which its support asks for.
    pub request_id: Option<String>,
}

impl From<SendOutcome> for Sent {
    fn from(outcome: SendOutcome) -> Self {
        Self { outcome, request_id: None }
    }
}

/// The outcome of one call to send. There are four, because what may follow differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider accepted it. Acceptance is not delivery.
    Accepted { provider_message_id: String, status: MessageStatus },
    /// The provider answered that it did not accept it. Nothing was sent.
    Refused(ProviderError),
    /// The request never left: no connection, or no TLS. Nothing was sent; trying again is safe.
    NotSent { reason: String },
    /// The request left, and no answer came back that settles it (time-out, lost connection, 5xx). The message may or
    /// may not have been sent, so a second call must not be made.
    Ambiguous { reason: String },
}
