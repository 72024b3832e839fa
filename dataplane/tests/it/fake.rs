//! Fakes that a test drives: a clock, and a provider that records its calls and gives prepared answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::clock::Clock;
use messaging::config::ProviderAccount;
use messaging::id::{AttemptId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::provider::webhook::{
    Addressee, Ear, Endpoint, EndpointId, Location, Part, Received, Traffic, WebhookAnswer, WebhookHome,
    WebhookRejected, WebhookRequest,
};
use messaging::provider::{
    Direction, InboundEntry, InboundPage, InboundQuery, MessageFilter, MessageLog, MessagingProvider, OutboundMessage,
    Probe, ProviderError, ProviderLimits, ProviderMessage, SendOutcome, Sent, WebhookAdapter, WebhookEvent,
};
use messaging::rate::Rate;
use messaging::secret::Secret;
use tokio::sync::Notify;
use url::Url;

/// A clock that moves only when a test moves it.
#[derive(Debug)]
pub(crate) struct DrivenClock(Mutex<Timestamp>);

impl DrivenClock {
    /// Starts at noon, 1 November 2026.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-11-01T12:00:00Z".parse().unwrap())))
    }
    pub(crate) fn advance(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A provider account.
pub(crate) struct FakeProvider {
    /// Whether it can be asked what became of a message.
    pub(crate) has_log: bool,
    /// Every call to send, in order.
    pub(crate) sent: Mutex<Vec<OutboundMessage>>,
    /// The answers to the next calls; when there is none left, the provider accepts.
    pub(crate) answers: Mutex<VecDeque<SendOutcome>>,
    /// With a clock, the provider keeps a log of what it accepts.
    pub(crate) keeps_log: Mutex<Option<Arc<DrivenClock>>>,
    /// What the provider's own log holds.
    pub(crate) log: Mutex<Vec<ProviderMessage>>,
    called: Notify,
    /// While set, the provider is away: every call ends so, and probes are not answered.
    pub(crate) away: Mutex<Option<SendOutcome>>,
    pub(crate) has_probe: AtomicBool,
    pub(crate) probes: AtomicUsize,
    /// While set, calls to send wait here after they were recorded.
    pub(crate) held: Mutex<Option<Arc<Notify>>>,
}

impl Default for FakeProvider {
    fn default() -> Self {
        Self {
            has_log: true,
            sent: Mutex::default(),
            answers: Mutex::default(),
            keeps_log: Mutex::default(),
            log: Mutex::default(),
            away: Mutex::default(),
            has_probe: AtomicBool::new(true),
            probes: AtomicUsize::new(0),
            called: Notify::default(),
            held: Mutex::default(),
        }
    }
}

impl FakeProvider {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }
    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = SendOutcome>) {
        self.answers.lock().unwrap().extend(answers);
    }
    pub(crate) fn calls(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
    /// Waits until so many calls have begun.
    pub(crate) async fn until_called(&self, n: usize) {
        loop {
            let called = self.called.notified();
            if self.calls() >= n {
                return;
            }
            called.await;
        }
    }
    /// Makes calls to send hang until the answer is notified.
    pub(crate) fn hold(&self) -> Arc<Notify> {
        let release = Arc::new(Notify::new());
        *self.held.lock().unwrap() = Some(Arc::clone(&release));
        release
    }
}

#[async_trait]
impl MessagingProvider for FakeProvider {
    fn limits(&self) -> ProviderLimits {
        let pair = Rate::every(std::time::Duration::from_secs(6), 45);
        ProviderLimits { text: 1600, account: Rate::per_second(2000, 200), pair, quotes: true }
    }

    fn status_callback(&self, home: &WebhookHome<'_>, attempt: AttemptId) -> Option<Url> {
        let WebhookHome { public_base_url, tenant, sender } = home;
        public_base_url.join(&format!("webhooks/{tenant}/{sender}/twilio/status/{attempt}")).ok()
    }

    async fn send(&self, message: &OutboundMessage) -> Sent {
        let n = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(message.clone());
            sent.len()
        };
        self.called.notify_one();
        let held = self.held.lock().unwrap().clone();
        if let Some(release) = held {
            release.notified().await;
        }
        if let Some(outcome) = self.away.lock().unwrap().clone() {
            return outcome.into();
        }
        let scripted = self.answers.lock().unwrap().pop_front();
        let outcome = scripted.unwrap_or_else(|| {
            let provider_message_id = format!("SM{n:032}");
            if let Some(clock) = &*self.keeps_log.lock().unwrap() {
                self.log.lock().unwrap().push(ProviderMessage {
                    provider_message_id: provider_message_id.clone(),
                    direction: Direction::Outbound,
                    from: Some(Address::Phone(message.from.clone())),
                    to: Some(message.to.clone()),
                    body: None,
                    files: None,
                    status: MessageStatus::Accepted,
                    failure: None,
                    created_at: Some(clock.now()),
                });
            }
            SendOutcome::Accepted { provider_message_id, status: MessageStatus::Accepted }
        });
        Sent { outcome, request_id: Some(format!("RQ{n}")) }
    }

    fn message_log(&self) -> Option<&dyn MessageLog> {
        self.has_log.then_some(self)
    }

    fn probe(&self) -> Option<&dyn Probe> {
        self.has_probe.load(Ordering::Relaxed).then_some(self)
    }
}

