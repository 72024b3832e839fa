//! The world and the providers in it, behind one lock.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    config::Config,
    http::{Answer, Request},
    provider::{Answered, Credentials, Injected, Provider},
    reaction::Reaction,
    seed::Seed,
    twilio,
    world::{Settings, World, webhooks::Fallback},
};

/// Creates a provider from what the seed says about it.
type Open = fn(&Seed, &mut World) -> anyhow::Result<Box<dyn Provider>>;

/// The simulated providers. One that claims only some paths comes before one that claims all.
const PROVIDERS: &[Open] = &[twilio::open];

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: World,
    providers: Vec<Box<dyn Provider>>,
    config: Config,
    /// The sandbox's own address as a base URL.
    own_base: String,
}

impl Stage {
    /// A stage with what the seed describes.
    pub(crate) fn new(config: Config, own_base: String) -> anyhow::Result<Self> {
        let mut world = World::new(Settings {
            public_base: config.public_base.clone().unwrap_or_else(|| own_base.clone()),
            delays: config.delays,
            keep: config.keep,
            random_seed: config.random_seed,
        });
        let seed = &config.seed;
        let providers = PROVIDERS.iter().map(|open| open(seed, &mut world)).collect::<Result<_, _>>()?;
        for customer in &seed.customers {
            world.customers.behave(&customer.address, customer.behaviour.clone());
        }
        world.faults.add(seed.faults.clone())?;
        Ok(Self { world, providers, config, own_base })
    }

    /// Restores the initial state; ids in the logs keep counting.
    pub(crate) fn reset(&mut self) -> anyhow::Result<()> {
        let new = Self::new(self.config.clone(), self.own_base.clone())?;
        let before = std::mem::replace(self, new);
        self.world.count_on_from(before.world);
        Ok(())
    }

    /// The configured base of absolute links; absent: the host that the caller used.
    pub(crate) fn configured_base(&self) -> Option<&str> {
        self.config.public_base.as_deref()
    }

    /// Answers a request to a provider.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<Answered> {
        let provider = self.providers.iter_mut().find(|provider| provider.serves(request))?;
        Some(provider.answer(&mut self.world, request))
    }

    /// An error in the format of the provider that serves the request.
    pub(crate) fn error(&self, request: &Request, injected: Injected) -> Answer {
        self.provider_for(request)
            .map_or_else(|| Answer::bytes(http::StatusCode::NOT_FOUND, "", ""), |provider| provider.error(injected))
    }

    pub(crate) fn credentials(&self, request: &Request) -> Credentials {
        self.provider_for(request).map(|provider| provider.credentials(request)).unwrap_or_default()
    }

    /// Answers a call of the control API about a provider's state; `None` if no provider knows the call.
    pub(crate) fn control(&mut self, path: &[&str], request: &Request) -> Option<Reaction> {
        let Self { world, providers, .. } = self;
        providers.iter_mut().find_map(|provider| provider.control(world, path, request))
    }

    /// Sends a failed webhook to its fallback address.
    pub(crate) fn fall_back(&mut self, fallback: Fallback) {
        if let Some(provider) = self.providers.iter_mut().find(|provider| provider.name() == fallback.provider) {
            provider.fall_back(&mut self.world, fallback);
        }
    }

    /// Takes the steps that are due, at most `most`, and returns the time until the next one.
    pub(crate) fn take_due_steps(&mut self, most: usize) -> Option<Duration> {
        for _ in 0..most {
            let now = self.world.now();
            let time = self.next_step()?;
            if time > now {
                return Some(time.duration_since(now).try_into().unwrap_or_default());
            }
            self.take_step(time);
        }
        Some(Duration::ZERO)
    }

    fn next_step(&self) -> Option<Timestamp> {
        let of_providers = self.providers.iter().filter_map(|provider| provider.next_step());
        of_providers.chain(self.world.webhooks.next_release()).min()
    }

    /// Takes the step that is due at `time`.
    fn take_step(&mut self, time: Timestamp) {
        match self.providers.iter_mut().find(|provider| provider.next_step() == Some(time)) {
            Some(provider) => provider.take_step(&mut self.world),
            None => self.world.webhooks.release_next(),
        }
    }

    fn provider_for(&self, request: &Request) -> Option<&dyn Provider> {
        self.providers.iter().find(|provider| provider.serves(request)).map(|provider| &**provider)
    }
}

/// The stage, shared by all tasks.
#[derive(Debug)]
pub(crate) struct Shared {
    stage: Mutex<Stage>,
    /// Wakes the engine: a step is due, or a webhook is in the outbox.
    pub(crate) changed: Notify,
}

impl Shared {
    pub(crate) fn new(stage: Stage) -> Self {
        Self { stage: Mutex::new(stage), changed: Notify::new() }
    }

    /// Reads the stage, without waking the engine.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&mut Stage) -> T) -> T {
        see(&mut self.stage.lock())
    }

    /// Changes the stage and wakes the engine.
    pub(crate) fn change<T>(&self, act: impl FnOnce(&mut Stage) -> T) -> T {
        let result = self.look(act);
        self.changed.notify_one();
        result
    }

    /// Like [`Self::change`], but survives and counts panics, so that a fuzzer can find them.
    pub(crate) fn attempt<T>(&self, act: impl FnOnce(&mut Stage) -> T) -> Option<T> {
        self.change(|stage| {
            let result = panic::catch_unwind(AssertUnwindSafe(|| act(stage)));
            result.inspect_err(|_| stage.world.panics += 1).ok()
        })
    }
}
