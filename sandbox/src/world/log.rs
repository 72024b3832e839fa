//! A bounded log: the last entries, under ids that count up from 1.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Log<Entry> {
    entries: VecDeque<Entry>,
    /// The id of the first entry that is still kept.
    first: u64,
    keep: usize,
}

impl<Entry> Log<Entry> {
    pub(crate) fn new(keep: usize) -> Self {
        Self { entries: VecDeque::new(), first: 1, keep: keep.max(1) }
    }

    /// Adds the entry that `make` returns for its id.
    pub(crate) fn add(&mut self, make: impl FnOnce(u64) -> Entry) -> u64 {
        if self.entries.len() >= self.keep {
            self.entries.pop_front();
            self.first += 1;
        }
        let id = self.first + self.entries.len() as u64;
        self.entries.push_back(make(id));
        id
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn since(&self, id: u64) -> impl Iterator<Item = &Entry> {
        let skip = usize::try_from((id + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip)
    }

    /// Forgets all entries, but keeps counting.
    pub(crate) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_are_forgotten_and_ids_never_reused() {
        let mut log = Log::new(2);
        for _ in 0..3 {
            log.add(|id| id);
        }
        assert_eq!(log.since(0).copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(log.since(2).copied().collect::<Vec<_>>(), [3]);
        assert_eq!(log.get_mut(1), None);
        log.clear();
        assert_eq!(log.add(|id| id), 4);
        assert_eq!(log.get_mut(4), Some(&mut 4));
    }
}
