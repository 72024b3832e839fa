//! The events that tenants' applications receive: what each says, and under which id.
//!
//! An id is made from what the event is about, so that making the same event again makes the same id.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::content::InboundContent;
use messaging::event::{CloudEvent, EventKind};
use messaging::id::{AttemptId, EventId, MessageId, Randomness, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::provider::InboundMessage;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::schema;
use crate::store::message::{Message, Reason};

/// Whether an event is published when a message reaches a status. Applications know that they queued it, and an attempt
/// without an outcome is no news.
pub fn is_published(status: MessageStatus) -> bool {
    !matches!(status, MessageStatus::Queued | MessageStatus::Submitted)
}

/// What the events about a message that the tenant sent say.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageStatusData)]
pub(crate) struct StatusData<'a> {
    #[schema(value_type = schema::MessageId)]
    id: MessageId,
    #[schema(value_type = schema::SenderName)]
    sender: &'a SenderName,
    /// Our number: that of the sender. A Messaging Service may have picked another of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PhoneNumber>)]
    from: Option<&'a PhoneNumber>,
    /// The customer.
    #[schema(value_type = schema::Address)]
    to: &'a Address,
    #[schema(value_type = schema::Status)]
    status: MessageStatus,
    /// The status that it had ended with before proof corrected it, such as `failed` of a message that was delivered
    /// after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Status>)]
    corrected_from: Option<MessageStatus>,
    /// Why it has this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Reason>,
    /// The latest attempt to hand it to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::AttemptId>)]
    attempt: Option<AttemptId>,
    /// The provider's id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<&'a str>,
    /// As the request to send gave it.
    metadata: &'a BTreeMap<String, String>,
}

/// What the event about a message from a customer says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageReceivedData)]
pub(crate) struct ReceivedData<'a> {
    /// What the message can be answered by (`replyTo`).
    #[schema(value_type = schema::MessageId)]
    id: MessageId,
    /// The sender that was written to.
    #[schema(value_type = schema::SenderName)]
    sender: &'a SenderName,
    /// The customer: the phone number where the provider reports it, else the business-scoped user id.
    #[schema(value_type = schema::Address)]
    from: &'a Address,
    /// The customer's business-scoped user id, where the provider reports both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Address>)]
    from_user_id: Option<&'a Address>,
    /// Our number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Address>)]
    to: Option<&'a Address>,
    /// The name that the customer has given themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_name: Option<&'a str>,
    #[schema(value_type = schema::InboundContent)]
    content: &'a InboundContent,
    /// The message that this one answers, sent or received; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::MessageId>)]
    in_reply_to: Option<MessageId>,
    /// The provider's id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to_provider_message_id: Option<&'a str>,
    provider_message_id: &'a str,
    /// Every other field of the webhook, unchanged.
    extra: &'a BTreeMap<String, String>,
}

/// What the events about a contact's stop and start keywords say.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ContactData)]
pub(crate) struct ContactData<'a> {
    /// The sender that was written to.
    #[schema(value_type = schema::SenderName)]
    sender: &'a SenderName,
    /// Who opted out or in.
    #[schema(value_type = schema::Address)]
    contact: &'a Address,
    /// The customer who wrote: the contact.
    #[schema(value_type = schema::Address)]
    from: &'a Address,
    /// Our number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Address>)]
    to: Option<&'a Address>,
    /// The words that said it.
    keyword: &'a str,
    provider_message_id: &'a str,
}

/// A message of the tenant's reached the status that it has. `before` is the status that it had.
pub fn status(message: &Message, before: MessageStatus, at: Timestamp) -> CloudEvent {
    let data = StatusData {
        id: message.id,
        sender: message.sender(),
        from: message.from.as_ref(),
        to: &message.to,
        status: message.status,
        corrected_from: before.is_corrected_by(message.status).then_some(before),
        reason: message.reason.as_ref(),
        attempt: message.attempt,
        provider_message_id: message.provider_message_id.as_deref(),
        metadata: &message.metadata,
    };
    let kind = EventKind::MessageStatus(message.status);
    event(&message.tenant, message.sender(), kind, &message.id.to_string(), at, json!(data))
}

/// A customer wrote. `id` is what the message can be answered by.
pub fn received(
    tenant: &TenantId,
    sender: &SenderName,
    id: MessageId,
    message: &InboundMessage,
    at: Timestamp,
) -> CloudEvent {
    let data = ReceivedData {
        id,
        sender,
        from: &message.from,
        from_user_id: message.from_user_id.as_ref(),
        to: message.to.as_ref(),
        profile_name: message.profile_name.as_deref(),
        content: &message.content,
        in_reply_to: None,
        in_reply_to_provider_message_id: message.in_reply_to.as_deref(),
        provider_message_id: &message.provider_message_id,
        extra: &message.extra,
    };
    event(tenant, sender, EventKind::MessageReceived, &id.to_string(), at, json!(data))
}

/// As a customer's message that answers this one of ours, or of their own.
pub fn answering(mut event: CloudEvent, in_reply_to: MessageId) -> CloudEvent {
    if let Some(data) = event.data.as_object_mut() {
        data.insert("inReplyTo".to_owned(), json!(in_reply_to));
    }
    event
}

/// A contact opted out or in.
pub fn keyword(
    tenant: &TenantId,
    sender: &SenderName,
    change: OptChange,
    keyword: &str,
    message: &InboundMessage,
    at: Timestamp,
) -> CloudEvent {
    let kind = match change {
        OptChange::Stop => EventKind::ContactOptedOut,
        OptChange::Start => EventKind::ContactOptedIn,
    };
    let data = ContactData {
        sender,
        contact: &message.from,
        from: &message.from,
        to: message.to.as_ref(),
        keyword,
        provider_message_id: &message.provider_message_id,
    };
    let about = format!("{}/{}", message.from, message.provider_message_id);
    let mut event = event(tenant, sender, kind, &about, at, json!(data));
    event.subject = message.from.to_string();
    event
}

/// The id of a received message: the same for the same provider's message.
pub fn received_id(tenant: &TenantId, sender: &SenderName, provider_message_id: &str, at: Timestamp) -> MessageId {
    MessageId::new(at, &fingerprint(&[tenant.as_str(), sender.as_str(), provider_message_id]))
}

fn event(
    tenant: &TenantId,
    sender: &SenderName,
    kind: EventKind,
    about: &str,
    at: Timestamp,
    data: serde_json::Value,
) -> CloudEvent {
    let id = EventId::new(at, &fingerprint(&[tenant.as_str(), sender.as_str(), &kind.as_type(), about]));
    CloudEvent::new(id, tenant.clone(), sender.as_str(), kind, about, at, data)
}

fn fingerprint(parts: &[&str]) -> Randomness {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut first = Randomness::default();
    first.copy_from_slice(&digest[..10]);
    first
}
