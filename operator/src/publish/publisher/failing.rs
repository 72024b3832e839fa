//! The tenants that could not be published, and when each is tried again: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messaging::id::TenantId;
use tokio::time::Instant;

use crate::reconcile::backoff;

/// When each is tried again, and how often it was tried.
#[derive(Debug, Default)]
pub(super) struct Failing(BTreeMap<TenantId, (Instant, u32)>);

impl Failing {
    /// Notes another failure, and returns how long to wait. `jitter` is from 0 to 1.
    pub(super) fn failed(&mut self, tenant: &TenantId, now: Instant, jitter: f64) -> Duration {
        let attempt = self.0.get(tenant).map_or(1, |(_, attempt)| attempt.saturating_add(1));
        let delay = backoff::delay(attempt, jitter);
        self.0.insert(tenant.clone(), (now + delay, attempt));
        delay
    }

    pub(super) fn published(&mut self, tenant: &TenantId) {
        self.0.remove(tenant);
    }

    /// Whose turn comes next, and when. A busy one is being tried.
    pub(super) fn next(&self, busy: &BTreeSet<TenantId>) -> Option<(Instant, &TenantId)> {
        self.0.iter().filter(|(tenant, _)| !busy.contains(*tenant)).map(|(tenant, (at, _))| (*at, tenant)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_and_one_that_is_being_tried_is_not_due() {
        let (mut failing, now) = (Failing::default(), Instant::now());
        let (shop, clinic): (TenantId, TenantId) = ("shop".parse().unwrap(), "clinic".parse().unwrap());
        let first = failing.failed(&shop, now, 0.5);
        let second = failing.failed(&shop, now, 0.5);
        assert!(second > first, "{first:?} {second:?}");
        let sooner = failing.failed(&clinic, now, 0.5);
        let idle = BTreeSet::new();
        assert_eq!(failing.next(&idle), Some((now + sooner, &clinic)));
        assert_eq!(failing.next(&[clinic.clone()].into()), Some((now + second, &shop)));
        failing.published(&clinic);
        failing.published(&shop);
        assert_eq!((failing.next(&idle), failing.len()), (None, 0));
    }
}
