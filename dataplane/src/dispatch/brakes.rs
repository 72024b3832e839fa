//! What slows a sender down: its rate, its calls in flight, and the stops after a failure of its own.
//!
//! All of it is this replica's own and in memory: after a restart a bucket is empty, and a stopped sender is tried once
//! more. Two replicas together may so reach twice a sender's rate; the provider's own limit then answers with a 429,
//! which is safe to retry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use messaging::config::Limits;
use messaging::id::{SenderName, TenantId};
use messaging::rate::{Bucket, Pace, Rate};

use super::fair::SenderKey;
use crate::metrics::{DeferReason, Metrics};

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
}

#[derive(Debug, Default)]
struct Sender {
    bucket: Option<Bucket>,
    in_flight: u32,
    stopped_until: Option<Timestamp>,
}

/// How much a sender may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many messages, at least one.
    For(u32),
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

    /// How much the sender may send now, `at_most` aside. Changes nothing: what is then taken is told by
    /// [`Brakes::take`].
    pub(super) fn room(&self, key: &SenderKey, limits: &Limits, at_most: u32, now: Timestamp) -> Room {
        let state = self.lock();
        let none = Sender::default();
        let sender = state.senders.get(key).unwrap_or(&none);
        if let Some(until) = sender.stopped_until.filter(|until| *until > now) {
            return Room::None { why: DeferReason::SenderStopped, again_at: Some(until) };
        }
        let free = limits.max_concurrency.max(1).saturating_sub(sender.in_flight).min(at_most);
        if free == 0 {
            return Room::None { why: DeferReason::Concurrency, again_at: None };
        }
        let (rate, mut bucket, mut room) = (Rate::from(limits), sender.bucket, 0);
        while room < free {
            match rate.check(bucket, now) {
                Pace::Go(filled) => (bucket, room) = (Some(filled), room + 1),
                Pace::RetryAt(at) if room == 0 => return Room::None { why: DeferReason::Rate, again_at: Some(at) },
                Pace::RetryAt(_) => break,
            }
        }
        Room::For(room)
    }

    /// One message is on its way; it is until the answer is dropped.
    pub(super) fn take(self: &Arc<Self>, key: &SenderKey, limits: &Limits, now: Timestamp) -> InFlight {
        self.change(key.clone(), |sender| {
            sender.in_flight += 1;
            if let Pace::Go(filled) = Rate::from(limits).check(sender.bucket, now) {
                sender.bucket = Some(filled);
            }
        });
        InFlight { brakes: Arc::clone(self), key: key.clone() }
    }

    /// Forgets senders and templates that nothing holds back, and counts those that are stopped.
    pub(super) fn tidy(&self, now: Timestamp) {
        let mut state = self.lock();
        state.templates.retain(|_, until| *until > now);
        state.senders.retain(|_, sender| {
            sender.in_flight > 0
                || sender.stopped_until.is_some_and(|until| until > now)
                || sender.bucket.is_some_and(|bucket| bucket.empty_at() > now)
        });
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

    #[test]
    fn a_burst_passes_and_then_the_rate_says_when() {
        let (brakes, key) = brakes();
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(0)), Room::For(3), "asking takes nothing");
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(0)), Room::For(3));
        for _ in 0..3 {
            drop(brakes.take(&key, &LIMITS, at(0)));
        }
        let again_at = Some(at(100));
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(0)), Room::None { why: DeferReason::Rate, again_at });
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(100)), Room::For(1));
    }

    #[test]
    fn no_more_calls_are_in_flight_than_the_sender_allows() {
        let (brakes, key) = brakes();
        let limits = Limits { burst: 99, ..LIMITS };
        let calls: Vec<_> = (0..4).map(|_| brakes.take(&key, &limits, at(0))).collect();
        let full = Room::None { why: DeferReason::Concurrency, again_at: None };
        assert_eq!(brakes.room(&key, &limits, 99, at(0)), full);
        drop(calls);
        assert_eq!(brakes.room(&key, &limits, 99, at(0)), Room::For(4));
    }

    #[test]
    fn a_stopped_sender_rests_until_its_time_and_no_other_does() {
        let (brakes, key) = brakes();
        let other = (key.0.clone(), SenderName::new("sales").unwrap());
        brakes.stop_sender(&key.0, &key.1, at(1000));
        let stopped = Room::None { why: DeferReason::SenderStopped, again_at: Some(at(1000)) };
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(999)), stopped);
        assert_eq!(brakes.room(&other, &LIMITS, 99, at(999)), Room::For(3));
        assert_eq!(brakes.room(&key, &LIMITS, 99, at(1000)), Room::For(3));
    }
}
