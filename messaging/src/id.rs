//! Names and identifiers. Each is its own type, so that a tenant can't be passed where a sender is meant.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares a newtype over a string that is checked when it is built and when it is read.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                match $check(&value) {
                    Ok(()) => Ok(Self(value)),
                    Err(expected) => Err(InvalidName { what: $what, value, expected }),
                }
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Why a string is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {what}: expected {expected}")]
pub struct InvalidName {
    pub what: &'static str,
    pub value: String,
    pub expected: &'static str,
}

/// The characters of an RFC 1123 label.
fn is_label(value: &str) -> bool {
    let edges = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    inner && edges(value.chars().next()) && edges(value.chars().last())
}

/// RFC 1123 label, as Kubernetes requires of namespaces.
fn dns_label(value: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "1 to 63 lower-case letters, digits or '-', beginning and ending with a letter or digit";
    if value.len() <= 63 && is_label(value) { Ok(()) } else { Err(EXPECTED) }
}

/// RFC 1123 subdomain, as Kubernetes requires of most objects: it bounds the whole, and not each part.
/// (`IsDNS1123Subdomain` in k8s.io/apimachinery.)
fn dns_subdomain(value: &str) -> Result<(), &'static str> {
    const EXPECTED: &str =
        "at most 253 lower-case letters, digits, '-' or '.', each part beginning and ending with a letter or digit";
    if value.len() <= 253 && value.split('.').all(is_label) { Ok(()) } else { Err(EXPECTED) }
}

name!(
    /// A tenant: the name of a Kubernetes namespace.
    TenantId, "tenant", dns_label
);
name!(
    /// The name of a `WhatsAppSender`, unique within its tenant.
    SenderName, "sender name", dns_subdomain
);
name!(
    /// The name of a `MessageTemplate`, unique within its tenant.
    TemplateName, "template name", dns_subdomain
);
name!(
    /// The name of a `RoutingPolicy`, unique within its tenant.
    PolicyName, "policy name", dns_subdomain
);

name!(
    /// The name of a sink, unique within its sender.
    SinkName, "sink name", dns_label
);

/// The provider's id of a pool of senders, such as the SID of a Messaging Service at Twilio. Opaque outside the
/// adapters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(String);

impl PoolId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ten random bytes of an identifier.
pub type Randomness = [u8; 10];

fn uuid_v7(now: Timestamp, randomness: &Randomness) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, randomness).into_uuid()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of every such identifier.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier. Identifiers sort by the time of their creation.
            pub fn new(now: Timestamp, randomness: &Randomness) -> Self {
                Self(uuid_v7(now, randomness))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.as_simple())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                value
                    .strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(InvalidName {
                        what: $what,
                        value: value.to_owned(),
                        expected: concat!("\"", $prefix, "\" followed by 32 lower-case hexadecimal digits"),
                    })
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

identifier!(
    /// A message that a tenant asked us to send, or that a customer sent.
    MessageId, "message id", "msg_"
);
identifier!(
    /// One attempt to hand a message to a provider. It travels in the attempt's status-callback URL (Twilio) or in
    /// `biz_opaque_callback_data` (Meta), so that a callback finds its attempt even when the response was lost.
    AttemptId, "attempt id", "att-"
);
identifier!(
    /// An event that is published to a tenant; stable across redeliveries.
    EventId, "event id", "evt_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_kubernetes_would_refuse_is_refused_with_what_would_be_right() {
        for bad in ["", "Shop", "-shop", "shop-", "shop_a", &"a".repeat(64)] {
            let error = TenantId::new(bad).expect_err(bad).to_string();
            assert!(error.contains("expected 1 to 63 lower-case letters"), "{error}");
        }
        assert!(SenderName::new("support.eu").is_ok());
        assert!(SenderName::new("support..eu").is_err());
    }

    #[test]
    fn a_name_that_kubernetes_admits_is_admitted() {
        let (label, whole) = ("a".repeat(64), format!("{}.{}", "a".repeat(126), "b".repeat(126)));
        for good in ["a", "7", "order-shipped.v2", &label, &whole, &"a".repeat(253)] {
            assert!(TemplateName::new(good).is_ok() && PolicyName::new(good).is_ok() && SenderName::new(good).is_ok());
        }
        for bad in ["", ".", "a.", "a..b", "a.-b", &"a".repeat(254)] {
            assert!(TemplateName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_survive_text_and_sort_by_time() {
        let at = |s: i64| Timestamp::from_second(s).expect("in range");
        let (early, late) = (MessageId::new(at(1), &[9; 10]), MessageId::new(at(2), &[0; 10]));
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<MessageId>(), Ok(early));
        assert!("msg_12".parse::<MessageId>().is_err());
        assert!(early.to_string().parse::<EventId>().is_err());
    }
}
