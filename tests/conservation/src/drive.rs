//! The tenants' clients. They request messages, repeat a request under the same key until a response is final, and
//! cancel some of the messages.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use parking_lot::{Mutex, MutexGuard};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::api::TenantApi;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::logs::{Answer, Asked, Keyword, Webhook};
use crate::now;
use crate::template::Template;
use crate::tenant::{SENDER, Tenant};

/// A request without a response within this time is repeated.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a client repeats a request.
const PAUSE: Duration = Duration::from_millis(150);
/// Concurrent requests of one tenant's clients. Further requests wait, as behind any connection pool.
const AT_ONCE: usize = 48;

/// The clients' own record.
#[derive(Debug, Clone, Default)]
pub struct Diary(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
pub struct Pages {
    pub asked: Vec<Asked>,
    /// Webhooks that the sandbox did not send.
    pub webhooks: Vec<Webhook>,
    pub keywords: Vec<Keyword>,
}

impl Diary {
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock()
    }
}

/// What a tenant's clients share.
#[derive(Clone)]
pub struct Clients {
    pub tenants: Arc<Vec<Tenant>>,
    pub tenant: usize,
    /// One per replica, made once, because making a client costs more than many requests.
    pub apis: Vec<TenantApi>,
    pub diary: Diary,
    /// Set when no new request may begin. Requests in flight go on until their response is final.
    pub stop: CancellationToken,
}

impl Clients {
    fn tenant(&self) -> &Tenant {
        &self.tenants[self.tenant]
    }

