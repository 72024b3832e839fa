//! A provider's error codes as data. The tables themselves are the adapters'.

use super::{FailureClass, FailureScope};
use crate::contact::SuppressionReason;

/// An error code of a provider, as its table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// As the provider writes it.
    pub code: &'static str,
    pub class: FailureClass,
    /// What else the failure affects.
    pub scope: FailureScope,
    /// What it says of the recipient; present exactly where the class is [`FailureClass::Suppress`].
    pub suppression: Option<SuppressionReason>,
    /// What a person can do about it; empty where there is nothing to do.
    pub advice: &'static str,
}

/// A provider's table of codes, in the order of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeTable(pub &'static [ErrorCode]);

impl CodeTable {
    /// The entry for a code as the provider wrote it.
    pub fn find(&self, code: &str) -> Option<&'static ErrorCode> {
        let code = code.trim();
        self.0.binary_search_by_key(&code, |entry| entry.code).ok().map(|index| &self.0[index])
    }
}
