//! A tenant's application: takes events over real HTTP, keeps its own log, and gives the answers that a test prepares.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use url::Url;

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
    pub(crate) fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Response>>,
    hanging: Mutex<bool>,
    arrived: Notify,
}

/// The application. It stops with the value.
pub(crate) struct Sink {
    inner: Arc<Inner>,
    pub(crate) address: SocketAddr,
    _server: JoinSet<()>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        let app = Router::new().fallback(take).with_state(Arc::clone(&inner));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { inner, address, _server: server }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/events", self.address).parse().unwrap()
    }

    /// Answers to the next requests; when there is none left, 204.
    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = Response>) {
        self.inner.answers.lock().unwrap().extend(answers);
    }

    /// From now on requests are taken and never answered.
    pub(crate) fn hang(&self) {
        *self.inner.hanging.lock().unwrap() = true;
    }

    /// Answers again, to what comes from now on.
    pub(crate) fn recover(&self) {
        *self.inner.hanging.lock().unwrap() = false;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// Waits until at least so many requests have arrived.
    pub(crate) async fn until_received(&self, n: usize) -> Vec<Received> {
        loop {
            let arrived = self.inner.arrived.notified();
            let received = self.received();
            if received.len() >= n {
                return received;
            }
            arrived.await;
        }
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.received.lock().unwrap().push(Received { headers, body });
    inner.arrived.notify_one();
    if *inner.hanging.lock().unwrap() {
        std::future::pending::<()>().await;
    }
    let answer = inner.answers.lock().unwrap().pop_front();
    answer.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response())
}
