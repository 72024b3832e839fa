//! Rows of one table: each read once, changed in memory under an overlay per write, and written once.

use std::collections::HashMap;

use crate::store::StoreError;
use crate::store::database::{Change, Lookup};
use crate::store::group::Halt;
use crate::store::tables::Record;
use crate::store::tables::value::Row;

/// Rows of one table by their keys.
#[derive(Debug)]
pub(crate) struct Set<R: Record> {
    held: HashMap<R::Key, Held<R>>,
    missing: Vec<R::Key>,
    /// What the current write changed, newest last, and what was held before.
    overlay: Vec<(R::Key, Before<R>)>,
}

#[derive(Debug)]
struct Before<R> {
    row: Option<R>,
    changed: bool,
    /// The key was held at all.
    held: bool,
}

#[derive(Debug)]
struct Held<R> {
    row: Option<R>,
    /// Whether the database has it.
    stored: bool,
    changed: bool,
}

impl<R: Record> Default for Set<R> {
    fn default() -> Self {
        Self { held: HashMap::new(), missing: Vec::new(), overlay: Vec::new() }
    }
}

impl<R: Record> Set<R> {
    /// The row of a key, or that there is none.
    pub(crate) fn get(&mut self, key: &R::Key) -> Result<Option<&R>, Halt> {
        match self.held.get(key) {
            Some(held) => Ok(held.row.as_ref()),
            None => {
                self.missing.push(key.clone());
                Err(Halt::Missing)
            }
        }
    }

    /// Writes a row over the one that was looked at, or where there was none.
    pub(crate) fn put(&mut self, key: R::Key, row: R) {
        let before = match self.held.get_mut(&key) {
            Some(held) => held.change(Some(row)),
            None => {
                self.held.insert(key.clone(), Held { row: Some(row), stored: false, changed: true });
                Before { row: None, changed: false, held: false }
            }
        };
        self.overlay.push((key, before));
    }

    /// Takes away a row that was looked at.
    pub(crate) fn remove(&mut self, key: &R::Key) {
        if let Some(held) = self.held.get_mut(key).filter(|held| held.row.is_some()) {
            self.overlay.push((key.clone(), held.change(None)));
        }
    }

    /// Keeps what the current write changed.
    pub(super) fn keep(&mut self) {
        self.overlay.clear();
    }

    /// Takes back what the current write changed.
    pub(super) fn undo(&mut self) {
        for (key, before) in self.overlay.drain(..).rev() {
            let Before { row, changed, held: true } = before else {
                self.held.remove(&key);
                continue;
            };
            if let Some(held) = self.held.get_mut(&key) {
                (held.row, held.changed) = (row, changed);
            }
        }
    }

    /// A row that was read on the way to another. What the group has changed of it stays.
    pub(super) fn learn(&mut self, key: R::Key, row: R) {
        self.held.entry(key).or_insert(Held { row: Some(row), stored: true, changed: false });
    }

    pub(super) fn lookup(&mut self) -> Option<(Lookup, Vec<R::Key>)> {
        let mut keys = std::mem::take(&mut self.missing);
        keys.retain(|key| !self.held.contains_key(key));
        keys.sort_unstable();
        keys.dedup();
        let lookup = Lookup { finder: R::finder(), keys: keys.iter().map(R::key).collect() };
        (!keys.is_empty()).then_some((lookup, keys))
    }

    pub(super) fn found(&mut self, keys: Vec<R::Key>, rows: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.held.insert(key, Held { row: None, stored: false, changed: false });
        }
        for row in rows {
            let (key, row) = R::read(row)?;
            self.held.insert(key, Held { row: Some(row), stored: true, changed: false });
        }
        Ok(())
    }

    /// What is to be written, in the order of the keys: deletions, changes, new rows.
    pub(super) fn changes(&mut self, into: &mut Vec<Change>) -> Result<(), StoreError> {
        let mut changed: Vec<_> = self.held.iter().filter(|(_, held)| held.changed).collect();
        changed.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let (mut deleted, mut updated, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, held) in changed {
            match (&held.row, held.stored) {
                (None, true) => deleted.push(R::key(key)),
                (None, false) => {}
                (Some(row), true) => {
                    let mut columns = R::key(key);
                    columns.extend(row.changes()?);
                    updated.push(columns);
                }
                (Some(row), false) => inserted.push(row.values(key)?),
            }
        }
        let table = R::finder().table;
        into.extend((!deleted.is_empty()).then_some(Change::Delete(R::finder(), deleted)));
        into.extend((!updated.is_empty()).then_some(Change::Update(table, updated)));
        into.extend((!inserted.is_empty()).then_some(Change::Insert(table, inserted)));
        Ok(())
    }
}

impl<R> Held<R> {
    fn change(&mut self, row: Option<R>) -> Before<R> {
        let changed = std::mem::replace(&mut self.changed, true);
        Before { row: std::mem::replace(&mut self.row, row), changed, held: true }
    }
}
