//! Each kind of row that the engine keeps: its key, how it is read, and how it is written.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, Suppression};
use messaging::id::{AttemptId, EventId, MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::provider::StatusUpdate;

use super::rows::Key;
use crate::store::StoreError;
use crate::store::codec::{
    MessageRow, count, from_json, json, maybe_json, maybe_parse, maybe_time, message, message_changes, message_values,
    micros, parse, priority, priority_code, small, time,
};
use crate::store::contact::Contact;
use crate::store::database::schema::{self, Finder};
use crate::store::database::value::{Row, Value, values};
use crate::store::message::{Priority, Reason, SinkId};

/// A row, kept by its key.
pub(in crate::store) trait Record: Clone + Send + 'static {
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

/// One attempt to hand a message over.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Attempt {
    pub(in crate::store) message: MessageId,
    pub(in crate::store) started_at: Timestamp,
    pub(in crate::store) finished_at: Option<Timestamp>,
    pub(in crate::store) outcome: Option<String>,
    pub(in crate::store) provider_message_id: Option<String>,
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

/// An idempotency key that was used.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Used {
    pub(in crate::store) body_sha256: Vec<u8>,
    pub(in crate::store) message: MessageId,
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

/// A message's place in the queue.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Queued {
    pub(in crate::store) sender: SenderName,
    pub(in crate::store) priority: Priority,
    pub(in crate::store) expires_at: Option<Timestamp>,
    pub(in crate::store) due_at: Timestamp,
    pub(in crate::store) available_at: Timestamp,
    pub(in crate::store) fence: i64,
    pub(in crate::store) owner: Option<String>,
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

/// A message whose outcome is awaited.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Waiting {
    pub(in crate::store) available_at: Timestamp,
    pub(in crate::store) fence: i64,
    pub(in crate::store) owner: Option<String>,
    pub(in crate::store) asked: u32,
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

/// An event of the log, as far as applying it has to know.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct EventRow {
    /// `None` once it has taken effect.
    pub(in crate::store) available_at: Option<Timestamp>,
    pub(in crate::store) tries: u32,
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
pub(in crate::store) struct ParkedRow {
    pub(in crate::store) sender: SenderName,
    pub(in crate::store) received_at: Timestamp,
    pub(in crate::store) update: StatusUpdate,
    pub(in crate::store) suppression: Option<Suppression>,
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

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct OutboxRow {
    pub(in crate::store) subject: String,
    pub(in crate::store) available_at: Timestamp,
    pub(in crate::store) fence: i64,
    pub(in crate::store) owner: Option<String>,
    pub(in crate::store) tries: u32,
    pub(in crate::store) last_error: Option<String>,
    pub(in crate::store) dead_at: Option<Timestamp>,
}

impl Record for OutboxRow {
    type Key = (TenantId, SenderName, SinkId, EventId);
    fn finder() -> &'static Finder {
        &schema::OUTBOX_EVENT
    }
    fn key(key: &Self::Key) -> Vec<Value> {
        values![key.0.as_str(), key.1.as_str(), key.2.0.as_str(), key.3.to_string()]
    }
    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let key = (
            parse("a tenant", row.text(0)?)?,
            parse("a sender", row.text(1)?)?,
            SinkId(row.text(2)?.to_owned()),
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

/// Something that must not go on for now.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Hold {
    pub(in crate::store) until: Timestamp,
    pub(in crate::store) reason: String,
    pub(in crate::store) created_at: Timestamp,
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

/// How full a rate's bucket is, in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Bucket {
    pub(in crate::store) empty_at: i64,
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

/// How far a provider's log has been read.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Sweep {
    pub(in crate::store) swept_until: Option<Timestamp>,
    pub(in crate::store) available_at: Timestamp,
    pub(in crate::store) fence: i64,
    pub(in crate::store) owner: Option<String>,
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

/// A step of a message's timeline; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Step {
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) status: MessageStatus,
    pub(in crate::store) attempt: Option<AttemptId>,
    pub(in crate::store) reason: Option<Reason>,
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

/// A consent as it was recorded; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct ConsentRow(pub(in crate::store) ConsentRecord);

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

/// What a customer sent; only ever added.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct InboundRow {
    pub(in crate::store) sender: SenderName,
    pub(in crate::store) contact: Address,
    pub(in crate::store) provider_message_id: String,
    pub(in crate::store) received_at: Timestamp,
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
