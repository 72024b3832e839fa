//! The operators' listener: health, readiness and metrics, and the means to stop something: [`holds`] pauses and
//! drains, [`purge`] cancels what is queued. [`unaddressed`] shows what was written to numbers that nobody declares.
//!
//! Health, readiness and metrics are open to everything that reaches the listener, and show nothing secret. Requests
//! that name or stop tenants are accepted only from the process's own network namespace. `kubectl port-forward` and
//! `kubectl exec` reach it, other pods and web pages do not. So Kubernetes' RBAC decides who may stop a tenant, and no
//! tenant can stop another.

mod access;
mod holds;
mod purge;
mod unaddressed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde_json::json;

use crate::dispatch::brakes::Brakes;
use crate::metrics::{OutboxGauges, QueueGauges};
use crate::progress::Task;
use crate::requests::guard::with_a_path_that_is_text;
use crate::requests::problem::Problem;
use crate::shared::Shared;

/// What is counted in the store is left out of a scrape when it takes longer than this.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

/// What operators' requests need of the rest of the process.
pub struct AdminContext {
    pub shared: Shared,
    /// Those of this replica's dispatch.
    pub brakes: Arc<Brakes>,
    /// Set when the process begins to shut down.
    pub draining: Arc<AtomicBool>,
}

pub fn router(context: Arc<AdminContext>) -> Router {
    let stopping = Router::new()
        .route("/admin/v1/holds", get(holds::list))
        .route("/admin/v1/unaddressed", get(unaddressed::list))
        .route("/admin/v1/tenants/{tenant}/{kind}", put(holds::put).delete(holds::lift))
        .route("/admin/v1/tenants/{tenant}/purge", post(purge::purge))
        .route("/admin/v1/tenants/{tenant}/senders/{sender}/{kind}", put(holds::put).delete(holds::lift))
        .route("/admin/v1/tenants/{tenant}/senders/{sender}/purge", post(purge::purge))
        .route("/admin/v1/tenants/{tenant}/holds/{kind}/{*scope}", delete(holds::lift_any))
        .layer(middleware::from_fn(access::from_within));
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(stopping)
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", "there is no such path here"))
        .method_not_allowed_fallback(async || {
            let detail = "this path does not take this method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        })
        .layer(middleware::from_fn(with_a_path_that_is_text))
        .with_state(context)
}

/// Ready when every part is. Each is listed, to show which one is not.
async fn readyz(State(context): State<Arc<AdminContext>>) -> Response {
    let config = context.shared.configs.is_ready();
    let store = context.shared.store.works().await;
    let serving = !context.draining.load(Ordering::Acquire);
    let now = context.shared.clock.now();
    let [apply, dispatch] = [Task::Apply, Task::Dispatch].map(|task| context.shared.progress.is_made(task, now));
    let ready = config && store && serving && apply && dispatch;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = json!({
        "ready": ready,
        "parts": {"config": config, "store": store, "serving": serving, "apply": apply, "dispatch": dispatch},
    });
    (status, Json(parts)).into_response()
}

async fn metrics(State(context): State<Arc<AdminContext>>) -> Response {
    let now = context.shared.clock.now();
    // The store's gauges are read on each scrape. While the store fails or hangs, they keep their last values.
    let store = &context.shared.store;
    let (queue, outbox) = tokio::join!(
        tokio::time::timeout(COUNTED_WITHIN, store.queue_counts(now)),
        tokio::time::timeout(COUNTED_WITHIN, store.outbox_counts()),
    );
    if let Ok(Ok(counts)) = queue {
        context.shared.metrics.queue(QueueGauges {
            due: counts.due,
            deferred: counts.deferred,
            unconfirmed: counts.unconfirmed,
            oldest_due_age_seconds: age(counts.oldest_due_at, now),
            webhooks_unapplied: counts.unapplied,
            oldest_unapplied_age_seconds: age(counts.oldest_unapplied_at, now),
        });
    }
    if let Ok(Ok(counts)) = outbox {
        context.shared.metrics.outbox(OutboxGauges {
            waiting: counts.waiting,
            dead: counts.dead,
            oldest_age_seconds: age(counts.oldest_created_at, now),
        });
    }
    for (kind, count) in context.shared.holds.count(now) {
        context.shared.metrics.holds(kind, count);
    }
    context.shared.metrics.store_waiting(context.shared.store.waiting());
    match context.shared.metrics.render() {
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
