//! Each kind of row that the engine keeps: its key, how it is read, and how it is written.

mod attempts;
mod contacts;
mod events;
mod holds;
mod messages;
mod outbox;
mod queue;
mod sweeps;
mod unsettled;

use messaging::id::{MessageId, TenantId};

pub(crate) use self::attempts::Attempt;
pub(crate) use self::contacts::ConsentRow;
pub(crate) use self::events::{EventRow, InboundRow, ParkedRow};
pub(crate) use self::holds::Hold;
pub(crate) use self::messages::{Step, Used};
pub(crate) use self::outbox::OutboxRow;
pub(crate) use self::queue::{Bucket, Queued};
pub(crate) use self::sweeps::Sweep;
pub(crate) use self::unsettled::Waiting;

use super::rows::Key;
use crate::store::StoreError;
use crate::store::database::schema::Finder;
use crate::store::database::value::{Row, Value, values};

/// A row, kept by its key.
pub(crate) trait Record: Clone + Send + 'static {
    type Key: Key;

    /// By its key.
    fn finder() -> &'static Finder;
    fn key(key: &Self::Key) -> Vec<Value>;
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError>;
    /// Every column.
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError>;
    /// The columns that may change.
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(Vec::new())
    }
}

type MessageKey = (TenantId, MessageId);

fn message_key(key: &MessageKey) -> Vec<Value> {
    values![key.0.as_str(), key.1.to_string()]
}

/// The key's columns, then others.
fn with(mut key: Vec<Value>, rest: Vec<Value>) -> Vec<Value> {
    key.extend(rest);
    key
}
