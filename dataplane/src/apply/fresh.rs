//! Events that this process has just recorded, on their way to being applied without being read again.

use messaging::provider::WebhookEvent;
use tokio::sync::mpsc;

use crate::store::webhook::{LoggedEvent, LoggedEventRef, RecordWebhook, Recorded as Outcome, dedupe_key};

/// Events in memory; what does not fit is taken from the log later.
const CAPACITY: usize = 4096;

/// Hands over what was recorded.
#[derive(Debug, Clone)]
pub struct Fresh(mpsc::Sender<LoggedEvent>);

/// What was handed over.
#[derive(Debug)]
pub(super) struct Recorded {
    events: mpsc::Receiver<LoggedEvent>,
    /// Taken out by waiting for it.
    next: Option<LoggedEvent>,
}

pub(super) fn channel() -> (Fresh, Recorded) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Fresh(sender), Recorded { events: receiver, next: None })
}

impl Recorded {
    /// What is there now, so many at most.
    pub(super) fn take(&mut self, limit: usize) -> Vec<LoggedEvent> {
        let mut taken: Vec<_> = self.next.take().into_iter().collect();
        while taken.len() < limit
            && let Ok(event) = self.events.try_recv()
        {
            taken.push(event);
        }
        taken
    }

    /// Waits until something is there; for ever, when nobody hands over any more.
    pub(super) async fn wait(&mut self) {
        if self.next.is_none() {
            self.next = self.events.recv().await;
        }
        if self.next.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Fresh {
    /// The new events of a webhook that was recorded.
    pub fn hand_over(&self, webhook: RecordedWebhook, outcome: &Outcome) {
        let RecordedWebhook { tenant, sender, id, received_at, events } = webhook;
        for ((position, event), is_new) in (0_u32..).zip(events).zip(&outcome.new) {
            if !is_new {
                continue;
            }
            let reference = LoggedEventRef {
                tenant: tenant.clone(),
                sender: sender.clone(),
                dedupe_key: dedupe_key(&event),
                webhook: id.clone(),
                position,
            };
            let logged = LoggedEvent { reference, received_at, event, tries: 0 };
            if self.0.try_send(logged).is_err() {
                // It is on disk; somebody finds it there.
                return;
            }
        }
    }
}

/// What is needed of a webhook to apply its events.
#[derive(Debug, Clone)]
pub struct RecordedWebhook {
    tenant: messaging::id::TenantId,
    sender: messaging::id::SenderName,
    id: String,
    received_at: jiff::Timestamp,
    events: Vec<WebhookEvent>,
}

impl RecordedWebhook {
    /// `events` are those of its keys, in their order.
    pub fn new(webhook: &RecordWebhook, events: Vec<WebhookEvent>) -> Self {
        let RecordWebhook { tenant, sender, id, received_at, .. } = webhook;
        let (tenant, sender, id) = (tenant.clone(), sender.clone(), id.clone());
        Self { tenant, sender, id, received_at: *received_at, events }
    }
}
