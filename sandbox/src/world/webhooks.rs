//! Outgoing webhooks: logged, subjected to faults, and queued for [`crate::deliver`].

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    time::Duration,
};

use http::Method;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{log::Log, patience::Patience};
use crate::{
    timetable::Timetable,
    types::{WebhookAttempt, WebhookEffect, WebhookKind, WebhookRecord, WebhookState},
};

/// The most copies of one webhook; more would be a mistake.
const MOST_COPIES: u32 = 1000;

/// What a webhook is about, for the log and for rules.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) kind: WebhookKind,
    pub(crate) account: String,
    pub(crate) message_sid: String,
    pub(crate) message_status: String,
    /// The message's recipient.
    pub(crate) to: String,
}

/// A webhook that a provider has signed.
#[derive(Debug)]
pub(crate) struct NewWebhook {
    pub(crate) about: About,
    pub(crate) parcel: Parcel,
    /// The parcel's URL with its fragment, for the log.
    pub(crate) url: String,
    pub(crate) fallback: Option<Fallback>,
}

/// What the provider signs and sends if a webhook fails.
#[derive(Debug)]
pub(crate) struct Fallback {
    /// The provider's name.
    pub(crate) provider: &'static str,
    pub(crate) about: About,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) form: Vec<(String, String)>,
}

/// The exact request to send.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// Its id in the log; set when it is logged.
    pub(crate) webhook: u64,
    pub(crate) method: Method,
    /// Without the fragment.
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) patience: Patience,
}

/// A parcel and how to deliver it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) parcel: Parcel,
    pub(crate) wait: Duration,
    /// Delivered afterwards, in this order.
    pub(crate) then: Vec<Parcel>,
    pub(crate) fallback: Option<Fallback>,
    /// For a redelivery, which is not retried: where the caller awaits the result.
    pub(crate) redelivery: Option<oneshot::Sender<WebhookAttempt>>,
}

impl Delivery {
    fn of(parcel: Parcel) -> Self {
        Self { parcel, wait: Duration::ZERO, then: Vec::new(), fallback: None, redelivery: None }
    }
}

/// The log of webhooks, and those that are not delivered yet.
#[derive(Debug)]
pub(crate) struct Webhooks {
    pub(crate) log: Log<WebhookRecord>,
    /// Parcels held until the next webhook about the same message, by message.
    held: HashMap<String, Vec<Parcel>>,
    /// When held webhooks are released without another one, by message.
    releases: Timetable<String>,
    outbox: Vec<Delivery>,
}

impl Webhooks {
    pub(crate) fn new(keep: usize) -> Self {
        Self { log: Log::new(keep), held: HashMap::new(), releases: Timetable::default(), outbox: Vec::new() }
    }

    /// Logs a webhook, then applies the fault that it `met`, or else sends it.
    pub(super) fn send(
        &mut self,
        new: NewWebhook,
        met: Option<(String, WebhookEffect)>,
        now: Timestamp,
        release_at: Timestamp,
    ) -> u64 {
        let (fault, effect) = met.unzip();
        let NewWebhook { about, mut parcel, url, fallback } = new;
        let id = self.log.add(|id| record(id, now, &about, url, &parcel, fault));
        parcel.webhook = id;
        let message_sid = about.message_sid;
        let then = self.held.remove(&message_sid).unwrap_or_default();
        let delivery = Delivery { then, fallback, ..Delivery::of(parcel) };
        match effect {
            None => self.outbox.push(delivery),
            Some(WebhookEffect::Delay { ms }) => {
                self.outbox.push(Delivery { wait: Duration::from_millis(ms), ..delivery });
            }
            Some(WebhookEffect::Duplicate { times }) => {
                let copies = (0..times.min(MOST_COPIES)).map(|_| Delivery::of(delivery.parcel.clone()));
                self.outbox.extend(copies);
                self.outbox.push(delivery);
            }
            Some(WebhookEffect::Lose) => {
                self.set_state(id, WebhookState::Lost);
                self.held.insert(message_sid, delivery.then);
            }
            Some(WebhookEffect::Reorder) => {
                self.set_state(id, WebhookState::Held);
                let mut held = delivery.then;
                held.push(delivery.parcel);
                self.held.insert(message_sid.clone(), held);
                self.releases.add(release_at, message_sid);
            }
        }
        id
    }

    /// When held webhooks are next released.
    pub(crate) fn next_release(&self) -> Option<Timestamp> {
        self.releases.next()
    }

    /// Releases the webhooks held for the next message, unless another webhook has released them.
    pub(crate) fn release_next(&mut self) {
        let Some(message_sid) = self.releases.pop() else { return };
        let mut held = self.held.remove(&message_sid).unwrap_or_default().into_iter();
        if let Some(parcel) = held.next() {
            self.outbox.push(Delivery { then: held.collect(), ..Delivery::of(parcel) });
        }
    }

    /// Prepares `times` more deliveries of the same bytes.
    pub(crate) fn redeliver(
        &mut self,
        id: u64,
        times: u32,
    ) -> Option<Vec<(Delivery, oneshot::Receiver<WebhookAttempt>)>> {
        let record = self.log.get_mut(id)?;
        let parcel = Parcel {
            webhook: id,
            method: record.method.parse().ok()?,
            url: without_fragment(&record.url).to_owned(),
            headers: record.headers.clone(),
            body: record.body.clone(),
            patience: Patience::once(),
        };
        let again = |_| {
            let (sender, receiver) = oneshot::channel();
            (Delivery { redelivery: Some(sender), ..Delivery::of(parcel.clone()) }, receiver)
        };
        Some((0..times.clamp(1, MOST_COPIES)).map(again).collect())
    }

    pub(crate) fn queue(&mut self, delivery: Delivery) {
        self.outbox.push(delivery);
    }

    /// The deliveries that are waiting.
    pub(crate) fn take_outbox(&mut self) -> Vec<Delivery> {
        mem::take(&mut self.outbox)
    }

    pub(crate) fn note_attempt(&mut self, webhook: u64, attempt: WebhookAttempt, state: Option<WebhookState>) {
        let Some(record) = self.log.get_mut(webhook) else { return };
        record.attempts.push(attempt);
        // A copy that failed does not undo a delivery.
        if let Some(state) = state.filter(|_| record.state != WebhookState::Delivered) {
            record.state = state;
        }
    }

    fn set_state(&mut self, id: u64, state: WebhookState) {
        if let Some(record) = self.log.get_mut(id) {
            record.state = state;
        }
    }
}

pub(crate) fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

fn record(id: u64, at: Timestamp, about: &About, url: String, parcel: &Parcel, fault: Option<String>) -> WebhookRecord {
    WebhookRecord {
        id,
        at,
        kind: about.kind,
        account: about.account.clone(),
        message_sid: about.message_sid.clone(),
        message_status: about.message_status.clone(),
        method: parcel.method.to_string(),
        url,
        headers: parcel.headers.clone(),
        body: parcel.body.clone(),
        state: WebhookState::Pending,
        faults: fault.into_iter().collect(),
        attempts: Vec::new(),
    }
}
