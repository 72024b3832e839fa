//! What came in by webhooks: events of the log, statuses that wait for their message, and what customers sent.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::Suppression;
use messaging::id::{SenderName, TenantId};
use messaging::provider::StatusUpdate;

use super::{MessageKey, Record, message_key, with};
use crate::store::StoreError;
use crate::store::codec::{from_json, json, maybe_json, maybe_time, micros, parse, small, time};
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};

/// An event of the log, as far as applying it has to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRow {
    /// `None` once it has taken effect.
    pub(crate) available_at: Option<Timestamp>,
    pub(crate) tries: u32,
}

impl Record for EventRow {
    /// Tenant, sender, dedupe key.
    type Key = (TenantId, SenderName, String);
    fn finder() -> &'static Finder {
        &schema::EVENT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.as_str()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("a sender", row.text(1)?)?, row.text(2)?.to_owned());
        Ok((key, Self { available_at: maybe_time(row.maybe_int(6)?)?, tries: small(row.int(7)?) }))
    }
    fn values(&self, _: &Self::Key) -> Result<Vec<Value>, StoreError> {
        Err(StoreError::Failed("events come with their webhooks, and from nowhere else".into()))
    }
    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        Ok(values![self.available_at.map(micros), self.tries])
    }
}

/// A status that waits for its message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParkedRow {
    pub(crate) sender: SenderName,
    pub(crate) received_at: Timestamp,
    pub(crate) update: StatusUpdate,
    pub(crate) suppression: Option<Suppression>,
}

impl Record for ParkedRow {
    /// Tenant, the provider's id of the message, webhook, position.
    type Key = (TenantId, String, String, u32);
    fn finder() -> &'static Finder {
        &schema::PARKED_STATUS
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.as_str(), key.3]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let tenant = parse("a tenant", row.text(0)?)?;
        let key = (tenant, row.text(1)?.to_owned(), row.text(2)?.to_owned(), small(row.int(3)?));
        let parked = Self {
            sender: parse("a sender", row.text(4)?)?,
            received_at: time(row.int(5)?)?,
            update: from_json("a parked status", row.text(6)?)?,
            suppression: row.maybe_text(7)?.map(|s| from_json("a parked suppression", s)).transpose()?,
        };
        Ok((key, parked))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let rest = values![
            self.sender.as_str(),
            micros(self.received_at),
            json(&self.update)?,
            maybe_json(self.suppression.as_ref())?
        ];
        Ok(with(Self::key(key), rest))
    }
}

/// What a customer sent; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InboundRow {
    pub(crate) sender: SenderName,
    pub(crate) contact: Address,
    pub(crate) provider_message_id: String,
    pub(crate) received_at: Timestamp,
}

impl Record for InboundRow {
    type Key = MessageKey;
    fn finder() -> &'static Finder {
        &schema::INBOUND_MESSAGE
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        message_key(key)
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (parse("a tenant", row.text(0)?)?, parse("a message id", row.text(1)?)?);
        let inbound = Self {
            sender: parse("a sender", row.text(2)?)?,
            contact: parse("an address", row.text(3)?)?,
            provider_message_id: row.text(4)?.to_owned(),
            received_at: time(row.int(5)?)?,
        };
        Ok((key, inbound))
    }
    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        let rest = values![
            self.sender.as_str(),
            self.contact.as_str(),
            self.provider_message_id.as_str(),
            micros(self.received_at)
        ];
        Ok(with(Self::key(key), rest))
    }
}
