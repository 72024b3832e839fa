//! Remembers for a moment which lanes hold work, because asking the store after every call would cost more than the
//! calls.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;

use crate::store::queue::{DueLane, LaneRef};

/// How long the store's answer counts as fresh. A signal ends it earlier when this process queues, defers or retries.
const FRESH: Duration = Duration::from_millis(50);

/// The store's last answer, corrected by later claims.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct LaneCache {
    lanes: Vec<DueLane>,
    fresh_until: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

impl LaneCache {
    /// The lanes; `None` when the store must be asked. After the clock was set back, nothing counts as fresh.
    pub(in crate::dispatch) fn get(&self, now: Timestamp) -> Option<&[DueLane]> {
        let is_fresh = self.fresh_until.is_some_and(|until| now < until) && self.asked_at.is_some_and(|at| at <= now);
        is_fresh.then_some(&self.lanes)
    }

    pub(in crate::dispatch) fn learn(&mut self, lanes: Vec<DueLane>, now: Timestamp) -> &[DueLane] {
        self.lanes = lanes;
        self.asked_at = Some(now);
        self.fresh_until = Some(after(now, FRESH));
        &self.lanes
    }

    /// Records that nothing more is due in the lane until the store is asked again.
    pub(in crate::dispatch) fn drained(&mut self, lane: &LaneRef) {
        if let (Some(until), Some(known)) = (self.fresh_until, self.lanes.iter_mut().find(|known| known.lane == *lane))
        {
            known.next_at = until;
        }
    }

    /// Called when something was queued or may be claimed earlier than before.
    pub(in crate::dispatch) fn forget(&mut self) {
        self.fresh_until = None;
    }
}

#[cfg(test)]
mod tests {
    use messaging::id::{SenderName, TenantId};

    use super::*;
    use crate::store::message::Priority;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    fn lane(tenant: &str, next_at: Timestamp) -> DueLane {
        let (tenant, sender) = (TenantId::new(tenant).unwrap(), SenderName::new("s").unwrap());
        DueLane { lane: LaneRef { tenant, sender, priority: Priority::Utility }, next_at }
    }

    #[test]
    fn the_store_is_asked_again_after_a_moment_or_a_signal_or_a_clock_set_back() {
        let mut cache = LaneCache::default();
        assert_eq!(cache.get(at(0)), None);
        let lanes = [lane("a", at(0))];
        cache.learn(lanes.to_vec(), at(0));
        assert_eq!(cache.get(at(49)), Some(lanes.as_slice()));
        assert_eq!(cache.get(at(50)), None);
        assert_eq!(cache.get(at(-1)), None);
        cache.forget();
        assert_eq!(cache.get(at(1)), None);
    }

    #[test]
    fn a_drained_lane_is_looked_at_again_when_the_store_is_asked_again() {
        let mut cache = LaneCache::default();
        let (a, b) = (lane("a", at(0)), lane("b", at(0)));
        cache.learn(vec![a.clone(), b.clone()], at(0));
        cache.drained(&a.lane);
        assert_eq!(cache.get(at(1)), Some([lane("a", at(50)), b].as_slice()));
    }
}
