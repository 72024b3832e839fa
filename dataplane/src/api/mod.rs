//! The tenants' listener: messages, contacts and dead letters, with their OpenAPI description and the
//! schemas of the events that tenants receive.

mod bodies;
mod contacts;
mod event_schemas;
mod events;
mod messages;
mod openapi;
mod permission;
mod send;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{delete, get, post, put};
use http::StatusCode;
use http::request::Parts;

pub use event_schemas::page as events_page;
pub use openapi::document as openapi_document;

use crate::auth::sender_access::SenderAccess;
use crate::auth::{Authenticator, Caller};
use crate::config::Tenant;
use crate::requests::fields::Errors;
use crate::requests::guard::guarded;
use crate::requests::problem::Problem;
use crate::requests::query::Query;
use crate::shared::Shared;

/// Items on a page, unless the caller says otherwise; and at most.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// What the API needs of the rest of the process.
pub struct ApiContext {
    pub shared: Shared,
    pub authenticator: Authenticator,
    /// `None`: every caller may send from every sender of its tenant.
    pub sender_access: Option<SenderAccess>,
}

impl ApiContext {
    /// The caller's tenant as it is configured now.
    fn tenant_of(&self, caller: &Caller) -> Result<Arc<Tenant>, Problem> {
        // Authentication found it, so only a config that went since then is missing here.
        self.shared.configs.get(&caller.tenant).ok_or_else(|| {
            let detail = format!("the tenant {} is no longer configured", caller.tenant);
            Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
        })
    }
}

pub fn router(context: Arc<ApiContext>) -> Router {
    let router = Router::new()
        .route("/v1/messages", post(messages::send).get(messages::list))
        .route("/v1/messages/{id}", get(messages::read))
        .route("/v1/messages/{id}/cancel", post(messages::cancel))
        .route("/v1/contacts/{address}", get(contacts::read))
        .route("/v1/contacts/{address}/links/{other}", delete(contacts::revoke_link))
        .route("/v1/contacts/{address}/consent", put(contacts::put_consent))
        .route("/v1/contacts/{address}/suppression", put(contacts::put_suppression).delete(contacts::lift_suppression))
        .route("/v1/events/dead", get(events::list))
        .route("/v1/events/redrive", post(events::redrive_many))
        .route("/v1/events/{id}/redrive", post(events::redrive))
        .route("/openapi.json", get(openapi::serve))
        .route("/schemas/", get(event_schemas::list))
        .route("/schemas/{file}", get(event_schemas::read))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", "there is no such path; see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            let detail = "this path does not take this method; see /openapi.json";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        });
    guarded(router, &context.shared.configs).with_state(context)
}

/// How many items the caller wants on a page.
fn page_limit(query: &mut Query, errors: &mut Errors) -> u32 {
    let expected = format!("a number from 1 to {LARGEST_PAGE}");
    let read = |text: &str| text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    query.parsed("limit", &expected, read, errors).unwrap_or(PAGE)
}

/// Authenticates a request before anything else in it is read.
impl FromRequestParts<Arc<ApiContext>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<ApiContext>) -> Result<Self, Problem> {
        Ok(context.authenticator.authenticate(&parts.headers).await?)
    }
}
