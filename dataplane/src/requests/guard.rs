//! Guards every request from outside: none is served before the configs are loaded, a panic ends one request and not
//! the connection, and no request runs for ever.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Problem;
use super::query;
use crate::config::Configs;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::StatusCode;

/// The longest that a request may take. It is longer than a client may take for its body, so what is late then is the
/// store. Twilio waits for 15 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(14);

/// Puts the guard around a listener's routes.
pub(crate) fn guarded<S: Clone + Send + Sync + 'static>(router: Router<S>, configs: &Arc<Configs>) -> Router<S> {
    router
        .layer(middleware::from_fn(with_a_path_that_is_text))
        .layer(middleware::from_fn_with_state(Arc::clone(configs), guard))
}

/// Refuses a path that stands for no text, before anything takes a name out of it.
pub(crate) async fn with_a_path_that_is_text(request: Request, next: Next) -> Response {
    if query::is_text(request.uri().path()) {
        return next.run(request).await;
    }
    let detail = "the path is not UTF-8, or has a NUL in it; expected UTF-8 without NUL, with escapes such as %2B";
    Problem::new(StatusCode::BAD_REQUEST, "malformed-path", "The path is malformed", detail).into_response()
}

// Before the configs are loaded, every tenant would look unknown.
async fn guard(State(configs): State<Arc<Configs>>, request: Request, next: Next) -> Response {
    if !configs.is_ready() {
        return Problem::try_again("the tenants' configs are not loaded yet").into_response();
    }
    answered(next.run(request), REQUEST_TIMEOUT).await
}

async fn answered(answer: impl Future<Output = Response>, within: Duration) -> Response {
    // A panic ends this request alone. Requests share only the store, which keeps what was committed.
    match tokio::time::timeout(within, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => panicked(panic),
        Err(_) => {
            tracing::error!("a request ends with an unknown outcome because it took too long");
            Problem::outcome_unknown().into_response()
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a panic's payload arrives as an owned box")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let reason =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(reason, "a request ended in a panic");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http::header;
    use tower::ServiceExt as _;

    use super::*;
    use crate::metrics::Metrics;

    fn configs() -> Arc<Configs> {
        let metrics = Arc::new(Metrics::new().unwrap());
        let connect = Arc::new(|_: &_| unreachable!("no tenant is configured"));
        let open_sink = Arc::new(|_, _: &_| unreachable!("no tenant is configured"));
        Arc::new(Configs::new(connect, Arc::new([]), open_sink, metrics))
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
        assert_eq!(never.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(never.headers()[header::RETRY_AFTER], "1");
    }
}
