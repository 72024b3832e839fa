//! What a provider reports, in this project's terms.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::address::{Address, PhoneNumber, UserId};
use crate::content::InboundContent;
use crate::failure::Failure;
use crate::id::AttemptId;
use crate::lifecycle::MessageStatus;
use crate::opt_out::OptChange;

/// What a webhook says, in this project's terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum WebhookEvent {
    Inbound(InboundMessage),
    Status(StatusUpdate),
    UserIdChange(UserIdChange),
    /// A message or a status of another channel than WhatsApp, such as an SMS to the same number. It is kept and
    /// counted, and has no effect: an SMS opens no WhatsApp window and is not a WhatsApp opt-out.
    #[serde(rename_all = "camelCase")]
    OtherChannel {
        /// The channel's name, such as `sms`.
        channel: String,
        provider_message_id: String,
        /// Identifies this event, so that it is stored once.
        dedupe_key: String,
    },
    /// A part that could not be read. It is kept and counted, and has no effect.
    #[serde(rename_all = "camelCase")]
    Unreadable {
        reason: String,
        /// Identifies this part, so that it is stored once.
        dedupe_key: String,
    },
}

impl WebhookEvent {
    /// Two deliveries of one provider event have the same key; two different events have different ones.
    pub fn dedupe_key(&self) -> String {
        match self {
            Self::Inbound(m) => format!("in:{}", m.provider_message_id),
            Self::Status(s) => match &s.failure {
                Some(f) => format!("st:{}:{}:{}", s.provider_message_id, s.status, f.code.as_deref().unwrap_or("")),
                None => format!("st:{}:{}", s.provider_message_id, s.status),
            },
            Self::UserIdChange(change) => format!("id:{}:{}", change.previous, change.current),
            Self::OtherChannel { dedupe_key, .. } => format!("oc:{dedupe_key}"),
            Self::Unreadable { dedupe_key, .. } => format!("un:{dedupe_key}"),
        }
    }
}

/// A message from a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundMessage {
    pub provider_message_id: String,
    /// The customer: the phone number where the provider reports it, else the business-scoped user id.
    pub from: Address,
    /// The customer's business-scoped user id, where the provider reports both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_user_id: Option<Address>,
    /// Our sender, where the provider names it by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    pub content: InboundContent,
    /// The provider's own verdict that this message opts out or in. It counts whatever the words were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_change: Option<OptChange>,
    /// When the customer sent it, where the provider tells: see [`InboundMessage::said_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_at: Option<Timestamp>,
    /// The provider's id of the message that this one replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Every other field of the webhook, unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

impl InboundMessage {
    /// When it was said: the provider's time where it tells one, else when it was received. It decides which of several
    /// words of a customer is the last, so it is not the future.
    pub fn said_at(&self, received_at: Timestamp) -> Timestamp {
        self.said_at.map_or(received_at, |said_at| said_at.min(received_at))
    }
}

/// A step in the life of a message that we sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusUpdate {
    pub provider_message_id: String,
    /// Our attempt, where the callback carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    pub status: MessageStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// The provider gave a customer another business-scoped id. Everything that is known under the previous one is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIdChange {
    pub previous: UserId,
    pub current: UserId,
    /// The customer's phone number, where the provider reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<PhoneNumber>,
}
