//! Stand-ins that a test drives: a clock, and a provider that records what it is asked and answers what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::clock::Clock;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{
    Direction, MessageFilter, MessagingProvider, OutboundMessage, ProviderError, ProviderMessage, SendOutcome,
    WebhookEvent, WebhookRejected, WebhookRequest,
};
use tokio::sync::Notify;

/// A clock that stands still until it is moved.
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
#[derive(Default)]
pub(crate) struct FakeProvider {
    /// Every call to send, in order.
    pub(crate) sent: Mutex<Vec<OutboundMessage>>,
    /// The answers to the next calls; when there is none left, the provider accepts.
    pub(crate) answers: Mutex<VecDeque<SendOutcome>>,
    /// With a clock, the provider keeps a log of what it accepts.
    pub(crate) keeps_log: Mutex<Option<Arc<DrivenClock>>>,
    /// What the provider's own log holds.
    pub(crate) log: Mutex<Vec<ProviderMessage>>,
    called: Notify,
    /// While set, calls to send wait here after they were recorded.
    pub(crate) held: Mutex<Option<Arc<Notify>>>,
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
    async fn send(&self, message: &OutboundMessage) -> SendOutcome {
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
        let scripted = self.answers.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| {
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
        })
    }

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

    fn verify(&self, _: &WebhookRequest<'_>) -> Result<(), WebhookRejected> {
        Ok(())
    }

    fn translate(&self, webhook: &WebhookRequest<'_>) -> Vec<WebhookEvent> {
        // Its webhooks say in their bodies what is in them.
        serde_json::from_slice(webhook.body).unwrap()
    }
}
