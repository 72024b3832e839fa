//! How a type of ours is kept in a column: times in microseconds, identifiers as text, what has structure as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::contact::{ConsentRecord, ContactState, Suppression};
use messaging::content::OutboundContent;
use messaging::id::{AttemptId, EventId, MessageId, PoolId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::Purpose;
use messaging::provider::StatusUpdate;
use messaging::provider::webhook::WebhookRoute;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::value::{Kind, Value};
use crate::store::StoreError;
use crate::store::message::{OnUnconfirmed, Priority, Reason, SinkId};

/// A type that a column can hold.
pub(crate) trait Stored: Sized {
    /// For errors, with its article.
    const NAME: &'static str;
    const KIND: Kind;

    fn store(&self) -> Result<Value, StoreError>;
    fn load(value: &Value) -> Result<Self, Wrong>;
}

/// Why a column could not be read.
#[derive(Debug)]
pub(crate) enum Wrong {
    Kind { found: &'static str, expected: &'static str },
    Value(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { found, expected } => write!(f, "holds {found} instead of {expected}"),
            Self::Value(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// The error of a row whose columns are readable and do not fit together.
pub(crate) fn corrupt(what: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what, reason: reason.into() }
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("a value that JSON cannot express", error.to_string()))
}

impl<T: Stored> Stored for Option<T> {
    const NAME: &'static str = T::NAME;
    const KIND: Kind = T::KIND;

    fn store(&self) -> Result<Value, StoreError> {
        self.as_ref().map_or(Ok(Value::Null), T::store)
    }

    fn load(value: &Value) -> Result<Self, Wrong> {
        match value {
            Value::Null => Ok(None),
            value => T::load(value).map(Some),
        }
    }
}

/// Types that are kept as a number or as they are.
macro_rules! plain {
    ($($name:literal $type:ty: $kind:ident, $load:expr;)*) => {
        $(impl Stored for $type {
            const NAME: &'static str = $name;
            const KIND: Kind = Kind::$kind;

            fn store(&self) -> Result<Value, StoreError> {
                Ok(Value::from(self))
            }

            fn load(value: &Value) -> Result<Self, Wrong> {
                match value {
                    Value::$kind(value) => {
                        let load: fn(_) -> Result<Self, Wrong> = $load;
                        load(value)
                    }
                    other => Err(Wrong::Kind { found: other.kind_name(), expected: Kind::$kind.name() }),
                }
            }
        })*
    };
}

plain! {
    "a number" i64: Int, |value: &i64| Ok(*value);
    "a count" u32: Int, |value: &i64| Ok(u32::try_from(*value).unwrap_or(0));
    "a count" u64: Int, |value: &i64| Ok(u64::try_from(*value).unwrap_or(0));
    "a time" Timestamp: Int, |micros: &i64| time(*micros);
    "a priority" Priority: Int, |code: &i64| priority(*code);
    "text" String: Text, |text: &String| Ok(text.clone());
    "a sink" SinkId: Text, |text: &String| Ok(SinkId::new(text.as_str()));
    "a pool" PoolId: Text, |text: &String| Ok(PoolId::new(text.as_str()));
    "a purpose" Purpose: Text, |code: &String| purpose(code);
    "bytes" Bytes: Blob, |bytes: &Bytes| Ok(bytes.clone());
    "a digest" [u8; 32]: Blob, |bytes: &Bytes| {
        bytes[..].try_into().map_err(|_| Wrong::Value(format!("{} bytes are not a SHA-256", bytes.len())))
    };
}

/// Types with a text of their own.
macro_rules! text {
    ($($name:literal $type:ty;)*) => {
        plain! { $($name $type: Text, |text: &String| parse::<$type>(text);)* }
    };
}

text! {
    "a tenant" TenantId;
    "a sender" SenderName;
    "an address" Address;
    "a phone number" PhoneNumber;
    "a message id" MessageId;
    "an attempt id" AttemptId;
    "an event id" EventId;
    "a status" MessageStatus;
    "what to do when unconfirmed" OnUnconfirmed;
    "a webhook's route" WebhookRoute;
}

/// Types with structure.
macro_rules! structured {
    ($($name:literal $type:ty;)*) => {
        $(impl Stored for $type {
            const NAME: &'static str = $name;
            const KIND: Kind = Kind::Text;

            fn store(&self) -> Result<Value, StoreError> {
                Ok(Value::Text(json(self)?))
            }

            fn load(value: &Value) -> Result<Self, Wrong> {
                match value {
                    Value::Text(text) => from_json(text),
                    other => Err(Wrong::Kind { found: other.kind_name(), expected: Kind::Text.name() }),
                }
            }
        })*
    };
}

structured! {
    "a message's content" OutboundContent;
    "a message's metadata" BTreeMap<String, String>;
    "a reason" Reason;
    "a status update" StatusUpdate;
    "a suppression" Suppression;
    "a contact's state" ContactState;
    "a consent" ConsentRecord;
    "a list of sinks" Vec<SinkId>;
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    serde_json::from_str(text).map_err(|error| Wrong::Value(error.to_string()))
}

fn parse<T: FromStr<Err: ToString>>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|error: T::Err| Wrong::Value(error.to_string()))
}

