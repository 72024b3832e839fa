//! A table as the databases know it: its columns in order, the key first, the columns that may change last.

use super::value::Kind;

/// A column's name, and what it holds.
pub(crate) type Column = (&'static str, Kind);

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// The length of the primary key, which comes first. 0: rows are only ever added.
    pub(crate) key: usize,
    /// The number of columns that may change, which come last.
    pub(crate) changing: usize,
}

/// How rows of a table are found: by columns that an index begins with.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) table: &'static Table,
    pub(crate) by: &'static [&'static str],
    /// The index, where SQLite has to be told: it takes all rows of a tenant for as few as those of an index's two
    /// columns.
    pub(crate) index: Option<&'static str>,
}

impl Table {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// The columns of a select list, for a statement that calls the table `alias`.
    pub(crate) fn select_as(&self, alias: &str) -> String {
        let names: Vec<_> = self.names().map(|name| format!("{alias}.{name}")).collect();
        names.join(", ")
    }

    /// The key, then the columns that may change: what an update takes.
    pub(crate) fn updated(&self) -> Vec<Column> {
        let changing = self.columns.len() - self.changing;
        self.columns.iter().take(self.key).chain(self.columns.iter().skip(changing)).copied().collect()
    }

    /// The position of a column. A name that the table does not have fails the build where this is called for a
    /// constant.
    pub(crate) const fn position(&self, name: &str) -> usize {
        let mut at = 0;
        while !same(self.columns[at].0, name) {
            at += 1;
        }
        at
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl Finder {
    pub(crate) fn columns(&self) -> Vec<Column> {
        let column = |name: &&str| self.table.columns.iter().find(|(column, _)| column == name);
        self.by.iter().filter_map(column).copied().collect()
    }
}
