//! The tenants' customers. Most of them write through the sandbox, which behaves like the provider. Some of their
//! messages are sent from here in the provider's name, so that the response to each request is known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::header::CONTENT_TYPE;
use sandbox::Client;
use sandbox::types::Reply;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::drive::Diary;
use crate::logs::Webhook;
use crate::signing::{Signed, inbound, text_fields};
use crate::tenant::{SENDER, Tenant};

/// How long the provider waits for a response in these runs.
const PATIENCE: Duration = Duration::from_secs(5);
/// The provider repeats a webhook this often, and then gives up.
const REPETITIONS: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// By what the provider names a message's author: the number, the business-scoped id, or both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) number: Option<&'a str>,
    pub(crate) user_id: Option<&'a str>,
}

impl<'a> Author<'a> {
    pub(crate) fn of(number: &'a str) -> Self {
        Self { number: Some(number), user_id: None }
    }

    fn fields(self, account: &str, sid: &str, to: &str, words: &str) -> BTreeMap<&'static str, String> {
        let from = self.number.or(self.user_id).unwrap_or_default();
        let mut fields = text_fields(account, sid, from, to, words);
        if let Some(user_id) = self.user_id {
            fields.insert("ExternalUserId", format!("whatsapp:{user_id}"));
        }
        if self.number.is_none() {
            fields.remove("WaId");
        }
        fields
    }
}

/// What all customers of one tenant share.
#[derive(Clone)]
pub struct Customers {
    pub tenants: std::sync::Arc<Vec<Tenant>>,
    pub tenant: usize,
    pub control: Client,
    pub public_url: String,
    pub listeners: Vec<SocketAddr>,
    pub diary: Diary,
    pub stop: CancellationToken,
}

impl Customers {
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenants[self.tenant]
    }

    /// Writes at this rate until it is stopped, and returns when every message is delivered or given up.
    pub async fn write(self, per_second: u32, mut chance: StdRng) -> Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut post = Post::new()?;
        for n in 0_usize.. {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            post.tidy()?;
            if n % 2 == 0 {
                let customers = &self.tenant().customers;
                let customer = &customers[chance.random_range(0..customers.len())];
                self.through_the_sandbox(customer, &format!("word {n}")).await?;
            } else {
                let from = format!("+4478{:02}{:06}", self.tenant, n % 1_000_000);
                self.directly(Author::of(&from), &format!("direct word {n}"), &mut post, &mut chance)?;
            }
        }
        post.done().await
    }

    /// A customer in the sandbox writes. Returns the message's id.
    pub(crate) async fn through_the_sandbox(&self, customer: &str, words: &str) -> Result<String> {
        let to = Some(self.tenant().number.clone());
        let reply = Reply { to, body: words.to_owned(), ..Reply::default() };
        Ok(self.control.reply(customer, &reply).await?.message_sid)
    }

    /// Reports a customer's message in the provider's name. Returns the message's id.
    pub(crate) fn directly(
        &self,
        author: Author<'_>,
        words: &str,
        post: &mut Post,
        chance: &mut StdRng,
    ) -> Result<String> {
        let tenant = self.tenant();
        let sid = format!("SM{:032x}", chance.random::<u128>());
        let fields = author.fields(&tenant.account.account_sid, &sid, &tenant.number, words);
        let path = format!("/webhooks/{}/{SENDER}/twilio/inbound", tenant.name);
        let signed = inbound(&self.public_url, &path, &tenant.account.auth_token, &fields)?;
        let place = {
            let mut diary = self.diary.open();
            let (tenant, reports) = (tenant.name.clone(), "received".to_owned());
            diary.webhooks.push(Webhook { tenant, sid: sid.clone(), reports, ..Webhook::default() });
            diary.webhooks.len() - 1
        };
        // Copies that are sent at the same time reach different replicas.
        let copies = if chance.random_bool(0.2) { chance.random_range(2..4) } else { 1 };
        for _ in 0..copies {
            let (http, listeners, diary) = (post.http.clone(), self.listeners.clone(), self.diary.clone());
            let sending = send(http, listeners, signed.clone(), diary, place, StdRng::from_rng(chance));
            post.requests.spawn(sending);
        }
        Ok(sid)
    }
}

/// The webhooks in flight from here.
pub(crate) struct Post {
    http: reqwest::Client,
    requests: JoinSet<()>,
}

impl Post {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().timeout(PATIENCE).build()?, requests: JoinSet::new() })
    }

    pub(crate) fn tidy(&mut self) -> Result<()> {
        while self.requests.try_join_next().transpose()?.is_some() {}
        Ok(())
    }

    /// Waits until every webhook is delivered or given up.
    pub(crate) async fn done(mut self) -> Result<()> {
        while self.requests.join_next().await.transpose()?.is_some() {}
        Ok(())
    }
}

/// Sends until a replica accepts it, or as often as the provider would.
async fn send(
    http: reqwest::Client,
    listeners: Vec<SocketAddr>,
    signed: Signed,
    diary: Diary,
    place: usize,
    mut chance: StdRng,
) {
    let mut pause = interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..REPETITIONS {
        pause.tick().await;
        let listener = listeners[chance.random_range(0..listeners.len())];
        let request = http
            .post(format!("http://{listener}{}", signed.path))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("x-twilio-signature", &signed.signature)
            .body(signed.body.clone());
        let answer = request.send().await.ok().map(|answer| answer.status());
        diary.open().webhooks[place].answers.push(answer.map(|status| status.as_u16()));
        if answer.is_some_and(|status| status.is_success()) {
            return;
        }
    }
}
