//! How rows are written and read: times in microseconds, identifiers as text, the rest as JSON.

use std::str::FromStr;

use jiff::Timestamp;
use messaging::content::OutboundContent;
use messaging::id::PoolId;
use messaging::policy::Purpose;
use messaging::routing::Route;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::database::value::{Row, Value, values};
use super::message::{Message, OnUnconfirmed, Priority, Reason};

pub(crate) fn corrupt(what: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what, reason: reason.into() }
}

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn time(micros: i64) -> Result<Timestamp, StoreError> {
    // Not by `from_microsecond`, which ends before the last second that a timestamp can have.
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Timestamp::new(micros.div_euclid(1_000_000), nanos).map_err(|e| corrupt("a time", e.to_string()))
}

pub(crate) fn maybe_time(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(time).transpose()
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| corrupt("a value that is no JSON", e.to_string()))
}

pub(crate) fn maybe_json<T: Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(json).transpose()
}

pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| corrupt(what, e.to_string()))
}

/// A text that stands for something with a form of its own.
pub(crate) fn parse<T: FromStr<Err: ToString>>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| corrupt(what, e.to_string()))
}

pub(crate) fn maybe_parse<T: FromStr<Err: ToString>>(
    what: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(what, text)).transpose()
}

pub(crate) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(crate) fn small(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

pub(crate) fn priority_code(priority: Priority) -> i64 {
    match priority {
        Priority::Authentication => 0,
        Priority::Utility => 1,
        Priority::Marketing => 2,
    }
}

pub(crate) fn priority(code: i64) -> Result<Priority, StoreError> {
    Priority::ALL
        .into_iter()
        .find(|p| priority_code(*p) == code)
        .ok_or_else(|| corrupt("a priority", format!("{code} is none of 0, 1, 2")))
}

fn purpose_code(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Message => "message",
        Purpose::KeywordReply => "keyword_reply",
    }
}

fn purpose(code: &str) -> Result<Purpose, StoreError> {
    [Purpose::Message, Purpose::KeywordReply]
        .into_iter()
        .find(|p| purpose_code(*p) == code)
        .ok_or_else(|| corrupt("a purpose", format!("{code:?} is neither message nor keyword_reply")))
}

/// A message as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageRow {
    pub(crate) message: Message,
    pub(crate) idempotency_key: Option<String>,
    /// How many steps its timeline has.
    pub(crate) steps: u32,
}

/// Columns of a message's row.
pub(super) const MESSAGE_COLUMNS: usize = 24;

/// The columns of `messages`, called `m`, in the order in which [`message`] reads them.
pub(super) const SELECT_MESSAGE: &str = "m.tenant, m.id, m.sender, m.messaging_service_sid, m.contact, m.content, \
     m.template, m.purpose, m.priority, m.reply_to, m.reply_to_provider_id, m.metadata, m.on_unconfirmed, \
     m.idempotency_key, m.created_at, m.scheduled_at, m.expires_at, m.status, m.reason, m.provider_message_id, \
     m.attempt, m.attempts, m.updated_at, m.steps";

/// [`SELECT_MESSAGE`] as a literal, for statements that are put together when they are compiled.
macro_rules! select_message {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "m.tenant, m.id, m.sender, m.messaging_service_sid, m.contact, m.content, ",
            "m.template, m.purpose, m.priority, m.reply_to, m.reply_to_provider_id, m.metadata, m.on_unconfirmed, ",
            "m.idempotency_key, m.created_at, m.scheduled_at, m.expires_at, m.status, m.reason, m.provider_message_id, ",
            "m.attempt, m.attempts, m.updated_at, m.steps",
            $after
        )
    };
}
pub(super) use select_message;

/// Reads a message from a row that begins with its columns.
pub(crate) fn message(row: &Row) -> Result<MessageRow, StoreError> {
    let reply_to = match (row.maybe_text(9)?, row.maybe_text(10)?) {
        (Some(id), Some(provider_id)) => Some((parse("a message id", id)?, provider_id.to_owned())),
        _ => None,
    };
    let message = Message {
        tenant: parse("a tenant", row.text(0)?)?,
        id: parse("a message id", row.text(1)?)?,
        route: Route { sender: parse("a sender", row.text(2)?)?, via: row.maybe_text(3)?.map(PoolId::new) },
        to: parse("an address", row.text(4)?)?,
        content: row.maybe_text(5)?.map(|c| from_json("a message's content", c)).transpose()?,
        purpose: purpose(row.text(7)?)?,
        priority: priority(row.int(8)?)?,
        reply_to,
        metadata: from_json("a message's metadata", row.text(11)?)?,
        on_unconfirmed: parse("what to do when unconfirmed", row.text(12)?)?,
        created_at: time(row.int(14)?)?,
        scheduled_at: maybe_time(row.maybe_int(15)?)?,
        expires_at: maybe_time(row.maybe_int(16)?)?,
        status: parse("a message's status", row.text(17)?)?,
        reason: row.maybe_text(18)?.map(|r| from_json::<Reason>("a reason", r)).transpose()?,
        provider_message_id: row.maybe_text(19)?.map(str::to_owned),
        attempt: maybe_parse("an attempt id", row.maybe_text(20)?)?,
        attempts: small(row.int(21)?),
        updated_at: time(row.int(22)?)?,
    };
    Ok(MessageRow { message, idempotency_key: row.maybe_text(13)?.map(str::to_owned), steps: small(row.int(23)?) })
}

/// Every column of a message's row.
pub(crate) fn message_values(row: &MessageRow) -> Result<Vec<Value>, StoreError> {
    let MessageRow { message: m, idempotency_key, steps: _ } = row;
    let template = match &m.content {
        Some(OutboundContent::Template { name, .. }) => Some(name.as_str()),
        Some(OutboundContent::Text { .. } | OutboundContent::Media { .. }) | None => None,
    };
    let mut columns = values![
        m.tenant.as_str(),
        m.id.to_string(),
        m.sender().as_str(),
        m.route.via.as_ref().map(PoolId::as_str),
        m.to.as_str(),
        maybe_json(m.content.as_ref())?,
        template,
        purpose_code(m.purpose),
        priority_code(m.priority),
        m.reply_to.as_ref().map(|(id, _)| id.to_string()),
        m.reply_to.as_ref().map(|(_, provider_id)| provider_id.as_str()),
        json(&m.metadata)?,
        m.on_unconfirmed.as_str(),
        idempotency_key.as_deref(),
        micros(m.created_at),
        m.scheduled_at.map(micros),
        m.expires_at.map(micros),
    ];
    columns.extend(message_changes(row)?);
    Ok(columns)
}

/// The columns of a message's row that may change.
pub(crate) fn message_changes(row: &MessageRow) -> Result<Vec<Value>, StoreError> {
    let MessageRow { message: m, idempotency_key: _, steps } = row;
    Ok(values![
        m.status.as_str(),
        maybe_json(m.reason.as_ref())?,
        m.provider_message_id.as_deref(),
        m.attempt.map(|a| a.to_string()),
        m.attempts,
        micros(m.updated_at),
        *steps,
    ])
}

impl FromStr for OnUnconfirmed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Fail, Self::Resend]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither fail nor resend"))
    }
}
