//! Twilio's webhooks: one endpoint per sender, one event per request, signed with the account's auth token.

mod candidates;
mod events;
pub(crate) mod fields;
pub(crate) mod form;
mod inbound;
pub mod signature;
mod status;
pub(crate) mod translate;
pub(crate) mod urls;

use std::sync::Arc;

use messaging::address::Address;
use messaging::config::ProviderAccount;
use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::{
    Addressee, Ear, Endpoint, Location, Part, Received, ReceivedHints, Traffic, WebhookAnswer, WebhookRejected,
    WebhookRequest,
};
use messaging::provider::{InboundMessage, WebhookAdapter, WebhookEvent};
use messaging::secret::Secret;

use super::PROVIDER;
use form::SortedForm;
use signature::{Algorithm, SigningKey};
use urls::Route;

/// Twilio's own limit on a webhook's body is 64 kB (error 11750).
const LARGEST_BODY: usize = 64 * 1024;
/// TwiML that says nothing to the customer.
const NO_REPLY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// [`WebhookAdapter`] of Twilio.
#[derive(Debug, Clone, Copy)]
pub struct TwilioWebhooks;

impl WebhookAdapter for TwilioWebhooks {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn locate(&self, path: &str) -> Option<Location> {
        urls::locate(path)
    }

    fn ear(&self, account: &ProviderAccount, tenant: &TenantId, sender: &SenderName) -> Option<Ear> {
        let ProviderAccount::Twilio(account) = account;
        Some(Ear {
            endpoint: urls::endpoint(tenant, sender),
            is_own: true,
            keys: account.webhook_keys.clone(),
            verify_tokens: Vec::new(),
            handle: None,
        })
    }

    fn carries(&self, route: &str) -> Traffic {
        match Route::parse(route) {
            Some(Route::Status { attempt }) => Traffic::Statuses { of: attempt },
            Some(Route::Inbound) => Traffic::Inbound,
            Some(Route::Events) => Traffic::Hints,
            None => Traffic::Mixed,
        }
    }

    fn largest_body(&self) -> usize {
        LARGEST_BODY
    }

    fn endpoint(&self, keys: &[Secret], _verify_tokens: &[Secret]) -> Arc<dyn Endpoint> {
        let prepare = |key: &Secret| SigningKey::new(Algorithm::HmacSha1, key.expose().as_bytes());
        Arc::new(TwilioEndpoint { keys: keys.iter().map(prepare).collect() })
    }

    fn translate(&self, route: &str, body: &[u8]) -> Vec<WebhookEvent> {
        vec![event(route, body, None)]
    }

    fn answer(&self, route: &str) -> WebhookAnswer {
        match self.carries(route) {
            Traffic::Statuses { .. } | Traffic::Hints => {
                WebhookAnswer { status: 204, content_type: None, body: String::new() }
            }
            Traffic::Inbound | Traffic::Mixed => {
                WebhookAnswer { status: 200, content_type: Some("text/xml"), body: NO_REPLY.to_owned() }
            }
        }
    }
}

/// The one event of a body. `form` is the body's form, where it has been read already. A route that this version does
/// not know makes the body unreadable: a guess could let a status take effect as a message.
fn event(route: &str, body: &[u8], form: Option<SortedForm>) -> WebhookEvent {
    match Route::parse(route) {
        Some(route @ (Route::Inbound | Route::Status { .. })) => translate::event(route, body, form),
        // Hints are not kept, so nothing was ever stored by their route.
        Some(Route::Events) | None => {
            let reason =
                format!("{route:?} is not a webhook route of Twilio's: expected inbound, status or status/att-…");
            translate::unreadable(reason, body)
        }
    }
}

/// The keys that may sign for one sender's URLs.
#[derive(Debug)]
pub(crate) struct TwilioEndpoint {
    pub(crate) keys: Vec<SigningKey>,
}

impl Endpoint for TwilioEndpoint {
    /// Twilio sends no challenges.
    fn challenge(&self, _request: &WebhookRequest<'_>) -> Option<WebhookAnswer> {
        None
    }

    fn receive<'a>(&self, request: &WebhookRequest<'a>) -> Result<Received<'a>, WebhookRejected> {
        let (key, form) = signature::signed_form(&self.keys, request)?;
        let event = event(request.route, request.body, form);
        // A Messaging Service has one URL for all its senders, so an inbound message itself names the one it is for.
        let addressee = match &event {
            WebhookEvent::Inbound(InboundMessage { to: Some(Address::Phone(number)), .. }) => {
                Addressee::Number(number.clone())
            }
            _ => Addressee::Endpoint,
        };
        let part = Part { addressee, route: request.route.into(), body: request.body, events: vec![event] };
        Ok(Received { key, parts: vec![part] })
    }

    /// Signed as every webhook whose body is no form, so its key is the account's token and is replaced with it.
    fn hints(&self, request: &WebhookRequest<'_>) -> Result<ReceivedHints, WebhookRejected> {
        let (key, form) = signature::signed_form(&self.keys, request)?;
        Ok(ReceivedHints { key, hints: if form.is_none() { events::hints(request.body) } else { None } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_stored_route_is_unreadable_and_not_guessed_at() {
        let body = b"MessageSid=SM1&From=whatsapp%3A%2B447700900123&Body=STOP";
        for route in ["", "calls", "inbound/1", "status/not-an-attempt", "events"] {
            let events = TwilioWebhooks.translate(route, body);
            let [WebhookEvent::Unreadable { reason, .. }] = events.as_slice() else { panic!("{route:?}: {events:?}") };
            assert!(reason.contains(&format!("{route:?}")), "{reason}");
            let carries = if route == "events" { Traffic::Hints } else { Traffic::Mixed };
            assert_eq!(TwilioWebhooks.carries(route), carries, "{route:?}");
        }
    }
}
