//! Messages that a tenant sends: how they come in, how they are read, how they are withdrawn.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::content::OutboundContent;
use messaging::failure::Failure;
use messaging::id::{AttemptId, MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::Purpose;
use messaging::routing::Route;
use messaging::template::TemplateCategory;
use serde::{Deserialize, Serialize};

use super::webhook::StoredWebhook;
use crate::schema;

/// Identifies a sink among those of its sender: its name. Several of one sender that have no names yet, and all sinks
/// in earlier versions, are known by their address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SinkId(String);

impl SinkId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address. Names have no scheme.
    pub fn is_address(&self) -> bool {
        self.0.contains("://")
    }
}

/// The sinks that are to hear of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sinks {
    /// Those of the sender's config.
    Configured(Vec<SinkId>),
    /// Those of its last config: no config has the sender now, and it may be put back.
    LastKnown,
}

/// Which of a sender's due messages goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    Authentication,
    /// Also free-form answers: a person waits for them.
    Utility,
    Marketing,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Authentication, Self::Utility, Self::Marketing];

    /// The priority of a message by its template's category; `None` is free-form content.
    pub fn of(category: Option<TemplateCategory>) -> Self {
        match category {
            Some(TemplateCategory::Authentication) => Self::Authentication,
            Some(TemplateCategory::Utility) | None => Self::Utility,
            Some(TemplateCategory::Marketing) => Self::Marketing,
        }
    }

    /// A category with this priority.
    pub fn category(self) -> Option<TemplateCategory> {
        match self {
            Self::Authentication => Some(TemplateCategory::Authentication),
            Self::Utility => None,
            Self::Marketing => Some(TemplateCategory::Marketing),
        }
    }
}

/// What to do with a message of which it cannot be learned whether it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnconfirmed {
    /// It ends as failed, and says why: better lost than sent twice.
    #[default]
    Fail,
    /// It is sent again: better sent twice than lost.
    Resend,
}

impl OnUnconfirmed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Resend => "resend",
        }
    }
}

/// Why a message has its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = MessageReason)]
pub struct Reason {
    /// Ours (such as `window_closed`) or the provider's (such as `63024`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence for a person.
    pub text: String,
    /// What a person can do about it, where there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Reason {
    pub fn new(code: Option<&str>, text: impl Into<String>) -> Self {
        Self { code: code.map(str::to_owned), text: text.into(), advice: None }
    }
}

/// What the provider reported.
impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        let advice = Some(failure.advice.to_string()).filter(|advice| !advice.is_empty());
        Self { advice, ..Self::new(failure.code.as_deref(), failure.message.clone()) }
    }
}

/// The message of the same tenant that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    pub id: MessageId,
    /// The provider's id of it, by which it is quoted; `None` where it is not.
    pub quotes: Option<String>,
}

/// A message that may be answered, sent or received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answerable {
    pub sender: SenderName,
    /// Whom it was to, or from.
    pub contact: Address,
    pub provider_message_id: String,
}

/// A message that policy has let in.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub id: MessageId,
    pub tenant: TenantId,
    pub route: Route,
    /// The sender's number.
    pub from: Option<PhoneNumber>,
    pub to: Address,
    pub content: OutboundContent,
    pub purpose: Purpose,
    pub priority: Priority,
    pub reply_to: Option<ReplyTo>,
    /// The template's language that is sent, where it is not the one that was asked for.
    pub served_language: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub on_unconfirmed: OnUnconfirmed,
    pub created_at: Timestamp,
    /// Not to be handed over before this.
    pub scheduled_at: Option<Timestamp>,
    /// Not to be handed over from this on.
    pub expires_at: Option<Timestamp>,
}

/// Takes a message in.
#[derive(Debug, Clone)]
pub struct AcceptMessage {
    pub message: NewMessage,
    pub idempotency: Option<Idempotency>,
}

/// What makes a repeated request the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// SHA-256 of the request's body, byte for byte: what the version before compares.
    pub body_sha256: [u8; 32],
    /// SHA-256 of what the body says, whatever its whitespace.
    pub content_sha256: [u8; 32],
}