#[async_trait]
impl Probe for FakeProvider {
    async fn is_answered(&self) -> bool {
        self.probes.fetch_add(1, Ordering::Relaxed);
        self.away.lock().unwrap().is_none()
    }
}

#[async_trait]
impl MessageLog for FakeProvider {
    async fn lookup(&self, provider_message_id: &str) -> Result<Option<ProviderMessage>, ProviderError> {
        Ok(self.log.lock().unwrap().iter().find(|m| m.provider_message_id == provider_message_id).cloned())
    }

    async fn list(&self, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError> {
        let fits = |m: &&ProviderMessage| {
            filter.to.as_ref().is_none_or(|to| m.to.as_ref() == Some(to))
                && m.created_at.is_none_or(|at| at >= filter.since)
        };
        Ok(self.log.lock().unwrap().iter().filter(fits).cloned().collect())
    }

    async fn inbound(&self, _: &InboundQuery) -> Result<InboundPage, ProviderError> {
        Ok(InboundPage::default())
    }

    async fn complete(&self, entry: InboundEntry) -> Result<InboundEntry, ProviderError> {
        Ok(InboundEntry { is_incomplete: false, ..entry })
    }

    fn read(&self, body: &[u8]) -> WebhookEvent {
        serde_json::from_slice(body).unwrap()
    }
}

/// Unsigned webhooks whose bodies name the events in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FakeWebhooks;

impl WebhookAdapter for FakeWebhooks {
    fn provider(&self) -> &'static str {
        "twilio"
    }

    fn locate(&self, _: &str) -> Option<Location> {
        None
    }

    fn ear(&self, _: &ProviderAccount, tenant: &TenantId, sender: &SenderName) -> Option<Ear> {
        let endpoint = EndpointId::new(format!("fake/{tenant}/{sender}"));
        Some(Ear { endpoint, is_own: true, keys: vec![Secret::new("key")], verify_tokens: Vec::new(), handle: None })
    }

    fn carries(&self, _: &str) -> Traffic {
        Traffic::Mixed
    }

    fn largest_body(&self) -> usize {
        64 * 1024
    }

    fn endpoint(&self, _: &[Secret], _: &[Secret]) -> Arc<dyn Endpoint> {
        Arc::new(*self)
    }

    fn translate(&self, _: &str, body: &[u8]) -> Vec<WebhookEvent> {
        serde_json::from_slice(body).unwrap()
    }

    fn answer(&self, _: &str) -> WebhookAnswer {
        WebhookAnswer { status: 200, content_type: None, body: String::new() }
    }
}

impl Endpoint for FakeWebhooks {
    fn challenge(&self, _: &WebhookRequest<'_>) -> Option<WebhookAnswer> {
        None
    }

    fn receive<'a>(&self, request: &WebhookRequest<'a>) -> Result<Received<'a>, WebhookRejected> {
        let events = self.translate(request.route, request.body);
        let part = Part { addressee: Addressee::Endpoint, route: request.route.into(), body: request.body, events };
        Ok(Received { key: 0, parts: vec![part] })
    }
}
