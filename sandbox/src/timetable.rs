//! What is due later, in order of time, then in the order of adding.

use std::collections::BTreeMap;

use jiff::Timestamp;

#[derive(Debug)]
pub(crate) struct Timetable<Due> {
    due: BTreeMap<(Timestamp, u64), Due>,
    added: u64,
}

impl<Due> Default for Timetable<Due> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), added: 0 }
    }
}

impl<Due> Timetable<Due> {
    pub(crate) fn add(&mut self, at: Timestamp, due: Due) {
        self.added += 1;
        self.due.insert((at, self.added), due);
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next entry, whether it is due or not.
    pub(crate) fn pop(&mut self) -> Option<Due> {
        self.due.pop_first().map(|(_, due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_equals_keep_their_order() {
        let mut timetable = Timetable::default();
        for (second, name) in [(2, "c"), (1, "a"), (1, "b")] {
            timetable.add(Timestamp::from_second(second).unwrap(), name);
        }
        assert_eq!(timetable.next(), Some(Timestamp::from_second(1).unwrap()));
        assert_eq!(std::iter::from_fn(|| timetable.pop()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(timetable.next(), None);
    }
}
