//! The provider that a sender's spec names: the one place where the operator distinguishes providers.
//!
//! A new provider has a file here, a variant of [`SpecProvider`] and a field of [`BaseUrls`].

mod twilio;

use std::time::Duration;

use crds::{CodeSecretRef, ServiceMembership, TwilioProvider, WhatsAppSender};
use messaging::config::ProviderAccount;
use messaging::id::PoolId;
use messaging::provider::admin::{BusinessProfile, CodeBy};
use url::Url;

use super::invalid::Invalid;
use super::secret::Contents;

/// The URL to call instead of a provider's hosts, by provider: for an egress proxy, or the sandbox.
#[derive(Debug, Clone, Default)]
pub struct BaseUrls {
    pub twilio: Option<Url>,
}

/// What a Secret offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The account as the tenant's config describes it, with the credentials in use.
    pub account: ProviderAccount,
    /// What is to replace it, once the provider accepts it.
    pub next: Option<Next>,
}

/// The keys of a Secret that hold the account's token, and the one that will replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenKeys {
    pub current: &'static str,
    pub next: &'static str,
}

/// A number for trying things out, which all accounts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// What a phone joins it with.
    pub join_code: Option<String>,
    /// The time between two messages that it asks for.
    pub interval: Duration,
}

/// How a number is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub code_by: CodeBy,
    pub business_account: Option<String>,
    pub profile: BusinessProfile,
    /// Where a person puts the code that WhatsApp sends to the number.
    pub code: Option<CodeSecretRef>,
}

/// A credential that is to replace the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Its key in the Secret.
    pub key: &'static str,
    /// Opens if the provider accepts the credential.
    pub probe: ProviderAccount,
    /// The account with it and the one in use, for the time in which the provider may go from one to the other.
    pub if_accepted: ProviderAccount,
}

/// The provider in a spec.
#[derive(Debug, Clone, Copy)]
pub enum SpecProvider<'a> {
    Twilio(&'a TwilioProvider),
}

impl<'a> SpecProvider<'a> {
    /// `None` when the spec names no provider, which the schema refuses.
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

    /// What that Secret must hold, in words for the person who creates it.
    pub fn credentials_keys(self) -> &'static str {
        match self {
            Self::Twilio(_) => twilio::CREDENTIALS,
        }
    }

    /// Where that Secret holds the account's token.
    pub fn token_keys(self) -> TokenKeys {
        match self {
            Self::Twilio(_) => twilio::TOKEN_KEYS,
        }
    }

    /// Identifies the account at the provider. Two senders with the same value share the account.
    pub fn account(self) -> (&'static str, &'a str) {
        match self {
            Self::Twilio(twilio) => ("twilio", &twilio.account_sid),
        }
    }

    /// Whether the provider is to tell of approvals.
    pub fn template_events(self) -> bool {
        match self {
            Self::Twilio(twilio) => twilio.template_events,
        }
    }

    /// The pool of senders that the spec names.
    pub fn pool(self) -> Option<PoolId> {
        match self {
            Self::Twilio(twilio) => twilio.messaging_service_sid.as_deref().map(PoolId::new),
        }
    }

    /// Whether the operator keeps the sender in that pool.
    pub fn manages_membership(self) -> bool {
        match self {
            Self::Twilio(twilio) => twilio.messaging_service_membership == Some(ServiceMembership::Managed),
        }
    }

    /// How the operator registers the number where the account does not have it; `None` where it never does.
    pub fn registration(self) -> Option<Registration> {
        match self {
            Self::Twilio(twilio) => twilio.registration.as_deref().map(twilio::registration),
        }
    }

    /// The Secret where a person puts the code that WhatsApp sends to the number.
    pub fn code_secret(self) -> Option<&'a str> {
        match self {
            Self::Twilio(twilio) => {
                twilio.registration.as_ref()?.verification_code_secret_ref.as_ref().map(|code| code.name.as_str())
            }
        }
    }

    /// What the spec says of the provider's sandbox; `None` for a number of one's own.
    pub fn sandbox(self) -> Option<Sandbox> {
        match self {
            Self::Twilio(twilio) => twilio
                .sandbox
                .then(|| Sandbox { join_code: twilio.sandbox_join_code.clone(), interval: twilio::SANDBOX_INTERVAL }),
        }
    }

    /// The accounts that the Secret opens.
    pub fn compile(self, credentials: &Contents, base_urls: &BaseUrls) -> Result<Offered, Invalid> {
        match self {
            Self::Twilio(spec) => twilio::offered(spec, credentials, base_urls.twilio.as_ref()),
        }
    }
}