    /// Makes requests at this rate until it is stopped, and returns when every request has a final response.
    pub async fn ask(self, per_second: u32, mut chance: StdRng) -> Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut requests = JoinSet::new();
        for n in 0.. {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if requests.len() >= AT_ONCE
                && let Some(ended) = requests.join_next().await
            {
                ended?;
            }
            let wish = Wish::draw(self.tenant(), n, &mut chance);
            requests.spawn(self.clone().insist(wish, StdRng::from_rng(&mut chance)));
        }
        while let Some(ended) = requests.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Requests these messages at once, and returns when every request has a final response.
    pub async fn ask_for(self, which: Range<usize>, mut chance: StdRng) -> Result<()> {
        let mut requests = JoinSet::new();
        for n in which {
            let wish = Wish::plain(self.tenant(), n);
            requests.spawn(self.clone().insist(wish, StdRng::from_rng(&mut chance)));
        }
        while let Some(ended) = requests.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Repeats one request until a response is final. After that some requests are repeated anyway, and some messages
    /// are canceled.
    async fn insist(self, wish: Wish, mut chance: StdRng) {
        let place = {
            let mut diary = self.diary.open();
            diary.asked.push(Asked { asked_at: now(), ..wish.asked.clone() });
            diary.asked.len() - 1
        };
        let mut pause = interval(PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut repetitions = wish.repetitions;
        loop {
            pause.tick().await;
            let (replica, api) = self.api(&mut chance);
            let request = api.request(Method::POST, "/v1/messages", Some(&wish.asked.key), Some(&wish.body));
            let answer = answer(replica, timeout(PATIENCE, request).await);
            let (decided, id) = (is_decided(&answer), answer.message.clone());
            self.diary.open().asked[place].answers.push(answer);
            if !decided {
                continue;
            }
            if repetitions > 0 {
                repetitions -= 1;
                continue;
            }
            if let (true, Some(id)) = (wish.withdraws, id) {
                self.withdraw(place, &id, &mut chance).await;
            }
            return;
        }
    }

    async fn withdraw(&self, place: usize, id: &str, chance: &mut StdRng) {
        let mut pause = interval(PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let path = format!("/v1/messages/{id}/cancel");
        loop {
            pause.tick().await;
            let (replica, api) = self.api(chance);
            let answer = answer(replica, timeout(PATIENCE, api.request(Method::POST, &path, None, None)).await);
            self.diary.open().asked[place].withdrawals.push(answer.status);
            if is_decided(&answer) {
                return;
            }
        }
    }

    /// A random replica. Clients do not know which replicas are alive.
    fn api(&self, chance: &mut StdRng) -> (String, &TenantApi) {
        let n = chance.random_range(0..self.apis.len());
        (format!("replica-{n}"), &self.apis[n])
    }
}

/// One message that a client wants to send.
struct Wish {
    asked: Asked,
    body: Value,
    /// How often the request is repeated after its final response.
    repetitions: u32,
    withdraws: bool,
}

impl Wish {
    /// Free text, to each customer in turn.
    fn plain(tenant: &Tenant, n: usize) -> Self {
        let key = format!("{}-{n}", tenant.name);
        let to = tenant.customers[n % tenant.customers.len()].clone();
        let text = format!("message {key}");
        let body = json!({"to": to, "from": SENDER, "text": {"body": text}, "metadata": {"key": key}});
        let person = tenant.person(&to).to_owned();
        let asked = Asked { tenant: tenant.name.clone(), key, text, to, person, ..Asked::default() };
        Self { asked, body, repetitions: 0, withdraws: false }
    }

    fn draw(tenant: &Tenant, n: usize, chance: &mut StdRng) -> Self {
        let mut wish = Self::plain(tenant, n);
        if chance.random_bool(0.25) {
            // For customers who keep opting out and in, it matters when a message is sent.
            let numbers = &tenant.fickle[chance.random_range(0..tenant.fickle.len())].numbers;
            wish.is_to(tenant, &numbers[chance.random_range(0..numbers.len())]);
        }
        if chance.random_bool(0.3) {
            wish.uses(&tenant.templates[chance.random_range(0..tenant.templates.len())]);
        }
        wish.repetitions = u32::from(chance.random_bool(0.1));
        wish.withdraws = chance.random_bool(0.15);
        if chance.random_bool(if wish.withdraws { 0.5 } else { 0.1 }) {
            let ahead = SignedDuration::from_millis(chance.random_range(200..4000));
            let at = now().saturating_add(ahead).unwrap_or_default();
            wish.body["scheduleAt"] = json!(at.to_string());
        }
        if chance.random_bool(0.05) {
            wish.body["validFor"] = json!("10s");
            wish.asked.expires = true;
        }
        if chance.random_bool(0.25) {
            wish.body["onUnconfirmed"] = json!("resend");
            wish.asked.resends = true;
        }
        wish
    }

    fn is_to(&mut self, tenant: &Tenant, number: &str) {
        number.clone_into(&mut self.asked.to);
        tenant.person(number).clone_into(&mut self.asked.person);
        self.body["to"] = json!(number);
    }

    /// A template message with the key in its text, which makes the text unique.
    fn uses(&mut self, template: &Template) {
        self.asked.text = template.text(&self.asked.key);
        self.asked.template = Some(template.handle.clone());
        if let Some(fields) = self.body.as_object_mut() {
            fields.remove("text");
        }
        self.body["template"] = json!({"name": template.name, "values": {"1": self.asked.key}});
    }
}

type Outcome = Result<Result<tests::api::Answer>, tokio::time::error::Elapsed>;

fn answer(replica: String, outcome: Outcome) -> Answer {
    match outcome {
        Ok(Ok(answer)) => Answer {
            replica,
            status: Some(answer.status.as_u16()),
            message: answer.body["id"].as_str().filter(|_| answer.status == StatusCode::ACCEPTED).map(str::to_owned),
            words: if answer.status.is_success() { String::new() } else { answer.body.to_string() },
            at: now(),
        },
        Ok(Err(error)) => Answer { replica, words: format!("{error:#}"), at: now(), ..Answer::default() },
        Err(_) => Answer { replica, words: "no answer in time".to_owned(), at: now(), ..Answer::default() },
    }
}

/// Whether repeating the request would be pointless. A tenant that was removed from the configs may be put back.
fn is_decided(answer: &Answer) -> bool {
    answer.status.is_some_and(|status| status < 500 && !matches!(status, 401 | 408 | 429))
}
