//! The adapters behind the seam that `messaging::provider` draws: one module per provider, each with its API client,
//! its webhook verification and its translation into this project's words.
//!
//! An adapter acts for one account and keeps no state of its own: whether a call is worth repeating, and when, is
//! decided by whoever called. Nothing outside this crate knows a provider's words.

use std::sync::Arc;

use messaging::config::ProviderAccount;
use messaging::provider::{AccountAdmin, MessagingProvider, WebhookAdapter};

#[doc(hidden)]
pub mod fuzzing;
pub mod meta;
mod transport;
pub mod twilio;

pub use transport::{HttpSettings, InvalidHttpSettings, http_client};

/// The data plane's side of an account. Make `http` with [`http_client`], once per process: it holds the connections.
pub fn connect(account: &ProviderAccount, http: &reqwest::Client) -> Arc<dyn MessagingProvider> {
    match account {
        ProviderAccount::Twilio(account) => Arc::new(twilio::Twilio::new(account, http)),
    }
}

/// The operator's side of an account. Make `http` with [`http_client`], once per process.
pub fn admin(account: &ProviderAccount, http: &reqwest::Client) -> Arc<dyn AccountAdmin> {
    match account {
        ProviderAccount::Twilio(account) => Arc::new(twilio::Twilio::new(account, http)),
    }
}

/// Every provider's webhooks.
pub fn webhook_adapters() -> Vec<Arc<dyn WebhookAdapter>> {
    vec![Arc::new(twilio::TwilioWebhooks)]
}
