//! Messages, the idempotency keys they came under, and the steps of their timelines.

use jiff::Timestamp;
use messaging::id::{AttemptId, MessageId, TenantId};
use messaging::lifecycle::MessageStatus;

use super::{MessageKey, Record, message_key, with};
use crate::store::StoreError;
use crate::store::codec::{
    MessageRow, from_json, maybe_json, maybe_parse, message, message_changes, message_values, micros, parse, small,
    time,
};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};
use crate::store::message::Reason;

impl Record for MessageRow {
    type Key = MessageKey;
    fn finder() -> &'static Finder {
        &schema::MESSAGE
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        message_key(key)
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let row = message(row)?;
        Ok(((row.message.tenant.clone(), row.message.id), row))
    }
    fn values(&self, _: &Self::Key) -> Result<Vec<Value>, StoreError> {
        message_values(self)
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        message_changes(self)
    }
}

/// An idempotency key that was used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Used {
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) message: MessageId,
}

impl Record for Used {
    type Key = (TenantId, String);
    fn finder() -> &'static Finder {
        &schema::IDEMPOTENCY_KEY
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, row.text(1)?.to_owned());
        Ok((key, Self { body_sha256: row.blob(2)?.to_vec(), message: parse("a message id", row.text(3)?)? }))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let digest = bytes::Bytes::copy_from_slice(&self.body_sha256);
        Ok(with(Self::key(key), values![digest, self.message.to_string()]))
    }
}

/// A step of a message's timeline; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    pub(crate) status: MessageStatus,
    pub(crate) attempt: Option<AttemptId>,
    pub(crate) reason: Option<Reason>,
}

impl Record for Step {
    type Key = (TenantId, MessageId, u32);
    fn finder() -> &'static Finder {
        &schema::TIMELINE_STEP
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.to_string(), key.2]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("a message id", row.text(1)?)?, small(row.int(2)?));
        let step = Self {
            at: time(row.int(3)?)?,
            status: parse("a status", row.text(4)?)?,
            attempt: maybe_parse("an attempt id", row.maybe_text(5)?)?,
            reason: row.maybe_text(6)?.map(|r| from_json("a reason", r)).transpose()?,
        };
        Ok((key, step))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let rest = values![
            micros(self.at),
            self.status.as_str(),
            self.attempt.map(|a| a.to_string()),
            maybe_json(self.reason.as_ref())?
        ];
        Ok(with(Self::key(key), rest))
    }
}
