//! The events that tenants' applications receive: what each says, and under which id.
//!
//! An id is made from what the event is about, so that making the same event again makes the same id.

use jiff::Timestamp;
use messaging::event::{CloudEvent, EventKind};
use messaging::id::{EventId, MessageId, Randomness, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::provider::InboundMessage;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::store::message::Message;

/// Whether an event is published when a message reaches a status. Applications know that they queued it, and an attempt
/// without an outcome is no news.
pub fn is_published(status: MessageStatus) -> bool {
    !matches!(status, MessageStatus::Queued | MessageStatus::Submitted)
}

/// A message of the tenant's reached the status that it has. `before` is the status that it had.
pub fn status(message: &Message, before: MessageStatus, at: Timestamp) -> CloudEvent {
    let kind = EventKind::MessageStatus(message.status);
    let data = json!({
        "id": message.id,
        "sender": message.sender(),
        "to": message.to,
        "status": message.status,
        "correctedFrom": before.is_corrected_by(message.status).then_some(before),
        "reason": message.reason,
        "attempt": message.attempt,
        "providerMessageId": message.provider_message_id,
        "metadata": message.metadata,
    });
    event(&message.tenant, message.sender(), kind, &message.id.to_string(), at, without_nulls(data))
}

/// A customer wrote. `id` is what the message can be answered by.
pub fn received(
    tenant: &TenantId,
    sender: &SenderName,
    id: MessageId,
    message: &InboundMessage,
    at: Timestamp,
) -> CloudEvent {
    let data = json!({
        "id": id,
        "sender": sender,
        "from": message.from,
        "fromUserId": message.from_user_id,
        "profileName": message.profile_name,
        "content": message.content,
        "inReplyTo": message.in_reply_to,
        "providerMessageId": message.provider_message_id,
        "extra": message.extra,
    });
    event(tenant, sender, EventKind::MessageReceived, &id.to_string(), at, without_nulls(data))
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
    let data = json!({
        "sender": sender,
        "contact": message.from,
        "keyword": keyword,
        "providerMessageId": message.provider_message_id,
    });
    let about = format!("{}/{}", message.from, message.provider_message_id);
    let mut event = event(tenant, sender, kind, &about, at, data);
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

fn without_nulls(mut data: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = data.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    data
}
