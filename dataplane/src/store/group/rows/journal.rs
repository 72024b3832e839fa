//! A map that remembers what the current write changed in it.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Journal<K, V> {
    values: BTreeMap<K, V>,
    /// What the current write changed, newest last, and what was there before.
    overlay: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Journal<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), overlay: Vec::new() }
    }
}

impl<K: Clone + Ord, V: Clone> Journal<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.iter()
    }

    /// A change that the current write makes. Answers with what was there before.
    pub(super) fn set(&mut self, key: K, value: V) -> Option<V> {
        let before = self.values.insert(key.clone(), value);
        self.overlay.push((key, before.clone()));
        before
    }

    /// What the database has. It is kept even when the write that asked for it fails.
    pub(super) fn learn(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.values.entry(key).or_default()
    }

    pub(super) fn keep(&mut self) {
        self.overlay.clear();
    }

    pub(super) fn undo(&mut self) {
        for (key, before) in self.overlay.drain(..).rev() {
            match before {
                Some(value) => drop(self.values.insert(key, value)),
                None => drop(self.values.remove(&key)),
            }
        }
    }
}