fn time(micros: i64) -> Result<Timestamp, Wrong> {
    // `from_microsecond` refuses the last second that a timestamp can have.
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Timestamp::new(micros.div_euclid(1_000_000), nanos).map_err(|error| Wrong::Value(error.to_string()))
}

fn priority_code(priority: Priority) -> i64 {
    match priority {
        Priority::Authentication => 0,
        Priority::Utility => 1,
        Priority::Marketing => 2,
    }
}

fn priority(code: i64) -> Result<Priority, Wrong> {
    let found = Priority::ALL.into_iter().find(|priority| priority_code(*priority) == code);
    found.ok_or_else(|| Wrong::Value(format!("{code} is none of 0, 1, 2")))
}

fn purpose_code(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Message => "message",
        Purpose::KeywordReply => "keyword_reply",
    }
}

fn purpose(code: &str) -> Result<Purpose, Wrong> {
    let found = [Purpose::Message, Purpose::KeywordReply].into_iter().find(|purpose| purpose_code(*purpose) == code);
    found.ok_or_else(|| Wrong::Value(format!("{code:?} is neither message nor keyword_reply")))
}

impl FromStr for OnUnconfirmed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Fail, Self::Resend].into_iter().find(|choice| choice.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is neither fail nor resend"))
    }
}

/// Types that are also parameters of statements.
macro_rules! parameters {
    ($($type:ty: $value:ident => $column:expr;)*) => {
        $(impl From<&$type> for Value {
            fn from($value: &$type) -> Self {
                $column
            }
        }
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::from(&value)
            }
        })*
    };
}

parameters! {
    i64: number => Self::Int(*number);
    u32: number => Self::Int(i64::from(*number));
    u64: number => Self::Int(i64::try_from(*number).unwrap_or(i64::MAX));
    Timestamp: at => Self::Int(at.as_microsecond());
    Priority: priority => Self::Int(priority_code(*priority));
    SinkId: id => Self::Text(id.as_str().to_owned());
    PoolId: id => Self::Text(id.as_str().to_owned());
    TenantId: tenant => Self::Text(tenant.as_str().to_owned());
    SenderName: sender => Self::Text(sender.as_str().to_owned());
    Address: address => Self::Text(address.as_str().to_owned());
    PhoneNumber: number => Self::Text(number.as_str().to_owned());
    MessageId: id => Self::Text(id.to_string());
    AttemptId: id => Self::Text(id.to_string());
    EventId: id => Self::Text(id.to_string());
    MessageStatus: status => Self::Text(status.as_str().to_owned());
    OnUnconfirmed: choice => Self::Text(choice.as_str().to_owned());
    Purpose: purpose => Self::Text(purpose_code(*purpose).to_owned());
    WebhookRoute: route => Self::Text(route.as_str().to_owned());
    Bytes: bytes => Self::Blob(bytes.clone());
    [u8; 32]: digest => Self::Blob(Bytes::copy_from_slice(digest));
}
