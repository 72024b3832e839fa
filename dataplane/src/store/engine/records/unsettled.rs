//! Messages whose outcome is awaited.

use jiff::Timestamp;

use super::{MessageKey, Record, message_key, with};
use crate::store::StoreError;
use crate::store::codec::{micros, parse, small, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

/// A message whose outcome is awaited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) available_at: Timestamp,
    pub(crate) fence: i64,
    pub(crate) owner: Option<String>,
    pub(crate) asked: u32,
}

impl Record for Waiting {
    type Key = MessageKey;
    fn finder() -> &'static Finder {
        &schema::UNSETTLED_MESSAGE
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        message_key(key)
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("a message id", row.text(1)?)?);
        let waiting = Self {
            available_at: time(row.int(2)?)?,
            fence: row.int(3)?,
            owner: row.maybe_text(4)?.map(str::to_owned),
            asked: small(row.int(5)?),
        };
        Ok((key, waiting))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![micros(self.available_at), self.fence, self.owner.as_deref(), self.asked])
    }
}
