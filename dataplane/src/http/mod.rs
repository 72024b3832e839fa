//! Three listeners: the internet's ([`webhooks`]), the tenants' ([`api`]), and the operators' ([`admin`]).
//!
//! Each is a router of its own, so that nothing of one can be reached through another.

pub mod admin;
mod body;
mod contacts;
mod events;
mod fields;
mod messages;
mod openapi;
mod problem;
mod send;
mod view;
mod webhooks;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use futures::FutureExt as _;
use http::StatusCode;
use http::request::Parts;
use messaging::clock::Clock;

pub use openapi::document as openapi_document;
pub use problem::{FieldError, Problem};
pub(crate) use webhooks::addressee;

use crate::apply::Fresh;
use crate::auth::{Authenticator, Caller};
use crate::config::Configs;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::store::WebhookLog;

/// A request's whole time; a client that sends its body slower than this holds no place for longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What providers' webhooks need of the rest of the process.
pub struct WebhookContext {
    /// Takes the events of webhooks that were recorded, where this process applies them.
    pub fresh: Option<Fresh>,
    pub store: Arc<dyn WebhookLog>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

/// What tenants' requests need of the rest of the process.
pub struct ApiContext {
    pub shared: Shared,
    pub authenticator: Authenticator,
}

/// The internet's side: providers' webhooks, and nothing else.
pub fn webhooks(context: Arc<WebhookContext>) -> Router {
    let router = Router::new()
        .route("/webhooks/{namespace}/{sender}/twilio/inbound", post(webhooks::inbound))
        .route("/webhooks/{namespace}/{sender}/twilio/status", post(webhooks::status))
        .route("/webhooks/{namespace}/{sender}/twilio/status/{attempt}", post(webhooks::status_of_attempt));
    guarded(router, &context.configs).with_state(context)
}

/// The tenants' side.
pub fn api(context: Arc<ApiContext>) -> Router {
    let router = Router::new()
        .route("/v1/messages", post(messages::send).get(messages::list))
        .route("/v1/messages/{id}", get(messages::read))
        .route("/v1/messages/{id}/cancel", post(messages::cancel))
        .route("/v1/contacts/{address}", get(contacts::read))
        .route("/v1/contacts/{address}/consent", put(contacts::put_consent))
        .route("/v1/events/dead", get(events::list))
        .route("/v1/events/redrive", post(events::redrive_many))
        .route("/v1/events/{id}/redrive", post(events::redrive))
        .route("/openapi.json", get(openapi::serve))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", "there is no such path; see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            let detail = "this path does not take this method; see /openapi.json";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        });
    guarded(router, &context.shared.configs).with_state(context)
}

fn guarded<S: Clone + Send + Sync + 'static>(router: Router<S>, configs: &Arc<Configs>) -> Router<S> {
    router.layer(middleware::from_fn_with_state(Arc::clone(configs), guard))
}

/// What holds for every request from outside: nothing before the configs are known, for it would be told that its tenant
/// does not exist; no panic that ends a connection without an answer; no endless request.
async fn guard(State(configs): State<Arc<Configs>>, request: Request, next: Next) -> Response {
    if !configs.is_ready() {
        return Problem::try_again("the tenants' configs are not loaded yet").into_response();
    }
    answered(next.run(request), REQUEST_TIMEOUT).await
}

async fn answered(answer: impl Future<Output = Response>, within: Duration) -> Response {
    // A panic ends this request alone: what others share with it is the store, which a panic leaves as it was committed.
    match tokio::time::timeout(within, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => panicked(panic),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a panic is had once, and as a box")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let reason =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(reason, "a request ended in a panic");
    Problem::internal().into_response()
}

/// Every request of the tenants' API proves who calls before anything else is looked at.
impl FromRequestParts<Arc<ApiContext>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<ApiContext>) -> Result<Self, Problem> {
        Ok(context.authenticator.authenticate(&parts.headers).await?)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    fn configs() -> Arc<Configs> {
        let metrics = Arc::new(Metrics::new().unwrap());
        Arc::new(Configs::new(Arc::new(|_: &_| unreachable!("no tenant is configured")), metrics))
    }

    async fn status(configs: &Arc<Configs>, path: &str) -> StatusCode {
        let router = Router::new()
            .route("/panics", get(async || -> StatusCode { panic!("a defect") }))
            .route("/well", get(async || StatusCode::NO_CONTENT));
        let request = Request::get(path).body(Body::empty()).unwrap();
        guarded(router, configs).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn every_request_is_answered_whatever_becomes_of_it() {
        let configs = configs();
        assert_eq!(status(&configs, "/well").await, StatusCode::SERVICE_UNAVAILABLE, "before the configs are known");
        configs.mark_ready();
        assert_eq!(status(&configs, "/well").await, StatusCode::NO_CONTENT);
        assert_eq!(status(&configs, "/panics").await, StatusCode::INTERNAL_SERVER_ERROR);
        let never = answered(std::future::pending(), Duration::from_millis(1)).await;
        assert_eq!(never.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
