//! Contacts, and the consents that were recorded of them.

use messaging::address::Address;
use messaging::contact::ConsentRecord;
use messaging::id::{SenderName, TenantId};

use super::{Record, with};
use crate::store::StoreError;
use crate::store::codec::{count, from_json, json, micros, parse, time};
use crate::store::contact::Contact;
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

impl Record for Contact {
    type Key = (TenantId, SenderName, Address);
    fn finder() -> &'static Finder {
        &schema::CONTACT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key =
            (parse("a tenant", row.text(0)?)?, parse("a sender", row.text(1)?)?, parse("an address", row.text(2)?)?);
        let contact = Self {
            version: count(row.int(3)?),
            updated_at: time(row.int(4)?)?,
            state: from_json("a contact's state", row.text(5)?)?,
        };
        Ok((key, contact))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), self.changes()?))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        let version = i64::try_from(self.version).unwrap_or(i64::MAX);
        Ok(values![version, micros(self.updated_at), json(&self.state)?])
    }
}

/// A consent as it was recorded; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsentRow(pub(crate) ConsentRecord);

impl Record for ConsentRow {
    /// Tenant, sender, contact, the contact's version.
    type Key = (TenantId, SenderName, Address, u64);
    fn finder() -> &'static Finder {
        &schema::CONSENT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        let version = i64::try_from(key.3).unwrap_or(i64::MAX);
        values![key.0.as_str(), key.1.as_str(), key.2.as_str(), version]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (
            parse("a tenant", row.text(0)?)?,
            parse("a sender", row.text(1)?)?,
            parse("an address", row.text(2)?)?,
            count(row.int(3)?),
        );
        Ok((key, Self(from_json("a consent", row.text(5)?)?)))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Ok(with(Self::key(key), values![micros(self.0.recorded_at), json(&self.0)?]))
    }
}
