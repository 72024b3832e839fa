//! A tenant's application: takes events over HTTP, checks their signature, and keeps a log of its own.

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

/// An event as it was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The `webhook-id` header: the same over redeliveries.
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
    /// What was refused, and why; a test expects it to be empty.
    refused: Mutex<Vec<String>>,
    answer: Mutex<StatusCode>,
    /// Whether it takes events and never answers.
    hanging: watch::Sender<bool>,
    /// The ids that it has stumbled over, while it stumbles.
    stumbled: Mutex<Option<BTreeSet<String>>>,
}

/// How an application fails once over some of its events; which of them is decided by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stumble {
    /// It is down: the event is not in its log.
    Refuses,
    /// It takes the event and its answer is lost: the event is in its log, and comes again.
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

    /// Where events go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on the application answers so: 500 plays an application that is down.
    pub fn answer_with(&self, status: StatusCode) {
        *self.shared.answer.lock() = status;
    }

    /// Whether requests get no answer until this is taken back.
    pub fn hang(&self, hanging: bool) {
        self.shared.hanging.send_replace(hanging);
    }

    /// Requests that wait for an answer while it hangs.
    pub fn hanging_requests(&self) -> usize {
        self.shared.hanging.receiver_count()
    }

    /// Whether it fails the first time over one in sixteen events: over half of those by refusing, over the others by
    /// losing the answer. It never fails twice over one event.
    pub fn stumble(&self, stumbling: bool) {
        *self.shared.stumbled.lock() = stumbling.then(BTreeSet::new);
    }

    /// Every event that was accepted so far, in order of arrival, redeliveries included.
    pub fn log(&self) -> Vec<Received> {
        self.shared.log.lock().clone()
    }

    /// What came after the first so many, in order of arrival.
    pub fn log_since(&self, position: usize) -> Vec<Received> {
        self.shared.log.lock().get(position..).map(<[Received]>::to_vec).unwrap_or_default()
    }

    /// Every event of a kind, each id once.
    pub fn distinct(&self, kind: &str) -> Vec<Received> {
        let mut seen = BTreeSet::new();
        self.log().into_iter().filter(|r| r.kind() == kind && seen.insert(r.id.clone())).collect()
    }

    /// What did not carry a right signature.
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
    // A sender of the channel is in the state, so waiting can only end well.
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

/// Standard Webhooks, written out: what an application in any language does.
fn verified(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<Received> {
    let header =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).with_context(|| format!("no {name} header"));
    let (id, timestamp, signatures) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&shared.secret)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
    ensure!(signatures.split(' ').any(|s| s == expected), "no signature of ours in {signatures:?}");
    let event: Value = serde_json::from_slice(body)?;
    ensure!(event["id"] == id, "the event's id {} is not webhook-id {id}", event["id"]);
    Ok(Received { id: id.to_owned(), event })
}
