//! One tenant in a turn: which of its lanes is next, and whether it may hold another place.

use std::collections::BTreeMap;

use messaging::id::{SenderName, TenantId};

use super::{Share, Waiting};
use crate::store::message::Priority;
use crate::store::queue::LaneRef;

/// How many times the free places a tenant may hold. A tenant that is alone holds at most seven places in eight. The
/// more tenants have slow calls, the fewer places each holds. So a new tenant finds a free place at once.
const CALLS_PER_FREE_PLACE: u32 = 7;
/// The same for one-time passwords: they find a place even when the tenant's campaign holds all it may.
const URGENT_CALLS_PER_FREE_PLACE: u32 = 15;

/// A tenant's lanes in the order in which they are considered, and what they were given in this turn.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    /// Calls in flight and places given.
    holds: u32,
    /// By priority, then by sender.
    lanes: Vec<Lane>,
    /// Where the search of a priority goes on: the lane after the one that was served last.
    next: BTreeMap<Priority, usize>,
    served: BTreeMap<Priority, usize>,
}

#[derive(Debug)]
struct Lane {
    lane: LaneRef,
    draws_on: Vec<usize>,
    appetite: u32,
    given: u32,
}

impl Tenant {
    /// `lanes` come with how much to ask for of each at most.
    pub(super) fn new(
        id: TenantId,
        lanes: Vec<(Waiting, u32)>,
        in_flight: u32,
        last_sender: &BTreeMap<Priority, SenderName>,
    ) -> Self {
        let mut lanes: Vec<Lane> = lanes
            .into_iter()
            .map(|(Waiting { lane, draws_on }, appetite)| Lane { lane, draws_on, appetite, given: 0 })
            .collect();
        lanes.sort_by(|a, b| (a.lane.priority, &a.lane.sender).cmp(&(b.lane.priority, &b.lane.sender)));
        let mut next = BTreeMap::new();
        for (index, Lane { lane, .. }) in lanes.iter().enumerate() {
            if last_sender.get(&lane.priority).is_none_or(|last| lane.sender > *last) {
                next.entry(lane.priority).or_insert(index);
            }
        }
        Self { id, holds: in_flight, lanes, next, served: BTreeMap::new() }
    }

    /// The lane to serve next: the most urgent with room, in rotation.
    pub(super) fn next_lane(&self, pools: &[u32], free: u32) -> Option<usize> {
        Priority::ALL.into_iter().find_map(|priority| {
            if !self.may_hold_another(priority, free) {
                return None;
            }
            let first = self.lanes.partition_point(|lane| lane.lane.priority < priority);
            let end = self.lanes.partition_point(|lane| lane.lane.priority <= priority);
            let next = self.next.get(&priority).copied().unwrap_or(first);
            (next..end).chain(first..next).find(|&index| self.lanes[index].has_room(pools))
        })
    }

    fn may_hold_another(&self, priority: Priority, free: u32) -> bool {
        let calls = match priority {
            Priority::Authentication => URGENT_CALLS_PER_FREE_PLACE,
            Priority::Utility | Priority::Marketing => CALLS_PER_FREE_PLACE,
        };
        self.holds < free.saturating_mul(calls)
    }

    /// Gives a lane one place. Returns whether it is its first.
    pub(super) fn grant(&mut self, index: usize, pools: &mut [u32]) -> bool {
        let lane = &mut self.lanes[index];
        for &pool in &lane.draws_on {
            pools[pool] = pools[pool].saturating_sub(1);
        }
        lane.given += 1;
        self.holds += 1;
        let priority = lane.lane.priority;
        let end = self.lanes.partition_point(|lane| lane.lane.priority <= priority);
        let first = self.lanes.partition_point(|lane| lane.lane.priority < priority);
        self.next.insert(priority, if index + 1 < end { index + 1 } else { first });
        self.served.insert(priority, index);
        self.lanes[index].given == 1
    }

    pub(super) fn share(&self, index: usize) -> Share {
        let Lane { lane, given, .. } = &self.lanes[index];
        Share { lane: lane.clone(), count: *given }
    }

    /// The sender that was served last in each priority that was served.
    pub(super) fn last_senders(&self) -> impl Iterator<Item = (Priority, SenderName)> {
        self.served.iter().map(|(&priority, &index)| (priority, self.lanes[index].lane.sender.clone()))
    }
}

impl Lane {
    fn has_room(&self, pools: &[u32]) -> bool {
        self.given < self.appetite && self.draws_on.iter().all(|&pool| pools[pool] > 0)
    }
}
