//! The tenants' customers: they write through the sandbox, which then behaves as the provider does, and some of what
//! they write is sent in the provider's name from here, so that each answer to each request is known.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::header::CONTENT_TYPE;
use sandbox::control::Client;
use sandbox::control::types::Reply;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::drive::Diary;
use crate::logs::Webhook;
use crate::signing::{Signed, inbound, text_fields};
use crate::tenant::{SENDER, Tenant};

/// As long as the provider waits for an answer here.
const PATIENCE: Duration = Duration::from_secs(5);
/// The provider repeats a webhook this often, and then gives up.
const REPETITIONS: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// What all customers of one tenant share.
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
    fn tenant(&self) -> &Tenant {
        &self.tenants[self.tenant]
    }

    /// Writes so often until told to stop, and returns when everything that was written has been told or given up.
    pub async fn write(self, per_second: u32, mut chance: StdRng) -> Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut requests = JoinSet::new();
        for n in 0_usize.. {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            while requests.try_join_next().transpose()?.is_some() {}
            if n % 2 == 0 {
                self.through_the_sandbox(n, &mut chance).await?;
            } else {
                self.directly(n, &http, &mut requests, &mut chance)?;
            }
        }
        while requests.join_next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn through_the_sandbox(&self, n: usize, chance: &mut StdRng) -> Result<()> {
        let tenant = self.tenant();
        let customer = &tenant.customers[chance.random_range(0..tenant.customers.len())];
        let reply = Reply { to: Some(tenant.number.clone()), body: format!("word {n}"), ..Reply::default() };
        self.control.reply(customer, &reply).await?;
        Ok(())
    }

    fn directly(
        &self,
        n: usize,
        http: &reqwest::Client,
        requests: &mut JoinSet<()>,
        chance: &mut StdRng,
    ) -> Result<()> {
        let tenant = self.tenant();
        let sid = format!("SM{:032x}", chance.random::<u128>());
        let from = format!("+4478{:02}{:06}", self.tenant, n % 1_000_000);
        let fields = text_fields(&tenant.account.account_sid, &sid, &from, &tenant.number, &format!("direct word {n}"));
        let path = format!("/webhooks/{}/{SENDER}/twilio/inbound", tenant.name);
        let signed = inbound(&self.public_url, &path, &tenant.account.auth_token, &fields)?;
        let place = {
            let mut diary = self.diary.open();
            let (tenant, tells) = (tenant.name.clone(), "received".to_owned());
            diary.webhooks.push(Webhook { tenant, sid, tells, ..Webhook::default() });
            diary.webhooks.len() - 1
        };
        // Copies that are sent at the same time reach different replicas.
        let copies = if chance.random_bool(0.2) { chance.random_range(2..4) } else { 1 };
        for _ in 0..copies {
            let (http, listeners, diary) = (http.clone(), self.listeners.clone(), self.diary.clone());
            let sending = send(http, listeners, signed.clone(), diary, place, StdRng::from_rng(chance));
            requests.spawn(sending);
        }
        Ok(())
    }
}

/// Sends until somebody takes it, or as often as the provider would.
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
