//! Hands events that this process has just recorded to its applier, so that they need not be read again.

use messaging::provider::WebhookEvent;
use tokio::sync::mpsc;

use crate::store::webhook::{LoggedEvent, LoggedEventRef, RecordWebhook, Recorded as Outcome, dedupe_key};

/// The most events kept in memory. Further ones are read from the log later.
const CAPACITY: usize = 4096;

/// Hands over recorded events.
#[derive(Debug, Clone)]
pub struct Fresh(mpsc::Sender<LoggedEvent>);

/// Receives the events that were handed over.
#[derive(Debug)]
pub(super) struct Recorded {
    events: mpsc::Receiver<LoggedEvent>,
    /// The event that [`Self::wait`] received.
    next: Option<LoggedEvent>,
}

pub(super) fn channel() -> (Fresh, Recorded) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Fresh(sender), Recorded { events: receiver, next: None })
}

impl Recorded {
    /// Takes the events that are waiting, at most `limit`.
    pub(super) fn take(&mut self, limit: usize) -> Vec<LoggedEvent> {
        let mut taken: Vec<_> = self.next.take().into_iter().collect();
        while taken.len() < limit
            && let Ok(event) = self.events.try_recv()
        {
            taken.push(event);
        }
        taken
    }

    /// Waits for an event; forever once every [`Fresh`] is gone.
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
    /// Hands over the new events of a recorded webhook.
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
                // It is on disk, and a replica finds it there.
                return;
            }
        }
    }
}

/// The parts of a webhook that are needed to apply its events.
#[derive(Debug, Clone)]
pub struct RecordedWebhook {
    tenant: messaging::id::TenantId,
    sender: messaging::id::SenderName,
    id: String,
    received_at: jiff::Timestamp,
    events: Vec<WebhookEvent>,
}

impl RecordedWebhook {
    /// `events` are in the order of the webhook's dedupe keys.
    pub fn new(webhook: &RecordWebhook, events: Vec<WebhookEvent>) -> Self {
        let RecordWebhook { tenant, sender, id, received_at, .. } = webhook;
        let (tenant, sender, id) = (tenant.clone(), sender.clone(), id.clone());
        Self { tenant, sender, id, received_at: *received_at, events }
    }
}
