//! A provider's error codes as data. The tables themselves are in the adapters.

use super::{FailureClass, FailureScope};
use crate::contact::SuppressionReason;

/// One entry of a provider's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// As the provider writes it.
    pub code: &'static str,
    pub class: FailureClass,
    /// What the failure affects besides the message.
    pub scope: FailureScope,
    /// What it says about the recipient; present exactly where the class is [`FailureClass::Suppress`].
    pub suppression: Option<SuppressionReason>,
    /// What a person can do about it; empty where there is nothing to do.
    pub advice: &'static str,
}

/// A provider's table of codes, in the order of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeTable(pub &'static [ErrorCode]);

impl CodeTable {
    /// Looks up a code as the provider wrote it.
    pub fn find(&self, code: &str) -> Option<&'static ErrorCode> {
        let code = code.trim();
        self.0.binary_search_by_key(&code, |entry| entry.code).ok().map(|index| &self.0[index])
    }
}
