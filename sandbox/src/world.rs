//! Everything the sandbox knows, behind one lock, and the steps that are due later.
//!
//! What happens is decided in here without waiting for anything; [`crate::engine`] and [`crate::server`] do the
//! waiting.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;

use crate::{
    clock,
    config::Config,
    control::types::{RequestRecord, WebhookAttempt, WebhookRecord, WebhookState},
    customers::Customers,
    faults::Faults,
    log::Log,
    twilio::{self, review::Reviews},
    webhooks::{Delivery, Parcel},
};

/// Something that happens by itself when its time has come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A message's next status.
    Advance(String),
    /// A submitted content's next state.
    Review(String),
    /// A changed sender is online again.
    SenderOnline(String),
    /// Webhooks that were held back about a message.
    Release(String),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) rng: StdRng,
    pub(crate) twilio: twilio::State,
    pub(crate) customers: Customers,
    pub(crate) reviews: Reviews,
    pub(crate) faults: Faults,
    pub(crate) requests: Log<RequestRecord>,
    pub(crate) webhooks: Log<WebhookRecord>,
    /// Webhooks that wait for the next one about their message.
    pub(crate) held: HashMap<String, Vec<Parcel>>,
    /// Webhooks that the engine is to hand to the deliverer.
    pub(crate) outbox: Vec<Delivery>,
    pub(crate) panics: u64,
    /// The sandbox's own address as a base URL, for links that no request asks for.
    own_base: String,
    due: BinaryHeap<Reverse<(Timestamp, u64, Step)>>,
    steps: u64,
    ahead: SignedDuration,
}

impl World {
    /// A world as the seed describes it.
    pub(crate) fn new(config: Config, own_base: String) -> anyhow::Result<Self> {
        let rng = config.random_seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        let mut world = Self {
            rng,
            twilio: twilio::State::default(),
            customers: Customers::default(),
            reviews: Reviews::default(),
            faults: Faults::default(),
            requests: Log::new(config.keep),
            webhooks: Log::new(config.keep),
            held: HashMap::new(),
            outbox: Vec::new(),
            panics: 0,
            own_base,
            due: BinaryHeap::new(),
            steps: 0,
            ahead: SignedDuration::ZERO,
            config,
        };
        let seed = world.config.seed.clone();
        for account in seed.accounts {
            world.create_account(account)?;
        }
        for customer in seed.customers {
            world.customers.behave(&customer.address, customer.behaviour);
        }
        world.reviews.add(seed.reviews)?;
        world.faults.add(seed.faults)?;
        Ok(world)
    }

    /// Everything as at the start; logs go on counting.
    pub(crate) fn reset(&mut self) -> anyhow::Result<()> {
        let mut new = Self::new(self.config.clone(), self.own_base.clone())?;
        mem::swap(&mut new.requests, &mut self.requests);
        mem::swap(&mut new.webhooks, &mut self.webhooks);
        new.requests.clear();
        new.webhooks.clear();
        new.panics = self.panics;
        *self = new;
        Ok(())
    }

    /// Where absolute links lead that no request asks for.
    pub(crate) fn public_base(&self) -> String {
        self.config.public_base.clone().unwrap_or_else(|| self.own_base.clone())
    }

    /// The sandbox's time: the machine's, plus what it was moved forward.
    pub(crate) fn now(&self) -> Timestamp {
        clock::machine_time().saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn move_clock(&mut self, by: SignedDuration) {
        self.ahead = self.ahead.checked_add(by).unwrap_or(self.ahead);
    }

    pub(crate) fn after(&mut self, delay: Duration, step: Step) {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        self.at(self.now().saturating_add(delay).unwrap_or(Timestamp::MAX), step);
    }

    pub(crate) fn at(&mut self, time: Timestamp, step: Step) {
        self.steps += 1;
        self.due.push(Reverse((time, self.steps, step)));
    }

    /// Takes the steps whose time has come, at most `most`, and says how long it is until the next one.
    pub(crate) fn take_due_steps(&mut self, most: usize) -> Option<Duration> {
        let now = self.now();
        for _ in 0..most {
            match self.due.peek() {
                None => return None,
                Some(Reverse((time, ..))) if *time > now => {
                    return Some(time.duration_since(now).try_into().unwrap_or_default());
                }
                Some(_) => {}
            }
            if let Some(Reverse((_, _, step))) = self.due.pop() {
                self.take(step);
            }
        }
        Some(Duration::ZERO)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Advance(sid) => twilio::lifecycle::advance(self, &sid),
            Step::Review(sid) => twilio::review::advance(self, &sid),
            Step::SenderOnline(sid) => twilio::senders::comes_online(self, &sid),
            Step::Release(sid) => self.release(&sid),
        }
    }
}

/// The world, for everybody.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Wakes the engine: something is due, or waits in the outbox.
    pub(crate) changed: Notify,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Mutex::new(world), changed: Notify::new() }
    }

    /// Looks at the world without giving the engine work.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&mut World) -> T) -> T {
        see(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the world, and wakes the engine.
    pub(crate) fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let result = self.look(act);
        self.changed.notify_one();
        result
    }

    /// Changes the world, and survives a defect of the sandbox, so that a fuzzer can count them.
    pub(crate) fn attempt<T>(&self, act: impl FnOnce(&mut World) -> T) -> Option<T> {
        self.change(|world| {
            let result = panic::catch_unwind(AssertUnwindSafe(|| act(world)));
            result.inspect_err(|_| world.panics += 1).ok()
        })
    }

    pub(crate) fn note_attempt(&self, webhook: u64, attempt: WebhookAttempt, state: Option<WebhookState>) {
        self.look(|world| {
            let Some(record) = world.webhooks.get_mut(webhook) else { return };
            record.attempts.push(attempt);
            // A copy that failed does not undo a delivery.
            if let Some(state) = state.filter(|_| record.state != WebhookState::Delivered) {
                record.state = state;
            }
        });
    }
}
