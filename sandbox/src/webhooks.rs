//! Webhooks on their way out: signed, logged, met by faults, and handed to [`crate::deliver`].

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::{
    control::types::{WebhookAttempt, WebhookEffect, WebhookKind, WebhookRecord, WebhookState},
    ids,
    overrides::Overrides,
    twilio::signature,
    world::{Step, World},
};

/// More copies of one webhook than this are a mistake.
const MOST_COPIES: u32 = 1000;

/// A webhook that is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct NewWebhook {
    pub(crate) kind: WebhookKind,
    pub(crate) account: String,
    pub(crate) message_sid: String,
    pub(crate) message_status: String,
    /// The message's recipient, for rules.
    pub(crate) to: String,
    pub(crate) payload: Payload,
    /// Where it goes if nobody takes it.
    pub(crate) fallback: Option<(Method, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) method: Method,
    /// As configured, with its fragment.
    pub(crate) url: String,
    pub(crate) form: Vec<(String, String)>,
}

/// What is sent, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// Its entry in the log.
    pub(crate) webhook: u64,
    pub(crate) method: Method,
    /// Without the fragment.
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) overrides: Overrides,
}

/// A parcel and how to deliver it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) parcel: Parcel,
    pub(crate) wait: Duration,
    /// Delivered afterwards, in this order.
    pub(crate) then: Vec<Parcel>,
    pub(crate) fallback: Option<NewWebhook>,
    /// For a redelivery: no retries, and somebody waits for the result.
    pub(crate) redelivery: Option<oneshot::Sender<WebhookAttempt>>,
}

impl World {
    /// Signs, logs and sends a webhook, unless a rule has other plans.
    pub(crate) fn send_webhook(&mut self, new: NewWebhook) -> Option<u64> {
        let token = self.twilio.accounts.get(&new.account)?.auth_token.clone();
        let now = self.now();
        let mut parcel = pack(&new.payload, &token, ids::uuid(&mut self.rng));
        let met = self.faults.meet_webhook(new.kind, &new.message_status, &new.to, &new.account, &mut self.rng);
        let (fault, effect) = met.unzip();
        let id = self.webhooks.add(|id| record(id, now, &new, &parcel, fault));
        parcel.webhook = id;

        let fallback = new.fallback.clone().map(|(method, url)| fallback(&new, method, url));
        let then = self.held.remove(&new.message_sid).unwrap_or_default();
        let delivery = Delivery { parcel, wait: Duration::ZERO, then, fallback, redelivery: None };
        match effect {
            None => self.outbox.push(delivery),
            Some(WebhookEffect::Delay { ms }) => {
                self.outbox.push(Delivery { wait: Duration::from_millis(ms), ..delivery });
            }
            Some(WebhookEffect::Duplicate { times }) => {
                for _ in 0..times.min(MOST_COPIES) {
                    let parcel = delivery.parcel.clone();
                    let copy =
                        Delivery { parcel, wait: Duration::ZERO, then: vec![], fallback: None, redelivery: None };
                    self.outbox.push(copy);
                }
                self.outbox.push(delivery);
            }
            Some(WebhookEffect::Lose) => {
                self.set_webhook_state(id, WebhookState::Lost);
                self.held.insert(new.message_sid, delivery.then);
            }
            Some(WebhookEffect::Reorder) => {
                self.set_webhook_state(id, WebhookState::Held);
                let mut held = delivery.then;
                held.push(delivery.parcel);
                self.held.insert(new.message_sid.clone(), held);
                // In case that this was the last one about the message.
                self.after(self.config.delays.status * 10 + Duration::from_secs(1), Step::Release(new.message_sid));
            }
        }
        Some(id)
    }

    /// Sends what was held back for a message after which nothing more came.
    pub(crate) fn release(&mut self, message_sid: &str) {
        let mut held = self.held.remove(message_sid).unwrap_or_default().into_iter();
        if let Some(parcel) = held.next() {
            let then = held.collect();
            self.outbox.push(Delivery { parcel, wait: Duration::ZERO, then, fallback: None, redelivery: None });
        }
    }

    /// Prepares `times` more deliveries of the same bytes.
    pub(crate) fn redeliver(
        &mut self,
        id: u64,
        times: u32,
    ) -> Option<Vec<(Delivery, oneshot::Receiver<WebhookAttempt>)>> {
        let record = self.webhooks.get_mut(id)?;
        let parcel = Parcel {
            webhook: id,
            method: record.method.parse().ok()?,
            url: without_fragment(&record.url).to_owned(),
            headers: record.headers.clone(),
            body: record.body.clone(),
            overrides: Overrides { retries: 0, ..Overrides::default() },
        };
        let again = |_| {
            let (sender, receiver) = oneshot::channel();
            let parcel = parcel.clone();
            let redelivery = Some(sender);
            (Delivery { parcel, wait: Duration::ZERO, then: vec![], fallback: None, redelivery }, receiver)
        };
        Some((0..times.clamp(1, MOST_COPIES)).map(again).collect())
    }

    pub(crate) fn set_webhook_state(&mut self, id: u64, state: WebhookState) {
        if let Some(record) = self.webhooks.get_mut(id) {
            record.state = state;
        }
    }
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// Signs and encodes. A GET carries the fields in its query, and the signature covers them there.
fn pack(payload: &Payload, auth_token: &str, idempotency_token: String) -> Parcel {
    let bare = without_fragment(&payload.url);
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&payload.form).finish();
    let (url, body, signed_form) = if payload.method == Method::GET {
        let separator = if bare.contains('?') { '&' } else { '?' };
        (format!("{bare}{separator}{encoded}"), String::new(), &[][..])
    } else {
        (bare.to_owned(), encoded, payload.form.as_slice())
    };
    let mut headers = BTreeMap::from([
        ("X-Twilio-Signature".to_owned(), signature::sign(auth_token, &url, signed_form)),
        ("I-Twilio-Idempotency-Token".to_owned(), idempotency_token),
        ("User-Agent".to_owned(), "TwilioProxy/1.1".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
    ]);
    if payload.method != Method::GET {
        headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned());
    }
    let overrides = Overrides::of(&payload.url);
    Parcel { webhook: 0, method: payload.method.clone(), url, headers, body, overrides }
}

fn record(id: u64, at: Timestamp, new: &NewWebhook, parcel: &Parcel, fault: Option<String>) -> WebhookRecord {
    let fragment = new.payload.url.split_once('#').map(|(_, fragment)| format!("#{fragment}")).unwrap_or_default();
    WebhookRecord {
        id,
        at,
        kind: new.kind,
        account: new.account.clone(),
        message_sid: new.message_sid.clone(),
        message_status: new.message_status.clone(),
        method: parcel.method.to_string(),
        url: format!("{}{fragment}", parcel.url),
        headers: parcel.headers.clone(),
        body: parcel.body.clone(),
        state: WebhookState::Pending,
        faults: fault.into_iter().collect(),
        attempts: Vec::new(),
    }
}

/// The same webhook for the fallback address, with what went wrong added by the one who delivers.
fn fallback(new: &NewWebhook, method: Method, url: String) -> NewWebhook {
    let mut form = new.payload.form.clone();
    form.push(("ErrorUrl".to_owned(), without_fragment(&new.payload.url).to_owned()));
    form.push(("ErrorCode".to_owned(), "11200".to_owned()));
    NewWebhook { kind: WebhookKind::Fallback, payload: Payload { method, url, form }, fallback: None, ..new.clone() }
}
