//! The scheduler's input: which lanes wait and what limits them, from configs, holds, brakes and rates.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use messaging::breaker::Passage;
use messaging::id::TenantId;
use messaging::provider::MessagingProvider;

use super::brakes::{Brakes, Destination, Room};
use super::schedule::rates::{self, Buckets};
use super::schedule::{SenderKey, Turn, Waiting};
use crate::config::Configs;
use crate::holds::Holds;
use crate::metrics::{DeferReason, Metrics};
use crate::store::message::Priority;
use crate::store::queue::{DueLane, RateOf};

/// What one turn decides from.
#[derive(Default)]
pub(super) struct Outlook {
    pub(super) turn: Turn,
    /// The rates that each waiting sender's messages count against.
    pub(super) rates: HashMap<SenderKey, [RateOf; 2]>,
    /// Where each waiting sender's calls go.
    pub(super) destinations: HashMap<SenderKey, Destination>,
    /// Providers that are away and have work waiting, which are to be asked whether they are back.
    pub(super) probes: HashMap<Destination, Arc<dyn MessagingProvider>>,
    /// When the next lane becomes due or gets room; `None` when no time is known.
    pub(super) next_at: Option<Timestamp>,
}

/// What an outlook is made from.
pub(super) struct Limits<'a> {
    pub(super) configs: &'a Configs,
    pub(super) brakes: &'a Brakes,
    pub(super) holds: &'a Holds,
    pub(super) buckets: &'a Buckets,
    pub(super) metrics: &'a Metrics,
    pub(super) now: Timestamp,
}

/// The pools that a sender's lanes draw on.
#[derive(Debug, Clone, Copy)]
struct SenderPools {
    calls: usize,
    campaign: usize,
    rates: [usize; 2],
    destination: usize,
}

/// The pools found so far.
#[derive(Debug, Default)]
struct Found {
    /// `None` when the sender takes no part.
    senders: HashMap<SenderKey, Option<SenderPools>>,
    buckets: HashMap<(TenantId, String), usize>,
    destinations: HashMap<Destination, usize>,
}

impl Outlook {
    pub(super) fn new(lanes: &[DueLane], places: u32, limits: &Limits<'_>) -> Self {
        let turn = Turn { places, in_flight: limits.brakes.in_flight(), ..Turn::default() };
        let mut outlook = Self { turn, ..Self::default() };
        let mut found = Found::default();
        for DueLane { lane, next_at } in lanes {
            // A scheduled or deferred message takes no part in fairness before its time.
            if *next_at > limits.now {
                outlook.look_again_at(Some(*next_at));
                continue;
            }
            let key = (lane.tenant.clone(), lane.sender.clone());
            let pools = match found.senders.get(&key) {
                Some(pools) => *pools,
                None => {
                    let pools = outlook.sender(&key, limits, &mut found.buckets, &mut found.destinations);
                    found.senders.insert(key, pools);
                    pools
                }
            };
            let Some(SenderPools { calls, campaign, rates: [account, own], destination }) = pools else { continue };
            let mut draws_on = vec![calls, account, own, destination];
            if lane.priority == Priority::Marketing {
                draws_on.push(campaign);
            }
            outlook.turn.waiting.push(Waiting { lane: lane.clone(), draws_on });
        }
        outlook
    }

    /// The pools of a sender; `None` when it takes no part. A sender that merely has no room now takes part and keeps
    /// its place.
    fn sender(
        &mut self,
        key: &SenderKey,
        limits: &Limits<'_>,
        buckets: &mut HashMap<(TenantId, String), usize>,
        destinations: &mut HashMap<Destination, usize>,
    ) -> Option<SenderPools> {
        let tenant = limits.configs.get(&key.0);
        let Some(sender) = tenant.as_ref().and_then(|tenant| tenant.sender(&key.1)) else {
            // Its messages wait: the config may come back, and an accepted message never disappears.
            limits.metrics.deferred(DeferReason::NoConfig);
            return None;
        };
        if sender.config.paused {
            limits.metrics.deferred(DeferReason::Paused);
            return None;
        }
        if let Some(hold) = limits.holds.blocks_dispatch(&key.0, &key.1, limits.now) {
            let why = if hold.kind.is_of_a_person() { DeferReason::Paused } else { DeferReason::SenderStopped };
            self.no_room(why, Some(hold.until), limits);
            return None;
        }
        let destination = Destination::of(&sender.config.provider);
        let passing = match limits.brakes.passage(&destination, sender.provider.probe().is_some(), limits.now) {
            Passage::Calls(calls) => calls,
            Passage::Probe => {
                self.probes.insert(destination, Arc::clone(sender.provider));
                self.no_room(DeferReason::ProviderAway, None, limits);
                return None;
            }
            Passage::Nothing { again_at } => {
                self.no_room(DeferReason::ProviderAway, Some(again_at), limits);
                return None;
            }
        };
        if passing == 0 {
            self.no_room(DeferReason::Concurrency, None, limits);
        }
        let (calls, campaign) = match limits.brakes.room(key, &sender.config.limits, limits.now) {
            Room::For { calls, campaign } => (calls, campaign),
            Room::None { why, again_at } => {
                self.no_room(why, again_at, limits);
                (0, 0)
            }
        };
        let of = rates::all(&key.0, &sender);
        let [account, own] = &of;
        let rates = [(account, DeferReason::AccountRate), (own, DeferReason::Rate)].map(|(rate, why)| {
            let room = limits.buckets.room(rate, self.turn.places, limits.now).unwrap_or_else(|again_at| {
                self.no_room(why, Some(again_at), limits);
                0
            });
            *buckets.entry(rate.key()).or_insert_with(|| self.turn.pool(room))
        });
        self.rates.insert(key.clone(), of);
        self.destinations.insert(key.clone(), destination.clone());
        let destination = *destinations.entry(destination).or_insert_with(|| self.turn.pool(passing));
        Some(SenderPools { calls: self.turn.pool(calls), campaign: self.turn.pool(campaign), rates, destination })
    }

    fn no_room(&mut self, why: DeferReason, again_at: Option<Timestamp>, limits: &Limits<'_>) {
        limits.metrics.deferred(why);
        self.look_again_at(again_at);
    }

    fn look_again_at(&mut self, at: Option<Timestamp>) {
        self.next_at = match (self.next_at, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
