//! Who a message is from or to: a phone number, or a business-scoped user id.
//!
//! A recipient is not always a phone number. A business may know a WhatsApp user only by an id such as `GB.3f9…`, whose
//! first two letters are a country. So whatever is keyed by recipient is keyed by [`Address`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::numbering;
pub use crate::numbering::Country;

/// A phone number in E.164: `+`, then 7 to 15 digits, the first not zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

impl PhoneNumber {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The country whose numbering plan has the number; `None` for numbers of no country, such as +883. Where countries
    /// share a calling code, an unassigned number counts as the main country's: +1555… as US.
    pub fn country(&self) -> Option<Country> {
        numbering::country(self.0.get(1..)?)
    }
}

/// A business-scoped user id: a country's two letters, a dot, then up to 128 letters and digits. Ids of a parent
/// business have `ENT.` after the first dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn country(&self) -> Option<Country> {
        self.0.get(..2).and_then(Country::new)
    }
}

/// The address of a customer or of one of our senders.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    Phone(PhoneNumber),
    User(UserId),
}

impl Address {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
    pub fn country(&self) -> Option<Country> {
        match self {
            Self::Phone(number) => number.country(),
            Self::User(id) => id.country(),
        }
    }
}

/// Why a string is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct InvalidAddress {
    pub value: String,
    pub expected: &'static str,
}

impl FromStr for PhoneNumber {
    type Err = InvalidAddress;
    fn from_str(value: &str) -> Result<Self, InvalidAddress> {
        let digits = value.strip_prefix('+').unwrap_or("");
        if (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(value.to_owned()))
        } else {
            Err(InvalidAddress {
                value: value.to_owned(),
                expected: "a phone number in E.164: + and 7 to 15 digits, such as +447700900123",
            })
        }
    }
}

impl FromStr for UserId {
    type Err = InvalidAddress;
    fn from_str(value: &str) -> Result<Self, InvalidAddress> {
        let rest = value
            .split_once('.')
            .filter(|(country, _)| Country::new(country).is_some())
            .map(|(_, rest)| rest.strip_prefix("ENT.").unwrap_or(rest))
            .unwrap_or("");
        if (1..=128).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(value.to_owned()))
        } else {
            Err(InvalidAddress {
                value: value.to_owned(),
                expected: "a business-scoped user id: a country's two letters, a dot and up to 128 letters or digits, such as GB.1a2b3c",
            })
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;
    fn from_str(value: &str) -> Result<Self, InvalidAddress> {
        if value.starts_with('+') {
            value.parse().map(Self::Phone)
        } else {
            value.parse().map(Self::User).map_err(|_| InvalidAddress {
                value: value.to_owned(),
                expected: "an address: a phone number in E.164 such as +447700900123, or a business-scoped user id such as GB.1a2b3c",
            })
        }
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidAddress;
            fn try_from(value: String) -> Result<Self, InvalidAddress> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.as_str().to_owned()
            }
        }
    )*};
}
text!(PhoneNumber, UserId, Address);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_a_number_in_e164_or_a_business_scoped_id() {
        for (good, country) in [
            ("+447700900123", Some("GB")),
            ("+883510000000000", None),
            ("GB.1a2b3c", Some("GB")),
            ("US.ENT.13491208655302741918", Some("US")),
        ] {
            let address: Address = good.parse().expect(good);
            assert_eq!(address.as_str(), good);
            assert_eq!(address.country().map(|c| c.to_string()).as_deref(), country, "{good}");
        }
        for bad in ["", "+", "+123456", "+0123456789", "+1234567890123456", "+44 7700 900123", "447700900123"] {
            let error = bad.parse::<Address>().expect_err(bad).to_string();
            assert!(error.contains("such as +447700900123"), "{error}");
        }
        for bad in ["gb.1a", "GBR.1a", "GB", "GB.", "GB.ENT.", "GB.1-2", "whatsapp:+447700900123"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        assert!(format!("GB.{}", "a".repeat(129)).parse::<Address>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_parsing_and_what_parses_reads_back(text in r"\PC{0,24}|\+[0-9]{0,18}|[A-Z]{2}\.[A-Z.a-z0-9]{0,12}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.as_str(), &text);
                address.country();
            }
        }
    }
}
