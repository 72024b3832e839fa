//! A provider whose endpoints are apps. An app may serve several tenants, and one request may hold messages for all of
//! them.
//!
//! A sender hears an app where its account's user name is `{app}/{handle}`. A request is "signed" by naming the key.

use std::sync::Arc;

use messaging::config::ProviderAccount;
use messaging::content::InboundContent;
use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::{
    Addressee, Ear, Endpoint, EndpointId, Location, Part, Received, Traffic, WebhookAnswer, WebhookRejected,
    WebhookRequest,
};
use messaging::provider::{InboundMessage, WebhookAdapter, WebhookEvent};
use messaging::secret::Secret;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::world::CUSTOMER;

pub(crate) const KEY_HEADER: &str = "x-batch-key";

/// Webhooks of many in one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchWebhooks;

/// What all messages of a request share, and each needs: the beginning of their ids.
#[derive(Deserialize)]
struct Batch<'a> {
    prefix: String,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// To a sender by its handle, or to an account.
#[derive(Deserialize)]
struct Message {
    to: Option<String>,
    account: Option<String>,
    id: String,
    text: String,
}

impl WebhookAdapter for BatchWebhooks {
    fn provider(&self) -> &'static str {
        "batch"
    }

    fn locate(&self, path: &str) -> Option<Location> {
        let app = path.strip_prefix("batch/").filter(|app| !app.contains('/'))?;
        Some(Location { endpoint: endpoint(app), route: "messages".into(), methods: &["GET", "POST"] })
    }

    fn ear(&self, account: &ProviderAccount, _: &TenantId, _: &SenderName) -> Option<Ear> {
        let ProviderAccount::Twilio(account) = account;
        let (app, handle) = account.username.split_once('/')?;
        Some(Ear {
            endpoint: endpoint(app),
            is_own: false,
            keys: account.webhook_keys.clone(),
            verify_tokens: vec![account.password.clone()],
            handle: Some(handle.to_owned()),
        })
    }

    fn carries(&self, _: &str) -> Traffic {
        Traffic::Mixed
    }

    fn largest_body(&self) -> usize {
        1024
    }

    fn endpoint(&self, keys: &[Secret], verify_tokens: &[Secret]) -> Arc<dyn Endpoint> {
        Arc::new(App { keys: keys.to_vec(), verify_tokens: verify_tokens.to_vec() })
    }

    /// The prefix is in the route and nowhere else.
    fn translate(&self, route: &str, body: &[u8]) -> Vec<WebhookEvent> {
        let prefix = route.strip_prefix("messages/").unwrap();
        let Message { id, text, .. } = serde_json::from_slice(body).unwrap();
        vec![WebhookEvent::Inbound(InboundMessage {
            provider_message_id: format!("{prefix}-{id}"),
            from: CUSTOMER.parse().unwrap(),
            from_user_id: None,
            to: None,
            profile_name: None,
            content: InboundContent::Text { body: text },
            opt_change: None,
            said_at: None,
            in_reply_to: None,
            extra: [].into(),
        })]
    }

    fn answer(&self, _: &str) -> WebhookAnswer {
        WebhookAnswer { status: 200, content_type: Some("text/plain"), body: "taken".into() }
    }
}

fn endpoint(app: &str) -> EndpointId {
    EndpointId::new(format!("batch/{app}"))
}

struct App {
    keys: Vec<Secret>,
    verify_tokens: Vec<Secret>,
}

impl Endpoint for App {
    /// Asked with a token for the query, the app answers with its length.
    fn challenge(&self, request: &WebhookRequest<'_>) -> Option<WebhookAnswer> {
        let (_, token) = request.url.split_once("?token=")?;
        let accepted = self.verify_tokens.iter().any(|expected| expected.expose() == token);
        let body = token.len().to_string();
        accepted.then_some(WebhookAnswer { status: 200, content_type: Some("text/plain"), body })
    }

    fn receive<'a>(&self, request: &WebhookRequest<'a>) -> Result<Received<'a>, WebhookRejected> {
        let named = request.headers.get(KEY_HEADER).ok_or(WebhookRejected::Unsigned { header: KEY_HEADER })?;
        let key = self.keys.iter().position(|key| key.expose() == named).ok_or(WebhookRejected::WrongSignature)?;
        let Batch { prefix, messages } = serde_json::from_slice(request.body).unwrap();
        let route = format!("{}/{prefix}", request.route);
        let part = |message: &'a RawValue| {
            let body = message.get().as_bytes();
            let addressee = match serde_json::from_slice(body).unwrap() {
                Message { to: Some(handle), .. } => Addressee::Handle(handle),
                Message { account: Some(account), .. } => Addressee::Account(account),
                Message { .. } => Addressee::Endpoint,
            };
            Part { addressee, events: BatchWebhooks.translate(&route, body), route: route.clone().into(), body }
        };
        Ok(Received { key, parts: messages.into_iter().map(part).collect() })
    }
}
