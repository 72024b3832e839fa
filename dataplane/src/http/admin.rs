//! The operators' side: whether the process lives, whether it can serve, and what it has counted. Nothing secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use jiff::Timestamp;
use messaging::clock::Clock;
use serde_json::json;

use crate::config::Configs;
use crate::metrics::{Metrics, OutboxGauges, QueueGauges};
use crate::store::Store;

/// A store that does not answer within this is not ready.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What the operators' requests need of the rest of the process.
pub struct AdminContext {
    pub store: Arc<dyn Store>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Set when the process begins to end.
    pub draining: Arc<AtomicBool>,
}

pub fn router(context: Arc<AdminContext>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// Ready means that every part is; each is named, so that one sees which is not.
async fn readyz(State(context): State<Arc<AdminContext>>) -> Response {
    let config = context.configs.is_ready();
    let store = matches!(tokio::time::timeout(STORE_ANSWERS_WITHIN, context.store.check()).await, Ok(Ok(())));
    let serving = !context.draining.load(Ordering::Acquire);
    let ready = config && store && serving;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = json!({"ready": ready, "parts": {"config": config, "store": store, "serving": serving}});
    (status, Json(parts)).into_response()
}

async fn metrics(State(context): State<Arc<AdminContext>>) -> Response {
    let now = context.clock.now();
    // Gauges of the store are read when somebody asks. While the store fails, the last ones stand.
    if let Ok(counts) = context.store.queue_counts(now).await {
        context.metrics.queue(QueueGauges {
            due: counts.due,
            deferred: counts.deferred,
            unconfirmed: counts.unconfirmed,
            oldest_due_age_seconds: age(counts.oldest_due_at, now),
        });
    }
    if let Ok(counts) = context.store.outbox_counts(now).await {
        context.metrics.outbox(OutboxGauges {
            waiting: counts.waiting,
            dead: counts.dead,
            oldest_age_seconds: age(counts.oldest_created_at, now),
        });
    }
    match context.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0))
}
