//! Who goes first: tenants in turn, and within a tenant its most urgent lane.
//!
//! Every message costs the same, so the deficits of deficit round robin are never fractions, and turning by one message
//! at a time gives what they would: no tenant gets a second place before every other that wants one has had a first.

use std::collections::{BTreeMap, HashMap, VecDeque};

use messaging::id::{SenderName, TenantId};

use crate::store::queue::LaneRef;

/// A sender of a tenant: what limits are kept by.
pub(super) type SenderKey = (TenantId, SenderName);

/// Whose turn it is, kept from one time to the next.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    served_last: Option<TenantId>,
}

impl Rotation {
    /// Splits `places` among the lanes that have due work. `room` says how many each sender may take; a sender that it
    /// does not name may take none. The shares are in the order in which they should be claimed.
    pub(super) fn share(
        &mut self,
        lanes: Vec<LaneRef>,
        room: &HashMap<SenderKey, u32>,
        mut places: u32,
    ) -> Vec<(LaneRef, u32)> {
        let mut room = room.clone();
        let mut by_tenant: BTreeMap<TenantId, Vec<LaneRef>> = BTreeMap::new();
        for lane in lanes {
            by_tenant.entry(lane.tenant.clone()).or_default().push(lane);
        }
        for lanes in by_tenant.values_mut() {
            lanes.sort_by(|a, b| (a.priority, &a.sender).cmp(&(b.priority, &b.sender)));
        }
        let mut turns: VecDeque<TenantId> = by_tenant.keys().cloned().collect();
        if let Some(last) = &self.served_last {
            let next = turns.iter().position(|tenant| tenant > last).unwrap_or(0);
            turns.rotate_left(next);
        }

        let mut shares: BTreeMap<LaneRef, u32> = BTreeMap::new();
        let mut order = Vec::new();
        while places > 0
            && let Some(tenant) = turns.pop_front()
        {
            let lanes = by_tenant.get(&tenant).map(Vec::as_slice).unwrap_or_default();
            let free = |lane: &&LaneRef| room.get(&key(lane)).is_some_and(|&left| left > 0);
            // A tenant whose lanes have no room left drops out of the turn.
            let Some(lane) = lanes.iter().find(free) else { continue };
            if let Some(left) = room.get_mut(&key(lane)) {
                *left -= 1;
            }
            let share = shares.entry(lane.clone()).or_default();
            if *share == 0 {
                order.push(lane.clone());
            }
            *share += 1;
            places -= 1;
            self.served_last = Some(tenant.clone());
            turns.push_back(tenant);
        }
        order.into_iter().map(|lane| (lane.clone(), shares.get(&lane).copied().unwrap_or(0))).collect()
    }
}

pub(super) fn key(lane: &LaneRef) -> SenderKey {
    (lane.tenant.clone(), lane.sender.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::message::Priority;

    fn lane(tenant: &str, sender: &str, priority: Priority) -> LaneRef {
        LaneRef { tenant: TenantId::new(tenant).unwrap(), sender: SenderName::new(sender).unwrap(), priority }
    }

    fn utility(tenant: &str) -> LaneRef {
        lane(tenant, "s", Priority::Utility)
    }

    fn room(lanes: &[LaneRef], each: u32) -> HashMap<SenderKey, u32> {
        lanes.iter().map(|lane| (key(lane), each)).collect()
    }

    #[test]
    fn a_tenant_with_much_to_send_takes_no_more_than_its_turn() {
        let lanes: Vec<_> = ["heavy", "light-1", "light-2"].map(utility).into();
        let mut wants = room(&lanes, 1);
        wants.insert(key(&lanes[0]), 1000);
        let shares = Rotation::default().share(lanes.clone(), &wants, 4);
        assert_eq!(shares, [(lanes[0].clone(), 2), (lanes[1].clone(), 1), (lanes[2].clone(), 1)]);
    }

    #[test]
    fn with_one_place_at_a_time_every_tenant_is_served_before_any_is_served_again() {
        let lanes: Vec<_> = ["a", "b", "c"].map(utility).into();
        let mut rotation = Rotation::default();
        let mut served = Vec::new();
        for _ in 0..6 {
            let shares = rotation.share(lanes.clone(), &room(&lanes, 9), 1);
            served.push(shares[0].0.tenant.to_string());
        }
        assert_eq!(served, ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn the_urgent_lane_of_a_tenant_goes_first_within_its_senders_room() {
        let (otp, news) = (lane("a", "s", Priority::Authentication), lane("a", "s", Priority::Marketing));
        let lanes = vec![news.clone(), otp.clone()];
        assert_eq!(Rotation::default().share(lanes.clone(), &room(&lanes, 5), 9), [(otp, 5)]);
        let other = lane("a", "t", Priority::Marketing);
        let lanes = vec![news.clone(), other.clone()];
        assert_eq!(Rotation::default().share(lanes.clone(), &room(&lanes, 2), 9), [(news, 2), (other, 2)]);
    }

    #[test]
    fn a_sender_without_room_gets_nothing() {
        let lanes = vec![utility("a"), utility("b")];
        let room = HashMap::from([(key(&lanes[1]), 1)]);
        assert_eq!(Rotation::default().share(lanes.clone(), &room, 5), [(lanes[1].clone(), 1)]);
    }
}
