//! The listener for the internet: providers' webhooks, and nothing else.

mod hints;
mod receive;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use http::StatusCode;
use messaging::clock::Clock;

use crate::apply::Fresh;
use crate::config::Configs;
use crate::hints::HintHandle;
use crate::metrics::Metrics;
use crate::requests::guard::guarded;
use crate::requests::problem::Problem;
use crate::store::WebhookLog;

/// What receiving webhooks needs of the rest of the process.
pub struct WebhookContext {
    /// Takes the events of recorded webhooks, where this process applies them.
    pub fresh: Option<Fresh>,
    /// Tells the operator, where there is one.
    pub hints: Option<HintHandle>,
    pub store: Arc<dyn WebhookLog>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

pub fn router(context: Arc<WebhookContext>) -> Router {
    let router = Router::new().route("/webhooks/{*path}", any(receive::receive)).fallback(async || no_such_path());
    guarded(router, &context.configs).with_state(context)
}

fn no_such_path() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "Not found",
        "there is no such path; expected a provider's webhook",
    )
}
