//! How often hints make the operator look, for one tenant: at once, and then once in a while for all that came
//! meanwhile. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use messaging::id::TenantId;
use tokio::time::Instant;

/// The least time between two looks for one tenant. Each may list an account's templates.
const EVERY: Duration = Duration::from_secs(1);

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Pace<T> {
    looked: HashMap<TenantId, Instant>,
    waiting: BTreeMap<TenantId, BTreeSet<T>>,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { looked: HashMap::new(), waiting: BTreeMap::new() }
    }
}

impl<T: Ord> Pace<T> {
    /// The same again is one.
    pub(super) fn add(&mut self, tenant: &TenantId, about: T) {
        self.waiting.entry(tenant.clone()).or_default().insert(about);
    }

    /// When something is due.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.waiting.keys().map(|tenant| self.looked.get(tenant).map_or(now, |looked| *looked + EVERY)).min()
    }

    /// What is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(TenantId, T)> {
        self.looked.retain(|_, looked| *looked + EVERY > now);
        let ripe: Vec<TenantId> =
            self.waiting.keys().filter(|tenant| !self.looked.contains_key(*tenant)).cloned().collect();
        let mut due = Vec::new();
        for tenant in ripe {
            let all = self.waiting.remove(&tenant).unwrap_or_default();
            due.extend(all.into_iter().map(|about| (tenant.clone(), about)));
            self.looked.insert(tenant, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hint_is_looked_at_at_once_and_a_flood_once_a_second() {
        let (mut pace, mut now) = (Pace::<u32>::default(), Instant::now());
        let (shop, bank): (TenantId, TenantId) = ("shop".parse().unwrap(), "bank".parse().unwrap());
        let mut looks = 0;
        for n in 0..1000 {
            pace.add(&shop, n % 3);
            let due = pace.due(now);
            looks += usize::from(!due.is_empty());
            assert!(due.len() <= 3, "{due:?}");
            now += Duration::from_millis(10);
        }
        assert_eq!(looks, 10);
        pace.due(now);
        pace.add(&shop, 1);
        assert_eq!(pace.next(now), Some(now + EVERY), "what comes right after a look is not forgotten");
        pace.add(&bank, 7);
        assert_eq!(pace.next(now), Some(now));
        assert_eq!(pace.due(now), [(bank, 7)], "another tenant does not wait");
        assert_eq!(pace.due(now + EVERY), [(shop, 1)]);
        assert_eq!(pace.next(now), None);
    }
}
