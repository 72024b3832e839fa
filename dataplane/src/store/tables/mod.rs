//! The tables, one file each. A file names its table's columns once, with their types; the row's struct, how it is
//! read, and how it is written all follow from that list.
//!
//! [`table`] is what the databases know of a table, [`stored`] is how a type of ours is kept in a column, and [`read`]
//! is how rows become structs. A test compares every table with the migrated database.

#[macro_use]
mod macros;

pub(crate) mod attempts;
pub(crate) mod consent_records;
pub(crate) mod contact_links;
pub(crate) mod contacts;
pub(crate) mod holds;
pub(crate) mod idempotency_keys;
pub(crate) mod inbound_messages;
pub(crate) mod lanes;
pub(crate) mod message_timeline;
pub(crate) mod messages;
pub(crate) mod outbox;
pub(crate) mod outbox_lanes;
pub(crate) mod parked_statuses;
pub(crate) mod queue;
pub(crate) mod rate_buckets;
pub(crate) mod senders;
pub(crate) mod sink_lanes;
pub(crate) mod sweeps;
pub(crate) mod unaddressed_webhooks;
pub(crate) mod unsettled;
pub(crate) mod webhook_events;
pub(crate) mod webhooks;

pub(crate) mod read;
pub(crate) mod stored;
pub(crate) mod table;
pub(crate) mod value;

use std::hash::Hash;

use self::table::Finder;
use self::value::{Row, Value};
use super::StoreError;

/// A row that a group of writes can look up, change and write by its key.
pub(crate) trait Record: Clone + Send + 'static {
    type Key: Key;

    /// Finds the row by its key.
    fn finder() -> &'static Finder;
    fn key(key: &Self::Key) -> Vec<Value>;
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError>;
    /// Every column.
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError>;
    /// The columns that may change.
    fn changes(&self) -> Result<Vec<Value>, StoreError>;
}

/// What can be the key of a [`Record`].
pub(crate) trait Key: Clone + Eq + Ord + Hash + Send + 'static {}
impl<K: Clone + Eq + Ord + Hash + Send + 'static> Key for K {}

#[cfg(test)]
mod tests;
