//! What is not a provider's: the clock, randomness, customers, faults, and the logs of requests and webhooks.
//!
//! Nothing here waits: [`crate::engine`] and [`crate::server`] do.

pub(crate) mod customers;
pub(crate) mod faults;
mod log;
pub(crate) mod patience;
pub(crate) mod webhooks;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};

use self::{
    customers::Customers,
    faults::Faults,
    log::Log,
    webhooks::{NewWebhook, Webhooks},
};
use crate::{clock, delays::Delays, types::RequestRecord};

/// The settings of a world.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The base of absolute links outside any request.
    pub(crate) public_base: String,
    pub(crate) delays: Delays,
    /// How many requests, webhooks and messages are kept, each.
    pub(crate) keep: usize,
    pub(crate) random_seed: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) delays: Delays,
    pub(crate) keep: usize,
    pub(crate) rng: StdRng,
    pub(crate) customers: Customers,
    pub(crate) faults: Faults,
    pub(crate) requests: Log<RequestRecord>,
    pub(crate) webhooks: Webhooks,
    /// Requests that ended in a panic.
    pub(crate) panics: u64,
    public_base: String,
    ahead: SignedDuration,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { public_base, delays, keep, random_seed } = settings;
        Self {
            delays,
            keep,
            rng: random_seed.map_or_else(rand::make_rng, StdRng::seed_from_u64),
            customers: Customers::default(),
            faults: Faults::default(),
            requests: Log::new(keep),
            webhooks: Webhooks::new(keep),
            panics: 0,
            public_base,
            ahead: SignedDuration::ZERO,
        }
    }

    /// Continues the ids of `before`, whose log is forgotten.
    pub(crate) fn count_on_from(&mut self, before: World) {
        self.requests = before.requests;
        self.requests.clear();
        self.webhooks.log = before.webhooks.log;
        self.webhooks.log.clear();
        self.panics = before.panics;
    }

    /// The base of absolute links outside any request.
    pub(crate) fn public_base(&self) -> &str {
        &self.public_base
    }

    /// The sandbox's time: the machine's, plus what the clock was advanced.
    pub(crate) fn now(&self) -> Timestamp {
        clock::machine_time().saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn move_clock(&mut self, by: SignedDuration) {
        self.ahead = self.ahead.checked_add(by).unwrap_or(self.ahead);
    }

    pub(crate) fn time_after(&self, delay: Duration) -> Timestamp {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        self.now().saturating_add(delay).unwrap_or(Timestamp::MAX)
    }

    /// Logs and sends a webhook, unless a fault intervenes. Returns its id in the log.
    pub(crate) fn send_webhook(&mut self, new: NewWebhook) -> u64 {
        let about = &new.about;
        let (status, to, account) = (&about.message_status, &about.to, &about.account);
        let met = self.faults.meet_webhook(about.kind, status, to, account, &mut self.rng);
        // A held webhook is released then, if no other about its message follows.
        let release_at = self.time_after(self.delays.status * 10 + Duration::from_secs(1));
        self.webhooks.send(new, met, self.now(), release_at)
    }
}
