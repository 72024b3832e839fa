//! A verified webhook in the words of this project. Any bytes are taken; nothing panics.

use messaging::provider::{WebhookEvent, WebhookKind, WebhookRejected, WebhookRequest};
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::form::{Form, SortedForm};
use super::signature::{self, SigningKey};
use super::{inbound, inbound_log, status};

/// Twilio sends one event a request, so there is exactly one in the answer. What cannot be understood is
/// [`WebhookEvent::Unreadable`], with the reason. A JSON object, which Twilio never sends, is an entry of its log.
pub fn translate(webhook: &WebhookRequest<'_>) -> Vec<WebhookEvent> {
    events(webhook, None)
}

/// Verifies a webhook and then translates it, reading its form once for both.
pub fn receive(keys: &[SigningKey], webhook: &WebhookRequest<'_>) -> Result<Vec<WebhookEvent>, WebhookRejected> {
    let signed = signature::signed_form(keys, webhook)?;
    Ok(events(webhook, signed))
}

/// `form` is the body's, where it was read before.
fn events(webhook: &WebhookRequest<'_>, form: Option<SortedForm>) -> Vec<WebhookEvent> {
    let fields = || match form {
        Some(form) => Ok(Fields::of(form)),
        None => Form::parse(webhook.body).map(|form| Fields::of(form.sorted())).map_err(|error| error.to_string()),
    };
    let event = match webhook.kind {
        WebhookKind::Inbound if webhook.body.first() == Some(&b'{') => {
            inbound_log::translate(webhook.body).map(WebhookEvent::Inbound)
        }
        WebhookKind::Inbound => fields().and_then(inbound::translate).map(WebhookEvent::Inbound),
        WebhookKind::Status { attempt } => {
            fields().and_then(|fields| status::translate(fields, attempt)).map(WebhookEvent::Status)
        }
    };
    vec![event.unwrap_or_else(|reason| WebhookEvent::Unreadable {
        reason,
        dedupe_key: hex::encode(&Sha256::digest(webhook.body)[..16]),
    })]
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
