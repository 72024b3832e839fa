//! A verified webhook in the words of this project. Any bytes are taken; nothing panics.

use std::borrow::Cow;
use std::collections::BTreeMap;

use messaging::provider::{WebhookEvent, WebhookKind, WebhookRequest};
use sha2::{Digest as _, Sha256};

use super::form::Form;
use super::{inbound, inbound_log, status};

/// Twilio sends one event a request, so there is exactly one in the answer. What cannot be understood is
/// [`WebhookEvent::Unreadable`], with the reason. A JSON object, which Twilio never sends, is an entry of its log.
pub fn translate(webhook: &WebhookRequest<'_>) -> Vec<WebhookEvent> {
    let form = || Form::parse(webhook.body).map_err(|error| error.to_string());
    let event = match webhook.kind {
        WebhookKind::Inbound if webhook.body.first() == Some(&b'{') => {
            inbound_log::translate(webhook.body).map(WebhookEvent::Inbound)
        }
        WebhookKind::Inbound => {
            form().and_then(|form| inbound::translate(Fields::of(&form))).map(WebhookEvent::Inbound)
        }
        WebhookKind::Status { attempt } => {
            form().and_then(|form| status::translate(Fields::of(&form), attempt)).map(WebhookEvent::Status)
        }
    };
    vec![event.unwrap_or_else(|reason| WebhookEvent::Unreadable {
        reason,
        dedupe_key: hex::encode(&Sha256::digest(webhook.body)[..16]),
    })]
}

/// The fields of a webhook, from which each is taken at most once; what is left has no place in our words and is kept
/// as it came.
pub(crate) struct Fields<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Fields<'a> {
    /// A key that comes again (Twilio's do not) has its values joined by line breaks.
    fn of(form: &'a Form) -> Self {
        let mut fields = BTreeMap::<Cow<'a, str>, Cow<'a, str>>::new();
        for (key, value) in form.texts() {
            match fields.get_mut(&key) {
                None => {
                    fields.insert(key, value);
                }
                Some(first) => {
                    let joined = first.to_mut();
                    joined.push('\n');
                    joined.push_str(&value);
                }
            }
        }
        Self(fields)
    }

    /// The value of a field that is there and not empty.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(Cow::as_ref).filter(|value| !value.is_empty())
    }

    /// Takes a field; an empty one counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key).map(Cow::into_owned).filter(|value| !value.is_empty())
    }

    pub(crate) fn rest(self) -> BTreeMap<String, String> {
        self.0.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
