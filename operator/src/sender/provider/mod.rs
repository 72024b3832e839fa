//! The provider that a sender's spec names: the one place where the operator tells providers apart.
//!
//! A provider that is added has a file here, a variant in [`SpecProvider`] and in [`BaseUrls`].

mod twilio;

use crds::{TwilioProvider, WhatsAppSender};
use messaging::config::ProviderAccount;
use messaging::id::PoolId;
use url::Url;

use super::dereference::Contents;
use super::validate::Invalid;

/// Where every host of a provider maps to, by provider: for an egress proxy, or the sandbox.
#[derive(Debug, Clone, Default)]
pub struct BaseUrls {
    pub twilio: Option<Url>,
}

/// The provider in a spec.
#[derive(Debug, Clone, Copy)]
pub enum SpecProvider<'a> {
    Twilio(&'a TwilioProvider),
}

impl<'a> SpecProvider<'a> {
    /// `None` when the spec names none, which the schema refuses.
    pub fn of(sender: &'a WhatsAppSender) -> Option<Self> {
        sender.spec.provider.twilio.as_ref().map(Self::Twilio)
    }

    /// The field that names the Secret with the credentials.
    pub fn credentials_path(self) -> &'static str {
        match self {
            Self::Twilio(_) => "spec.provider.twilio.credentialsSecretRef",
        }
    }

    /// The name of the Secret with the credentials.
    pub fn credentials_secret(self) -> &'a str {
        match self {
            Self::Twilio(twilio) => &twilio.credentials_secret_ref.name,
        }
    }

    /// What that Secret must hold, for a person who creates it.
    pub fn credentials_keys(self) -> &'static str {
        match self {
            Self::Twilio(_) => twilio::CREDENTIALS,
        }
    }

    /// What names the account at the provider. Two senders with the same one share the account.
    pub fn account(self) -> (&'static str, &'a str) {
        match self {
            Self::Twilio(twilio) => ("twilio", &twilio.account_sid),
        }
    }

    /// The pool of senders that the spec names.
    pub fn pool(self) -> Option<PoolId> {
        match self {
            Self::Twilio(twilio) => twilio.messaging_service_sid.as_deref().map(PoolId::new),
        }
    }

    /// The account in the tenant config's words, with its credentials.
    pub fn compile(self, credentials: &Contents, base_urls: &BaseUrls) -> Result<ProviderAccount, Invalid> {
        match self {
            Self::Twilio(spec) => {
                twilio::account(spec, credentials, base_urls.twilio.as_ref()).map(ProviderAccount::Twilio)
            }
        }
    }
}
