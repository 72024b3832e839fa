//! Phone numbers of an account, which carry SMS.

use jiff::Timestamp;

#[derive(Debug, Clone)]
pub(crate) struct PhoneNumber {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) number: String,
    pub(crate) created: Timestamp,
}

impl PhoneNumber {
    pub(crate) fn new(sid: String, account: &str, number: &str, now: Timestamp) -> Self {
        Self { sid, account: account.to_owned(), number: number.to_owned(), created: now }
    }
}
