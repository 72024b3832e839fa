//! Events on their way to the sinks.

use jiff::Timestamp;
use messaging::id::{EventId, SenderName, TenantId};

use super::Record;
use crate::store::StoreError;
use crate::store::codec::{maybe_time, micros, parse, small, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};
use crate::store::message::SinkId;

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutboxRow {
    pub(crate) subject: String,
    pub(crate) available_at: Timestamp,
    pub(crate) fence: i64,
    pub(crate) owner: Option<String>,
    pub(crate) tries: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) dead_at: Option<Timestamp>,
}

impl Record for OutboxRow {
    type Key = (TenantId, SenderName, SinkId, EventId);
    fn finder() -> &'static Finder {
        &schema::OUTBOX_EVENT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.as_str(), key.3.to_string()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (
            parse("a tenant", row.text(0)?)?,
            parse("a sender", row.text(1)?)?,
            SinkId::new(row.text(2)?),
            parse("an event id", row.text(3)?)?,
        );
        let event = Self {
            subject: row.text(4)?.to_owned(),
            available_at: time(row.int(8)?)?,
            fence: row.int(9)?,
            owner: row.maybe_text(10)?.map(str::to_owned),
            tries: small(row.int(11)?),
            last_error: row.maybe_text(12)?.map(str::to_owned),
            dead_at: maybe_time(row.maybe_int(13)?)?,
        };
        Ok((key, event))
    }
    fn values(&self, _: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Err(StoreError::Failed("events are published through the outbox's own statement".into()))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![
            micros(self.available_at),
            self.fence,
            self.owner.as_deref(),
            self.tries,
            self.last_error.as_deref(),
            self.dead_at.map(micros)
        ])
    }
}
