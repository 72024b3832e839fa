//! Registers numbers with WhatsApp, and proves that they are the account's.
//!
//! WhatsApp counts both, and locks a number out for days after too many. So nothing here is ever repeated blindly, and
//! the caller counts, too.

use async_trait::async_trait;

use super::webhook_targets::WebhookTargets;
use crate::address::PhoneNumber;
use crate::provider::ProviderError;
use crate::secret::Secret;

/// The registrations of one account.
#[async_trait]
pub trait RegistrationAdmin: Send + Sync {
    /// What the credentials must be allowed to do, in words for the person who makes them.
    fn permission(&self) -> &'static str;

    /// Registers a number that the account does not have yet. WhatsApp then sends a code to it, unless the provider
    /// receives that itself.
    async fn register(&self, registration: &Registration) -> Result<Registered, ProviderError>;

    /// Tells the code that WhatsApp sent to the number of a sender. Whether it is the right one shows later, in the
    /// sender's [`super::Stage`].
    async fn verify(&self, sender: &str, code: &Secret) -> Result<Verified, ProviderError>;
}

/// A number to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub number: PhoneNumber,
    pub code_by: CodeBy,
    /// The business account at WhatsApp. Absent: the one that the provider's account is connected to.
    pub business_account: Option<String>,
    pub profile: BusinessProfile,
    /// Where the sender's webhooks go from the beginning.
    pub webhooks: WebhookTargets,
}

/// How WhatsApp sends the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeBy {
    Sms,
    Call,
}

/// What customers see of a business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusinessProfile {
    pub name: String,
    pub about: Option<String>,
    pub address: Option<String>,
    pub description: Option<String>,
    pub logo_url: Option<String>,
    pub vertical: Option<String>,
    pub websites: Vec<Labelled>,
    pub emails: Vec<Labelled>,
}

/// A website or an e-mail address, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    pub value: String,
    pub label: String,
}

/// What came of registering a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is under way.
    Begun,
    /// The number is registered already: in this account, or with somebody else.
    IsTaken,
    /// There were too many attempts, so none is accepted for a time.
    TooOften,
}

/// What came of telling a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// WhatsApp checks it.
    Submitted,
    /// There were too many attempts, so none is accepted for a time.
    TooOften,
}
