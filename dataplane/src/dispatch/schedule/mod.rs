//! Decides which lane goes first: deficit round robin over tenants, and within a tenant its most urgent lane. Pure: the
//! waiting lanes, their limits and the calls in flight come in; how much to claim of which lane comes out.
//!
//! The tenant that has gone unserved longest comes first, and each gets one quantum. A tenant that cannot use its turn,
//! because its limits leave no room, keeps its place and at most one quantum. So of two tenants that always have work
//! and room, neither gets more than a quantum ahead, however few the places are, and no tenant waits for longer than it
//! takes every other tenant to be served once.
//!
//! How much is due in a lane is not known before it is claimed. A lane is therefore given little at first, and twice as
//! much each time it uses all of it. So places that a lane cannot fill are withheld from others only briefly.

pub(super) mod lane_cache;
#[cfg(test)]
mod model;
pub(super) mod pairs;
pub(super) mod rates;
#[cfg(test)]
mod simulation;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use messaging::id::{SenderName, TenantId};

use self::tenant::Tenant;
use crate::store::message::Priority;
use crate::store::queue::LaneRef;

/// A sender of a tenant. Limits are kept per sender.
pub(super) type SenderKey = (TenantId, SenderName);

/// Messages that a tenant is served in one turn. One is the fairest, because every message costs the same. A tenant
/// still gets many places when many are free.
const QUANTUM: u32 = 1;
/// How many messages of a lane are asked for at first.
const FIRST_APPETITE: u32 = 8;

/// What one turn decides on.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    /// Lanes that have due work, including those whose limits leave no room now, which keep their tenant's place.
    pub(super) waiting: Vec<Waiting>,
    /// The limits that lanes draw on: how many messages each lets pass now.
    pub(super) pools: Vec<u32>,
    /// Calls that may begin now, over all tenants.
    pub(super) places: u32,
    /// Each tenant's calls in flight.
    pub(super) in_flight: HashMap<TenantId, u32>,
}

impl Turn {
    /// Adds a limit that lets so many messages pass. Returns its index for [`Waiting::draws_on`].
    pub(super) fn pool(&mut self, room: u32) -> usize {
        self.pools.push(room);
        self.pools.len() - 1
    }
}

/// A lane that has due work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) lane: LaneRef,
    /// The limits that each of its messages counts against: indices into [`Turn::pools`].
    pub(super) draws_on: Vec<usize>,
}

/// How many messages of a lane to claim at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) lane: LaneRef,
    pub(super) count: u32,
}

/// Remembers from one turn to the next which tenant is served next.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    tenants: HashMap<TenantId, Standing>,
    appetites: HashMap<LaneRef, u32>,
    /// Counts services of tenants, so that `last_served` orders them.
    served: u64,
}

/// What is remembered of a tenant for as long as it has due work.
#[derive(Debug, Default)]
struct Standing {
    /// The value of [`Scheduler::served`] when it was last served, or first seen.
    last_served: u64,
    /// Messages that it may still be served before its turn is over.
    deficit: u32,
    /// Its turn goes on: the places ran out during it.
    in_turn: bool,
    /// The sender that was served last in each priority.
    last_sender: BTreeMap<Priority, SenderName>,
}

