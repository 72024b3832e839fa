//! Attempts to hand messages over.

use jiff::Timestamp;
use messaging::id::{AttemptId, MessageId, TenantId};

use super::{Record, with};
use crate::store::StoreError;
use crate::store::codec::{maybe_time, micros, parse, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

/// One attempt to hand a message over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) message: MessageId,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) outcome: Option<String>,
    pub(crate) provider_message_id: Option<String>,
}

impl Record for Attempt {
    type Key = (TenantId, AttemptId);
    fn finder() -> &'static Finder {
        &schema::ATTEMPT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.to_string()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("an attempt id", row.text(1)?)?);
        let attempt = Self {
            message: parse("a message id", row.text(2)?)?,
            started_at: time(row.int(3)?)?,
            finished_at: maybe_time(row.maybe_int(4)?)?,
            outcome: row.maybe_text(5)?.map(str::to_owned),
            provider_message_id: row.maybe_text(6)?.map(str::to_owned),
        };
        Ok((key, attempt))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let fixed = values![self.message.to_string(), micros(self.started_at)];
        Ok(with(with(Self::key(key), fixed), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![self.finished_at.map(micros), self.outcome.as_deref(), self.provider_message_id.as_deref()])
    }
}
