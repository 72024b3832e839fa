//! What must not go on for now.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::{Record, with};
use crate::store::StoreError;
use crate::store::codec::{micros, parse, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

/// Something that must not go on for now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hold {
    pub(crate) until: Timestamp,
    pub(crate) reason: String,
    pub(crate) created_at: Timestamp,
}

impl Record for Hold {
    /// Tenant, scope, kind.
    type Key = (TenantId, String, String);
    fn finder() -> &'static Finder {
        &schema::HOLD
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, row.text(1)?.to_owned(), row.text(2)?.to_owned());
        let hold = Self { until: time(row.int(3)?)?, reason: row.text(4)?.to_owned(), created_at: time(row.int(5)?)? };
        Ok((key, hold))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![micros(self.until), self.reason.as_str(), micros(self.created_at)])
    }
}
