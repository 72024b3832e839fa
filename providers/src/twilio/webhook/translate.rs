//! Translates a verified webhook into this project's terms. Accepts any bytes and never panics.

use messaging::provider::{InboundMessage, WebhookEvent};
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::form::{Form, SortedForm};
use super::urls::Route;
use super::{inbound, status};

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
    match route {
        Route::Inbound => received(fields().and_then(inbound::translate), body),
        Route::Status { attempt } => fields()
            .and_then(|fields| status::translate(fields, attempt))
            .map_or_else(|reason| unreadable(reason, body), WebhookEvent::Status),
    }
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
