//! Translates a verified webhook into this project's terms. Accepts any bytes and never panics.

use messaging::provider::{InboundMessage, WebhookEvent};
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::form::{Form, SortedForm};
use super::urls::Route;
use super::{inbound, status};
use crate::twilio::address;

/// The one event of a body: Twilio sends one per request. A body that cannot be read is [`WebhookEvent::Unreadable`],
/// with the reason.
pub(crate) fn translate(route: Route, body: &[u8]) -> WebhookEvent {
    event(route, body, None)
}

/// Like [`translate`], with the body's form where it has been read already.
pub(crate) fn event(route: Route, body: &[u8], form: Option<SortedForm>) -> WebhookEvent {
    let fields = || match form {
        Some(form) => Ok(Fields::of(form)),
        None => Form::parse(body).map(|form| Fields::of(form.sorted())).map_err(|error| error.to_string()),
    };
    let event = fields().and_then(|fields| match (other_channel(&fields), route) {
        (Some(event), _) => Ok(event),
        (None, Route::Inbound) => inbound::translate(fields).map(WebhookEvent::Inbound),
        (None, Route::Status { attempt }) => status::translate(fields, attempt).map(WebhookEvent::Status),
        (None, Route::Events) => Err("events of a stream are hints".to_owned()),
    });
    event.unwrap_or_else(|reason| unreadable(reason, body))
}

/// The event of a message that is not a WhatsApp message: neither of its ends has a WhatsApp address. Numbers and
/// Messaging Services carry SMS too, and may have the same webhook.
fn other_channel(fields: &Fields) -> Option<WebhookEvent> {
    let (from, to) = (fields.peek("From"), fields.peek("To"));
    let channel = address::other_channel(from.as_deref()?)?;
    if to.as_deref().is_some_and(|to| !to.is_empty() && address::other_channel(to).is_none()) {
        return None;
    }
    let id = fields.peek("MessageSid").or_else(|| fields.peek("SmsSid"))?;
    let status = fields.peek("MessageStatus").or_else(|| fields.peek("SmsStatus")).unwrap_or_default();
    Some(WebhookEvent::OtherChannel {
        channel: channel.to_owned(),
        dedupe_key: format!("{id}:{status}"),
        provider_message_id: id.into_owned(),
    })
}

/// The event of a customer's message from a webhook or the log.
pub(crate) fn received(message: Result<InboundMessage, String>, body: &[u8]) -> WebhookEvent {
    message.map_or_else(|reason| unreadable(reason, body), WebhookEvent::Inbound)
}

pub(super) fn unreadable(reason: String, body: &[u8]) -> WebhookEvent {
    WebhookEvent::Unreadable { reason, dedupe_key: hex::encode(&Sha256::digest(body)[..16]) }
}

#[cfg(test)]
mod tests;
