//! How rows are written and read: times in microseconds, identifiers as text, the rest as JSON.

use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::StoreError;
use crate::store::message::{Message, Priority, Reason};
use messaging::policy::Purpose;

/// A statement that selects every column of `messages`, called `m`, in the order in which [`message`] reads them; then
/// what follows `SELECT` and those columns.
macro_rules! select_message {
    ($rest:literal) => {
        concat!(
            "SELECT m.tenant, m.id, m.sender, m.messaging_service_sid, m.contact, m.content, m.purpose, m.priority, ",
            "m.reply_to, m.reply_to_provider_id, m.metadata, m.status, m.reason, m.provider_message_id, m.attempt, ",
            "m.attempts, m.created_at, m.updated_at, m.scheduled_at, m.expires_at",
            $rest
        )
    };
}
pub(super) use select_message;

pub(super) fn corrupt(what: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what, reason: reason.into() }
}

pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|e| corrupt("a time", e.to_string()))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| corrupt("a value that is no JSON", e.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| corrupt(what, e.to_string()))
}

/// A text that stands for something with a form of its own.
pub(super) fn parse<T: FromStr<Err: ToString>>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| corrupt(what, e.to_string()))
}

pub(super) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(super) fn small(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

pub(super) fn priority_code(priority: Priority) -> i64 {
    match priority {
        Priority::Authentication => 0,
        Priority::Utility => 1,
        Priority::Marketing => 2,
    }
}

pub(super) fn priority(code: i64) -> Result<Priority, StoreError> {
    Priority::ALL
        .into_iter()
        .find(|p| priority_code(*p) == code)
        .ok_or_else(|| corrupt("a priority", format!("{code} is none of 0, 1, 2")))
}

pub(super) fn purpose_code(purpose: Purpose) -> &'static str {
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

pub(super) fn optional_reason(text: Option<&str>) -> Result<Option<Reason>, StoreError> {
    text.map(|text| from_json("a reason", text)).transpose()
}

pub(super) fn reason_json(reason: Option<&Reason>) -> Result<Option<String>, StoreError> {
    reason.map(json).transpose()
}

/// Reads a message from a row of [`select_message!`].
pub(super) fn message(row: &SqliteRow) -> Result<Message, StoreError> {
    let text = |i: usize| row.try_get::<&str, _>(i);
    let maybe = |i: usize| row.try_get::<Option<&str>, _>(i);
    let maybe_time = |i: usize| row.try_get::<Option<i64>, _>(i)?.map(time).transpose();
    let reply_to = match (maybe(8)?, maybe(9)?) {
        (Some(id), Some(provider_id)) => Some((parse("a message id", id)?, provider_id.to_owned())),
        _ => None,
    };
    Ok(Message {
        tenant: parse("a tenant", text(0)?)?,
        id: parse("a message id", text(1)?)?,
        sender: parse("a sender", text(2)?)?,
        messaging_service_sid: maybe(3)?.map(str::to_owned),
        to: parse("an address", text(4)?)?,
        content: maybe(5)?.map(|c| from_json("a message's content", c)).transpose()?,
        purpose: purpose(text(6)?)?,
        priority: priority(row.try_get(7)?)?,
        reply_to,
        metadata: from_json("a message's metadata", text(10)?)?,
        status: parse("a message's status", text(11)?)?,
        reason: optional_reason(maybe(12)?)?,
        provider_message_id: maybe(13)?.map(str::to_owned),
        attempt: maybe(14)?.map(|id| parse("an attempt id", id)).transpose()?,
        attempts: small(row.try_get(15)?),
        created_at: time(row.try_get(16)?)?,
        updated_at: time(row.try_get(17)?)?,
        scheduled_at: maybe_time(18)?,
        expires_at: maybe_time(19)?,
    })
}