impl Idempotency {
    /// Whether the key's first use was with a body that says the same.
    pub(crate) fn is_repeated(&self, body_sha256: &[u8; 32], content_sha256: Option<&[u8; 32]>) -> bool {
        content_sha256.map_or(*body_sha256 == self.body_sha256, |content| *content == self.content_sha256)
    }
}

/// What became of a message that was offered.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    New(Box<Message>),
    /// The same key and body were accepted before: this is that message, as it is now.
    Replayed(Box<Message>),
    /// The key was used with another body.
    KeyReused,
}

/// A message as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: MessageId,
    pub tenant: TenantId,
    pub route: Route,
    /// The sender's number when it was accepted. `None` where the version before accepted it.
    pub from: Option<PhoneNumber>,
    pub to: Address,
    /// `None` once retention has removed it.
    pub content: Option<OutboundContent>,
    pub purpose: Purpose,
    pub priority: Priority,
    pub reply_to: Option<ReplyTo>,
    /// The template's language that is sent, where it is not the one that was asked for.
    pub served_language: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub on_unconfirmed: OnUnconfirmed,
    pub status: MessageStatus,
    /// Why it has this status, where there is a reason to give.
    pub reason: Option<Reason>,
    pub provider_message_id: Option<String>,
    /// The newest attempt.
    pub attempt: Option<AttemptId>,
    /// How many attempts were begun.
    pub attempts: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub scheduled_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl NewMessage {
    /// Whose credentials, limits, window and suppressions count.
    pub fn sender(&self) -> &SenderName {
        &self.route.sender
    }
}

impl Message {
    /// Whose credentials, limits, window and suppressions count.
    pub fn sender(&self) -> &SenderName {
        &self.route.sender
    }

    /// The message as it was when it was accepted, so that a repeated request gets the same answer.
    #[must_use]
    pub fn as_accepted(self) -> Self {
        Self {
            status: MessageStatus::Queued,
            reason: None,
            provider_message_id: None,
            attempt: None,
            attempts: 0,
            updated_at: self.created_at,
            ..self
        }
    }
}

/// A step in a message's life.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub at: Timestamp,
    #[schema(value_type = schema::Status)]
    pub status: MessageStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::AttemptId>)]
    pub attempt: Option<AttemptId>,
    /// The provider's own id of the attempt's request, which its support asks for: `Twilio-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Of a message with `replyTo`, where it is handed to the provider: whether it quotes that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted: Option<bool>,
}

/// A message and its whole life.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRecord {
    pub message: Message,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A message that a customer sent.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    pub id: MessageId,
    pub sender: SenderName,
    /// Whom it was from.
    pub contact: Address,
    pub provider_message_id: String,
    pub received_at: Timestamp,
    /// `None` once retention has removed it.
    pub webhook: Option<StoredWebhook>,
}

/// Which messages to list. Every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    pub status: Option<MessageStatus>,
    pub to: Option<Address>,
    pub sender: Option<SenderName>,
    /// Name of the template that they were sent with.
    pub template: Option<String>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
    /// Older than this message: the `next` of the page before.
    pub after: Option<MessageId>,
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<MessageId>,
}

/// Withdraws a message.
#[derive(Debug, Clone)]
pub struct CancelMessage {
    pub tenant: TenantId,
    pub id: MessageId,
    pub now: Timestamp,
    pub reason: Reason,
    pub sinks: Sinks,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It is canceled, now or before.
    Canceled(Box<Message>),
    /// It has been handed over, or has ended otherwise.
    TooLate(Box<Message>),
    NotFound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_version_before_used_is_repeated_by_the_same_bytes() {
        let again = Idempotency { key: "order-1".into(), body_sha256: [1; 32], content_sha256: [9; 32] };
        assert!(again.is_repeated(&[1; 32], None) && again.is_repeated(&[2; 32], Some(&[9; 32])));
        assert!(!again.is_repeated(&[2; 32], None) && !again.is_repeated(&[1; 32], Some(&[8; 32])));
    }
}
