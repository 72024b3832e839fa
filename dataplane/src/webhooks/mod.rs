//! The listener for the internet: providers' webhooks, and nothing else.

mod receive;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use messaging::clock::Clock;

use crate::apply::Fresh;
use crate::config::Configs;
use crate::metrics::Metrics;
use crate::requests::guard::guarded;
use crate::store::WebhookLog;

/// What receiving webhooks needs of the rest of the process.
pub struct WebhookContext {
    /// Takes the events of recorded webhooks, where this process applies them.
    pub fresh: Option<Fresh>,
    pub store: Arc<dyn WebhookLog>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

pub fn router(context: Arc<WebhookContext>) -> Router {
    let router = Router::new().route("/webhooks/{*path}", any(receive::receive));
    guarded(router, &context.configs).with_state(context)
}
