//! Sends webhooks: one task each, so that a slow receiver delays no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock,
    stage::Shared,
    types::{WebhookAttempt, WebhookState},
    world::{
        patience::Trouble,
        webhooks::{Delivery, Parcel},
    },
};

/// The pause between a failed attempt and the next.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the webhooks that [`crate::engine`] hands over.
pub(crate) struct Deliverer {
    shared: Arc<Shared>,
    client: reqwest::Client,
    per_receiver: usize,
    receivers: HashMap<String, Arc<Semaphore>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Deliverer {
    pub(crate) fn new(shared: Arc<Shared>, per_receiver: usize, stop: CancellationToken) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy().build()?;
        let receivers = HashMap::new();
        Ok(Self { shared, client, per_receiver, receivers, tasks: TaskTracker::new(), stop })
    }

    pub(crate) fn send(&mut self, delivery: Delivery) {
        let receiver = origin(&delivery.parcel.url);
        let permits = self.per_receiver.max(1);
        let turn = self.receivers.entry(receiver).or_insert_with(|| Arc::new(Semaphore::new(permits))).clone();
        let (shared, client, stop) = (self.shared.clone(), self.client.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(deliver(&shared, &client, &turn, delivery)).await;
        });
    }

    /// Waits until every task has ended.
    pub(crate) async fn finish(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

async fn deliver(shared: &Shared, client: &reqwest::Client, turn: &Semaphore, delivery: Delivery) {
    if !delivery.wait.is_zero() {
        tokio::time::sleep(delivery.wait).await;
    }
    let Ok(_permit) = turn.acquire().await else { return };
    if let Some(waiting) = delivery.redelivery {
        let (attempt, _) = attempt(client, &delivery.parcel, delivery.parcel.patience.read_timeout, true).await;
        note(shared, delivery.parcel.webhook, attempt.clone(), None);
        // The caller may be gone; the log has the attempt anyway.
        drop(waiting.send(attempt));
        return;
    }
    let delivered = persist(shared, client, &delivery.parcel).await;
    for parcel in &delivery.then {
        persist(shared, client, parcel).await;
    }
    if let Some(fallback) = delivery.fallback.filter(|_| !delivered) {
        shared.change(|stage| stage.fall_back(fallback));
    }
}

/// Sends a parcel, with the retries that its patience allows. Returns whether an attempt was answered with 2xx.
async fn persist(shared: &Shared, client: &reqwest::Client, parcel: &Parcel) -> bool {
    let patience = &parcel.patience;
    let deadline = Instant::now() + patience.total_timeout;
    for retries_left in (0..=patience.retries).rev() {
        let left = deadline.saturating_duration_since(Instant::now());
        let (attempt, trouble) = attempt(client, parcel, patience.read_timeout.min(left), false).await;
        let again = trouble.is_some_and(|trouble| retries_left > 0 && patience.retries(trouble))
            && deadline.saturating_duration_since(Instant::now()) > RETRY_PAUSE;
        let state = match trouble {
            None => Some(WebhookState::Delivered),
            Some(_) if again => None,
            Some(_) => Some(WebhookState::Failed),
        };
        note(shared, parcel.webhook, attempt, state);
        if !again {
            return trouble.is_none();
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    false
}

fn note(shared: &Shared, webhook: u64, attempt: WebhookAttempt, state: Option<WebhookState>) {
    shared.look(|stage| stage.world.webhooks.note_attempt(webhook, attempt, state));
}

/// Sends a parcel once.
async fn attempt(
    client: &reqwest::Client,
    parcel: &Parcel,
    timeout: Duration,
    redelivery: bool,
) -> (WebhookAttempt, Option<Trouble>) {
    let (at, started) = (clock::machine_time(), Instant::now());
    let mut request = client.request(parcel.method.clone(), &parcel.url).timeout(timeout).body(parcel.body.clone());
    for (name, value) in &parcel.headers {
        request = request.header(name, value);
    }
    let result = match request.send().await {
        // Only a complete answer counts, not just its head.
        Ok(response) => {
            let status = response.status();
            response.bytes().await.map(|_| status)
        }
        Err(error) => Err(error),
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, error, trouble) = match result {
        Ok(status) if status.is_success() => (Some(status.as_u16()), None, None),
        Ok(status) if status.is_server_error() => (Some(status.as_u16()), None, Some(Trouble::Answer5xx)),
        Ok(status) => (Some(status.as_u16()), None, Some(Trouble::Answer4xx)),
        Err(error) if error.is_timeout() => (None, Some("timeout".to_owned()), Some(Trouble::Timeout)),
        Err(error) if error.is_connect() => (None, Some("connect".to_owned()), Some(Trouble::Connect)),
        // The receiver accepted the request and then hung up, or the URL cannot be called at all.
        Err(error) => (None, Some(error.without_url().to_string()), Some(Trouble::Timeout)),
    };
    (WebhookAttempt { at, duration_ms, status, error, redelivery }, trouble)
}
