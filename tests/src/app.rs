//! A tenant's application: receives events over HTTP, checks their signatures, and keeps its own log.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::eventually::eventually;

/// A received event.
#[derive(Debug, Clone)]
pub struct Received {
    /// The `webhook-id` header, which redeliveries share.
    pub id: String,
    pub event: Value,
}

impl Received {
    pub fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Shared {
    secret: Vec<u8>,
    log: Mutex<Vec<Received>>,
    /// Why requests were refused; a test expects none.
    refused: Mutex<Vec<String>>,
    answer: Mutex<StatusCode>,
    /// Whether it receives events and never answers.
    hanging: watch::Sender<bool>,
    /// The ids of the events that it has failed on, while it stumbles.
    stumbled: Mutex<Option<BTreeSet<String>>>,
}

/// How an application fails once on some of its events. Their ids decide which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stumble {
    /// It is down: the event is not in its log.
    Refuses,
    /// It receives the event and its answer is lost: the event is in its log, and comes again.
    LosesItsAnswer,
}

/// The application, listening on loopback until it is dropped.
#[derive(Debug)]
pub struct App {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// The signing secret that every test application shares with its sender.
pub const SIGNING_SECRET: &str = "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHM=";

impl App {
    pub async fn start() -> Result<Self> {
        Self::listen("127.0.0.1:0").await
    }

    pub async fn listen(address: &str) -> Result<Self> {
        let key = SIGNING_SECRET.strip_prefix("whsec_").context("a Standard Webhooks secret")?;
        let shared = Arc::new(Shared {
            secret: BASE64.decode(key)?,
            log: Mutex::default(),
            refused: Mutex::default(),
            answer: Mutex::new(StatusCode::NO_CONTENT),
            hanging: watch::Sender::new(false),
            stumbled: Mutex::default(),
        });
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let url = format!("http://{}/events", listener.local_addr()?);
        let router = Router::new().route("/events", post(receive)).with_state(shared.clone());
        #[expect(clippy::disallowed_methods, reason = "aborted when the application is dropped")]
        let server = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { url, shared, server })
    }

    /// The URL of its sink.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the answer to every event: 500 is that of an application that is down.
    pub fn answer_with(&self, status: StatusCode) {
        *self.shared.answer.lock() = status;
    }

    /// Sets whether requests get no answer until this is undone.
    pub fn hang(&self, hanging: bool) {
        self.shared.hanging.send_replace(hanging);
    }

    /// Requests that are waiting for an answer while it hangs.
    pub fn hanging_requests(&self) -> usize {
        self.shared.hanging.receiver_count()
    }

    /// Sets whether it fails the first time on one in sixteen events: on half of those by refusing them, on the others
    /// by losing the answer. It never fails twice on one event.
    pub fn stumble(&self, stumbling: bool) {
        *self.shared.stumbled.lock() = stumbling.then(BTreeSet::new);
    }

    /// Every event that was accepted so far, in order of arrival, redeliveries included.
    pub fn log(&self) -> Vec<Received> {
        self.shared.log.lock().clone()
    }

    /// The events after the first `position`, in order of arrival.
    pub fn log_since(&self, position: usize) -> Vec<Received> {
        self.shared.log.lock().get(position..).map(<[Received]>::to_vec).unwrap_or_default()
    }

    /// Every event of a kind, each id once.
    pub fn distinct(&self, kind: &str) -> Vec<Received> {
        let mut seen = BTreeSet::new();
        self.log().into_iter().filter(|r| r.kind() == kind && seen.insert(r.id.clone())).collect()
    }

    /// Why requests were refused.
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().clone()
    }

    /// Waits for the first event that `matches`.
    pub async fn event(&self, what: &str, matches: impl Fn(&Received) -> bool) -> Result<Received> {
        eventually(what, async || {
            let log = self.log();
            log.iter()
                .find(|r| matches(r))
                .cloned()
                .ok_or_else(|| log.iter().map(|r| r.kind().to_owned()).collect::<Vec<_>>())
        })
        .await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // The channel's sender is in the state, so waiting cannot fail.
    drop(shared.hanging.subscribe().wait_for(|hanging| !hanging).await);
    match verified(&shared, &headers, &body) {
        Ok(received) => {
            let answer = match stumbles(&shared, &received.id) {
                None => *shared.answer.lock(),
                Some(Stumble::Refuses) => StatusCode::SERVICE_UNAVAILABLE,
                Some(Stumble::LosesItsAnswer) => {
                    shared.log.lock().push(received);
                    return StatusCode::GATEWAY_TIMEOUT;
                }
            };
            if answer.is_success() {
                shared.log.lock().push(received);
            }
            answer
        }
        Err(error) => {
            shared.refused.lock().push(format!("{error:#}"));
            StatusCode::UNAUTHORIZED
        }
    }
}

fn stumbles(shared: &Shared, id: &str) -> Option<Stumble> {
    let stumble = match Sha256::digest(id)[0] {
        0..8 => Stumble::Refuses,
        8..16 => Stumble::LosesItsAnswer,
        16.. => return None,
    };
    shared.stumbled.lock().as_mut()?.insert(id.to_owned()).then_some(stumble)
}

/// Standard Webhooks, written out as an application in any language would do it.
fn verified(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<Received> {
    let header =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).with_context(|| format!("no {name} header"));
    let (id, timestamp, signatures) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&shared.secret)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
    ensure!(signatures.split(' ').any(|s| s == expected), "none of {signatures:?} is the expected signature");
    let event: Value = serde_json::from_slice(body)?;
    ensure!(event["id"] == id, "the event's id is {}, expected the webhook-id {id}", event["id"]);
    Ok(Received { id: id.to_owned(), event })
}
