//! Places in the queue, and the rates at which they are claimed.

use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};

use super::{MessageKey, Record, message_key, with};
use crate::store::StoreError;
use crate::store::codec::{maybe_time, micros, parse, priority, priority_code, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};
use crate::store::message::Priority;

/// A message's place in the queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queued {
    pub(crate) sender: SenderName,
    pub(crate) priority: Priority,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) due_at: Timestamp,
    pub(crate) available_at: Timestamp,
    pub(crate) fence: i64,
    pub(crate) owner: Option<String>,
}

impl Record for Queued {
    type Key = MessageKey;
    fn finder() -> &'static Finder {
        &schema::QUEUED
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        message_key(key)
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("a message id", row.text(1)?)?);
        let queued = Self {
            sender: parse("a sender", row.text(2)?)?,
            priority: priority(row.int(3)?)?,
            expires_at: maybe_time(row.maybe_int(4)?)?,
            due_at: time(row.int(5)?)?,
            available_at: time(row.int(6)?)?,
            fence: row.int(7)?,
            owner: row.maybe_text(8)?.map(str::to_owned),
        };
        Ok((key, queued))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let fixed = values![self.sender.as_str(), priority_code(self.priority), self.expires_at.map(micros)];
        Ok(with(with(Self::key(key), fixed), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![micros(self.due_at), micros(self.available_at), self.fence, self.owner.as_deref()])
    }
}

/// How full a rate's bucket is, in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) empty_at: i64,
}

impl Record for Bucket {
    type Key = (TenantId, String);
    fn finder() -> &'static Finder {
        &schema::BUCKET
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, row.text(1)?.to_owned());
        Ok((key, Self { empty_at: row.int(2)? }))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![self.empty_at])
    }
}
