//! The two databases, made to look the same: rows are found, inserted, changed and deleted by key, many at once.
//!
//! Everything above this folder is written once. What differs between SQLite and PostgreSQL — how many rows travel in
//! one statement, what a transaction locks, when a connection is worth keeping — is here and nowhere else.
//!
//! [`migrations`] brings a database up to date; [`sqlite`] and [`postgres`] are the databases themselves. The tables
//! themselves are described in [`tables`](super::tables).

pub(super) mod migrations;
pub(super) mod postgres;
pub(super) mod sqlite;

use std::collections::BTreeSet;

use async_trait::async_trait;
use messaging::id::TenantId;

use super::StoreError;
use super::tables::table::{Finder, Table};
use super::tables::value::{Lent, Row, Value};

/// Rows to find: for each key, every row of the table that has it.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) finder: &'static Finder,
    pub(crate) keys: Vec<Vec<Value>>,
}

/// A change of many rows of one table.
#[derive(Debug)]
pub(crate) enum Change {
    /// Rows with every column; one whose key is there already is left alone.
    Insert(&'static Table, Vec<Vec<Value>>),
    /// Keys, and the columns that may change.
    Update(&'static Table, Vec<Vec<Value>>),
    /// Keys as the finder takes them.
    Delete(&'static Finder, Vec<Vec<Value>>),
    /// A statement of its own, once for each list of parameters.
    Run(&'static str, Vec<Vec<Value>>),
}

/// What is to be added to the log.
#[derive(Debug)]
pub(crate) struct LogEntries<'a> {
    /// Rows of `webhook_events`.
    pub(crate) events: Vec<[Lent<'a>; 8]>,
    /// Rows of `webhooks`, and 1 where the webhook is kept though none of its events is new, else 0.
    pub(crate) webhooks: Vec<[Lent<'a>; 9]>,
}

/// A connection that writes. Between `begin` and `commit` everything is one transaction.
#[async_trait]
pub(crate) trait Connection: Send {
    /// Begins a transaction in which no other replica writes these tenants' rows.
    async fn begin(&mut self, tenants: &BTreeSet<TenantId>) -> Result<(), StoreError>;

    /// On disk when it answers `Ok`. After an error it may be or not.
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// Gives the transaction up, and mends the connection where it is broken. `false`: the database cannot be reached,
    /// so trying again at once would be in vain.
    async fn rollback(&mut self) -> bool;

    /// For each lookup, the rows that were found, in no order. Each row begins with the columns of its table.
    async fn find(&mut self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError>;

    /// Makes the changes in their order.
    async fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Whether adding to the log outside a transaction is one of its own, and on disk when it answers.
    fn logs_alone(&self) -> bool {
        false
    }

    /// Adds to the log the events whose key is new, and the webhooks that brought one. Answers
    /// for each event whether it was new.
    async fn log(&mut self, entries: LogEntries<'_>) -> Result<Vec<bool>, StoreError>;

    /// Runs a statement once for each list of parameters; answers with the rows of each.
    async fn query(&mut self, sql: &'static str, parameters: Vec<Vec<Value>>) -> Result<Vec<Vec<Row>>, StoreError>;

    /// Runs a statement; answers with how many rows it changed.
    async fn execute(&mut self, sql: &str, parameters: Vec<Value>) -> Result<u64, StoreError>;

    /// Runs a text of several statements.
    async fn script(&mut self, sql: &str) -> Result<(), StoreError>;

    /// Writes something to the disk that changes no row.
    async fn touch(&mut self) -> Result<(), StoreError>;

    /// Ends the connection.
    async fn close(&mut self);
}

/// Connections that read what is committed, and wait for no writer.
#[async_trait]
pub(crate) trait Readers: Send + Sync + std::fmt::Debug {
    async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError>;

    /// As [`Connection::find`].
    async fn find(&self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError>;

    /// A statement that returns the database's time; `None` where the database has the clock of this machine.
    fn clock(&self) -> Option<&'static str>;

    async fn close(&self);
}
