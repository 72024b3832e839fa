//! What the provider itself noticed to go wrong, such as a webhook that was not answered.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Listed;
use crate::provider::ProviderError;

/// The alerts of one account.
#[async_trait]
pub trait AlertAdmin: Send + Sync {
    /// What tells them, as the provider calls it: `Twilio's Debugger`.
    fn source(&self) -> &'static str;

    /// What lets the credentials read them, after "give the credentials".
    fn permission(&self) -> &'static str;

    /// The newest alerts since this time, a bounded number of them.
    async fn list_alerts(&self, since: Timestamp) -> Result<Listed<AlertObservation>, ProviderError>;
}

/// An alert. Its text is left out, because it may hold what a customer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertObservation {
    /// The provider's id, in the shape that the provider documents.
    pub id: String,
    /// The provider's code: digits.
    pub code: String,
    /// What a person can do about it; empty where the code is not known.
    pub advice: Cow<'static, str>,
    pub at: Timestamp,
    /// The provider's id of what it is about, in the shape that the provider documents.
    pub resource: Option<String>,
    /// The URL that was called, as the provider wrote it. It may hold secrets: compare it, never show it.
    pub url: Option<String>,
}
