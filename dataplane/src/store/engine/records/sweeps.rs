//! How far the providers' logs have been read.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::{Record, with};
use crate::store::StoreError;
use crate::store::codec::{maybe_time, micros, parse, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

/// How far a provider's log has been read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sweep {
    pub(crate) swept_until: Option<Timestamp>,
    pub(crate) available_at: Timestamp,
    pub(crate) fence: i64,
    pub(crate) owner: Option<String>,
}

impl Record for Sweep {
    /// Tenant, account.
    type Key = (TenantId, String);
    fn finder() -> &'static Finder {
        &schema::SWEEP
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, row.text(1)?.to_owned());
        let sweep = Self {
            swept_until: maybe_time(row.maybe_int(2)?)?,
            available_at: time(row.int(3)?)?,
            fence: row.int(4)?,
            owner: row.maybe_text(5)?.map(str::to_owned),
        };
        Ok((key, sweep))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![self.swept_until.map(micros), micros(self.available_at), self.fence, self.owner.as_deref()])
    }
}
