//! Numbers that WhatsApp verifies with a code.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Has WhatsApp send a code to a number that is registered from now on. Said again, it sends another code.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewVerification {
    /// Absent: any 6 digits.
    pub code: Option<String>,
}

/// What became of a number that WhatsApp verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationRecord {
    /// The code that WhatsApp sends to the number.
    pub code: String,
    /// How often the number was registered.
    pub registrations: u32,
    /// The codes that were told, from the first to the last.
    pub codes: Vec<String>,
    /// How many of them were wrong.
    pub wrong_codes: u32,
    /// Until when nothing is accepted, because there were too many requests.
    pub locked_until: Option<Timestamp>,
}