impl Scheduler {
    /// Splits the places among the lanes. The shares are in the order in which they should be claimed. The caller then
    /// reports the result of each to [`Scheduler::claimed`].
    pub(super) fn share(&mut self, turn: Turn) -> Vec<Share> {
        let Turn { waiting, mut pools, mut places, in_flight } = turn;
        self.forget_idle(&waiting);
        let mut tenants = self.seat(waiting, &in_flight);
        let mut turns: VecDeque<usize> = (0..tenants.len()).collect();
        let mut order = Vec::new();
        while places > 0
            && let Some(index) = turns.pop_front()
        {
            let tenant = &mut tenants[index];
            let Some(standing) = self.tenants.get_mut(&tenant.id) else { continue };
            if !standing.in_turn {
                standing.deficit += QUANTUM;
                standing.in_turn = true;
            }
            let mut is_blocked = false;
            while places > 0 && standing.deficit > 0 {
                let Some(lane) = tenant.next_lane(&pools, places) else {
                    is_blocked = true;
                    break;
                };
                if tenant.grant(lane, &mut pools) {
                    order.push((index, lane));
                }
                places -= 1;
                standing.deficit -= 1;
                self.served += 1;
                standing.last_served = self.served;
            }
            if is_blocked {
                // It leaves this round without losing its place.
                standing.deficit = standing.deficit.min(QUANTUM);
                standing.in_turn = false;
            } else if standing.deficit == 0 {
                standing.in_turn = false;
                turns.push_back(index);
            }
        }
        for tenant in &tenants {
            if let Some(standing) = self.tenants.get_mut(&tenant.id) {
                standing.last_sender.extend(tenant.last_senders());
            }
        }
        order.into_iter().map(|(tenant, lane)| tenants[tenant].share(lane)).collect()
    }

    /// Records how many messages were claimed of a share. They are fewer than it allowed when fewer were due, when
    /// another replica was quicker, or when a limit that all replicas share was used up. A tenant is not charged for
    /// what it did not get, up to one quantum.
    pub(super) fn claimed(&mut self, share: &Share, claimed: u32) {
        let missing = share.count.saturating_sub(claimed);
        if missing > 0
            && let Some(standing) = self.tenants.get_mut(&share.lane.tenant)
        {
            standing.deficit = standing.deficit.saturating_add(missing).min(QUANTUM.max(standing.deficit));
        }
        let appetite = self.appetites.entry(share.lane.clone()).or_insert(FIRST_APPETITE);
        *appetite =
            if missing > 0 { FIRST_APPETITE.max(claimed) } else { (*appetite).max(share.count.saturating_mul(2)) };
    }

    /// How much of a lane may be asked for in one turn.
    fn appetite(&self, lane: &LaneRef) -> u32 {
        self.appetites.get(lane).copied().unwrap_or(FIRST_APPETITE)
    }

    fn forget_idle(&mut self, waiting: &[Waiting]) {
        let lanes: HashSet<&LaneRef> = waiting.iter().map(|waiting| &waiting.lane).collect();
        let tenants: HashSet<&TenantId> = lanes.iter().map(|lane| &lane.tenant).collect();
        self.tenants.retain(|tenant, _| tenants.contains(tenant));
        self.appetites.retain(|lane, _| lanes.contains(lane));
    }

    /// The tenants that wait, longest unserved first. A new tenant comes after those that already wait.
    fn seat(&mut self, waiting: Vec<Waiting>, in_flight: &HashMap<TenantId, u32>) -> Vec<Tenant> {
        let mut by_tenant: BTreeMap<TenantId, Vec<(Waiting, u32)>> = BTreeMap::new();
        for waiting in waiting {
            let appetite = self.appetite(&waiting.lane);
            by_tenant.entry(waiting.lane.tenant.clone()).or_default().push((waiting, appetite));
        }
        let mut seated = Vec::with_capacity(by_tenant.len());
        for (id, lanes) in by_tenant {
            let standing = self.tenants.entry(id.clone()).or_insert_with(|| {
                self.served += 1;
                Standing { last_served: self.served, ..Standing::default() }
            });
            let under_way = in_flight.get(&id).copied().unwrap_or(0);
            let order = (!standing.in_turn, standing.last_served);
            seated.push((order, Tenant::new(id, lanes, under_way, &standing.last_sender)));
        }
        seated.sort_by(|(a, tenant_a), (b, tenant_b)| (a, &tenant_a.id).cmp(&(b, &tenant_b.id)));
        seated.into_iter().map(|(_, tenant)| tenant).collect()
    }
}
