//! A map of bounded size whose entries expire.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::is_overlong;

/// Values by a digest.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    capacity: usize,
    entries: HashMap<[u8; 32], Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    kept_at: Timestamp,
    until: Timestamp,
    value: V,
}

impl<V> Entry<V> {
    /// An entry of the future was kept by a clock that was ahead, and would live for too long.
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.until > now && !is_overlong(self.kept_at, Duration::ZERO, now)
    }
}

impl<V> Bounded<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new() }
    }

    pub(super) fn get(&self, key: &[u8; 32], now: Timestamp) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.is_fresh(now)).map(|entry| &entry.value)
    }

    /// Keeps a value until `until`. When the map is full, expired entries are removed; if there are none, an arbitrary
    /// entry is, which costs its owner one more call to the API server.
    pub(super) fn insert(&mut self, key: [u8; 32], value: V, until: Timestamp, now: Timestamp) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.entries.retain(|_, entry| entry.is_fresh(now));
            if self.entries.len() >= self.capacity
                && let Some(victim) = self.entries.keys().next().copied()
            {
                self.entries.remove(&victim);
            }
        }
        self.entries.insert(key, Entry { kept_at: now, until, value });
    }

    pub(super) fn remove(&mut self, key: &[u8; 32]) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_and_never_outgrow_the_bound() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let mut map = Bounded::new(2);
        map.insert([1; 32], "a", at(10), at(0));
        map.insert([2; 32], "b", at(20), at(0));
        assert_eq!(map.get(&[1; 32], at(9)), Some(&"a"));
        assert_eq!(map.get(&[1; 32], at(10)), None);
        map.insert([3; 32], "c", at(20), at(10));
        assert_eq!(map.get(&[2; 32], at(11)), Some(&"b"), "the expired one made room");
        map.insert([4; 32], "d", at(20), at(11));
        assert_eq!(map.entries.len(), 2);
    }

    #[test]
    fn an_entry_of_a_clock_that_was_ahead_does_not_count_once_the_clock_is_right() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let mut map = Bounded::new(2);
        map.insert([1; 32], "a", at(260), at(200));
        assert_eq!(map.get(&[1; 32], at(201)), Some(&"a"));
        assert_eq!(map.get(&[1; 32], at(0)), None);
    }
}
