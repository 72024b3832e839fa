//! What slows a sender down beside its rates: its calls in flight, the stops after a failure of its own, and how often
//! it may write to one recipient.
//!
//! All of it is this replica's own and in memory. What it stops, whoever stopped it also puts into [`crate::holds::Holds`], where the
//! other replicas and this one's successor find it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use messaging::address::Address;
use messaging::config::Limits;
use messaging::id::{SenderName, TenantId};

use super::schedule::SenderKey;
use super::schedule::pairs::Pairs;
use crate::metrics::{DeferReason, Metrics};
use crate::store::message::Priority;

/// Of a sender's calls at once a campaign leaves one in so many to what is more urgent.
const CAMPAIGN_LEAVES_ONE_IN: u32 = 8;

/// The brakes of every sender. Whoever learns that a sender or a template must stop pulls them: dispatch from an
/// answer, the applying of webhooks from a status.
#[derive(Debug)]
pub struct Brakes {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    senders: HashMap<SenderKey, Sender>,
    /// Templates by tenant and the provider's handle, and until when none of their messages leaves.
    templates: HashMap<(TenantId, String), Timestamp>,
    pairs: Pairs,
}

#[derive(Debug, Default)]
struct Sender {
    in_flight: u32,
    stopped_until: Option<Timestamp>,
}

/// How many calls of a sender may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    For {
        /// At least one.
        calls: u32,
        /// How many of them may be a campaign's.
        campaign: u32,
    },
    None {
        why: DeferReason,
        /// When there will be room; `None` when it comes with the end of a call.
        again_at: Option<Timestamp>,
    },
}

impl Brakes {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    /// Nothing leaves through the sender until then.
    pub fn stop_sender(&self, tenant: &TenantId, sender: &SenderName, until: Timestamp) {
        tracing::warn!(%tenant, %sender, %until, "sender stopped: its account cannot send");
        self.change((tenant.clone(), sender.clone()), |sender| {
            sender.stopped_until = sender.stopped_until.max(Some(until));
        });
    }

    /// No message with this template leaves until then.
    pub fn stop_template(&self, tenant: &TenantId, handle: &str, until: Timestamp) {
        tracing::warn!(%tenant, %handle, %until, "template stopped: the provider does not take it");
        self.lock().templates.insert((tenant.clone(), handle.to_owned()), until);
    }

    /// Until when the template is stopped, if it is.
    pub(super) fn template_stopped_until(&self, tenant: &TenantId, handle: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().templates.get(&(tenant.clone(), handle.to_owned())).copied().filter(|until| *until > now)
    }

    /// Counts a message to the recipient, or says when it may leave.
    pub(super) fn pair(
        &self,
        sender: &SenderKey,
        to: &Address,
        priority: Priority,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        self.lock().pairs.take(sender, to, priority, now)
    }

    /// How many calls of the sender may begin now. Changes nothing: what then begins is told by [`Brakes::take`].
    pub(super) fn room(&self, key: &SenderKey, limits: &Limits, now: Timestamp) -> Room {
        let state = self.lock();
        let none = Sender::default();
        let sender = state.senders.get(key).unwrap_or(&none);
        if let Some(until) = sender.stopped_until.filter(|until| *until > now) {
            return Room::None { why: DeferReason::SenderStopped, again_at: Some(until) };
        }
        let most = limits.max_concurrency.max(1);
        match most.saturating_sub(sender.in_flight) {
            0 => Room::None { why: DeferReason::Concurrency, again_at: None },
            calls => Room::For { calls, campaign: calls.saturating_sub(most / CAMPAIGN_LEAVES_ONE_IN) },
        }
    }

    /// One message is on its way; it is until the answer is dropped.
    pub(super) fn take(self: &Arc<Self>, key: &SenderKey) -> InFlight {
        self.change(key.clone(), |sender| sender.in_flight += 1);
        InFlight { brakes: Arc::clone(self), key: key.clone() }
    }

    /// The calls of each tenant that are on their way.
    pub(super) fn in_flight(&self) -> HashMap<TenantId, u32> {
        let mut calls: HashMap<TenantId, u32> = HashMap::new();
        for ((tenant, _), sender) in self.lock().senders.iter().filter(|(_, sender)| sender.in_flight > 0) {
            *calls.entry(tenant.clone()).or_default() += sender.in_flight;
        }
        calls
    }

    /// Forgets senders and templates that nothing holds back, and counts those that are stopped.
    pub(super) fn tidy(&self, now: Timestamp) {
        let mut state = self.lock();
        state.templates.retain(|_, until| *until > now);
        state.senders.retain(|_, sender| sender.in_flight > 0 || sender.stopped_until.is_some_and(|until| until > now));
        let stopped = state.senders.values().filter(|s| s.stopped_until.is_some_and(|until| until > now)).count();
        self.metrics.senders_stopped(stopped);
    }

    fn change(&self, key: SenderKey, change: impl FnOnce(&mut Sender)) {
        change(self.lock().senders.entry(key).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message on its way. Dropping it, also by a panic, gives its place back.
#[derive(Debug)]
pub(super) struct InFlight {
    brakes: Arc<Brakes>,
    key: SenderKey,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.brakes.change(self.key.clone(), |sender| sender.in_flight = sender.in_flight.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    fn brakes() -> (Arc<Brakes>, SenderKey) {
        let key = (TenantId::new("shop").unwrap(), SenderName::new("support").unwrap());
        (Arc::new(Brakes::new(Arc::new(Metrics::new().unwrap()))), key)
    }

    const LIMITS: Limits = Limits { messages_per_second: 10, burst: 3, max_concurrency: 4 };
    const ALL_FREE: Room = Room::For { calls: 4, campaign: 4 };
    const FULL: Room = Room::None { why: DeferReason::Concurrency, again_at: None };

    #[test]
    fn no_more_calls_are_in_flight_than_the_sender_allows() {
        let (brakes, key) = brakes();
        let calls: Vec<_> = (0..4).map(|_| brakes.take(&key)).collect();
        assert_eq!(brakes.room(&key, &LIMITS, at(0)), FULL);
        assert_eq!(brakes.in_flight(), HashMap::from([(key.0.clone(), 4)]));
        drop(calls);
        assert_eq!(brakes.room(&key, &LIMITS, at(0)), ALL_FREE);
        assert_eq!(brakes.in_flight(), HashMap::new());
    }

    #[test]
    fn a_campaign_leaves_a_part_of_the_senders_calls_to_what_is_more_urgent() {
        let (brakes, key) = brakes();
        let limits = Limits { max_concurrency: 32, ..LIMITS };
        assert_eq!(brakes.room(&key, &limits, at(0)), Room::For { calls: 32, campaign: 28 });
        let campaign: Vec<_> = (0..28).map(|_| brakes.take(&key)).collect();
        assert_eq!(brakes.room(&key, &limits, at(0)), Room::For { calls: 4, campaign: 0 });
        drop(campaign);
    }

    #[test]
    fn a_stopped_sender_rests_until_its_time_and_no_other_does() {
        let (brakes, key) = brakes();
        let other = (key.0.clone(), SenderName::new("sales").unwrap());
        brakes.stop_sender(&key.0, &key.1, at(1000));
        let stopped = Room::None { why: DeferReason::SenderStopped, again_at: Some(at(1000)) };
        assert_eq!(brakes.room(&key, &LIMITS, at(999)), stopped);
        assert_eq!(brakes.room(&other, &LIMITS, at(999)), ALL_FREE);
        assert_eq!(brakes.room(&key, &LIMITS, at(1000)), ALL_FREE);
    }
}
