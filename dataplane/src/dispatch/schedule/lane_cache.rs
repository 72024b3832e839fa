//! Which lanes hold work, remembered for a moment: asking the store again after every call would cost more than the
//! calls.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;

use crate::store::queue::{DueLane, LaneRef};

/// How long the store's answer is believed. What this process queues, defers or retries is told by a bell before.
const FRESH: Duration = Duration::from_millis(50);

/// The store's last answer, corrected by what was claimed since.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct LaneCache {
    lanes: Vec<DueLane>,
    fresh_until: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

impl LaneCache {
    /// The lanes, unless the store must be asked. A clock that was set back makes nothing fresh.
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

    /// Nothing more is due in the lane; when it will be only the store knows.
    pub(in crate::dispatch) fn drained(&mut self, lane: &LaneRef) {
        if let (Some(until), Some(known)) = (self.fresh_until, self.lanes.iter_mut().find(|known| known.lane == *lane))
        {
            known.next_at = until;
        }
    }

    /// Something was queued, or may be claimed earlier than before.
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
    fn the_store_is_asked_again_after_a_moment_or_a_bell_or_a_clock_that_was_set_back() {
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
