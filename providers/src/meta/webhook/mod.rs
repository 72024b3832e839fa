//! Meta's webhooks: one endpoint per app, which may serve the numbers of several tenants. A request is signed with the
//! app's secret and may hold changes for all of them.

mod change;
mod changes;
mod fields;
mod route;
mod signature;

use std::sync::Arc;

use form_urlencoded::parse as parse_query;
use messaging::config::ProviderAccount;
use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::{
    Ear, Endpoint, EndpointId, Location, Received, Traffic, WebhookAnswer, WebhookRejected, WebhookRequest,
};
use messaging::provider::{WebhookAdapter, WebhookEvent};
use messaging::secret::Secret;
use subtle::{Choice, ConstantTimeEq as _};

use super::PROVIDER;
use route::Route;
use signature::SigningKey;

/// Meta's own limit on a webhook's body.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// [`WebhookAdapter`] of Meta.
#[derive(Debug, Clone, Copy)]
pub struct MetaWebhooks;

impl WebhookAdapter for MetaWebhooks {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    /// `meta/{app}`. A path of a namespace called `meta` is longer.
    fn locate(&self, path: &str) -> Option<Location> {
        let app = path.strip_prefix(PROVIDER)?.strip_prefix('/')?;
        let is_name = !app.is_empty() && app.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        is_name.then(|| Location {
            endpoint: EndpointId::new(format!("{PROVIDER}/{app}")),
            route: Route::default().to_string(),
            methods: &["GET", "POST"],
        })
    }

    /// No account in a config can be Meta's yet.
    fn ear(&self, account: &ProviderAccount, _tenant: &TenantId, _sender: &SenderName) -> Option<Ear> {
        match account {
            ProviderAccount::Twilio(_) => None,
        }
    }

    fn carries(&self, _route: &str) -> Traffic {
        Traffic::Mixed
    }

    fn largest_body(&self) -> usize {
        LARGEST_BODY
    }

    fn endpoint(&self, keys: &[Secret], verify_tokens: &[Secret]) -> Arc<dyn Endpoint> {
        let keys = keys.iter().map(|key| SigningKey::new(key.expose().as_bytes())).collect();
        Arc::new(MetaEndpoint { keys, verify_tokens: verify_tokens.to_vec() })
    }

    fn translate(&self, route: &str, body: &[u8]) -> Vec<WebhookEvent> {
        change::translate(Route::parse(route), body)
    }

    fn answer(&self, _route: &str) -> WebhookAnswer {
        WebhookAnswer { status: 200, content_type: None, body: String::new() }
    }
}

/// The endpoint of one app.
struct MetaEndpoint {
    keys: Vec<SigningKey>,
    verify_tokens: Vec<Secret>,
}

impl Endpoint for MetaEndpoint {
    /// Meta sends a challenge whenever the URL is configured, and expects it back as the whole body.
    fn challenge(&self, request: &WebhookRequest<'_>) -> Option<WebhookAnswer> {
        let (_, query) = request.url.split_once('?')?;
        let parameter = |name: &str| parse_query(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
        if parameter("hub.mode")? != "subscribe" {
            return None;
        }
        let token = parameter("hub.verify_token")?;
        // Every token is compared, even after a match, to take constant time.
        let accepted = self.verify_tokens.iter().fold(Choice::from(0), |accepted, expected| {
            accepted | expected.expose().as_bytes().ct_eq(token.as_bytes())
        });
        let body = parameter("hub.challenge").filter(|_| accepted.into())?.into_owned();
        Some(WebhookAnswer { status: 200, content_type: Some("text/plain"), body })
    }

    fn receive<'a>(&self, request: &WebhookRequest<'a>) -> Result<Received<'a>, WebhookRejected> {
        let key = signature::signer(&self.keys, request)?;
        Ok(Received { key, parts: changes::parts(request.body) })
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
