//! The adapters that implement the traits of `messaging::provider`: one module per provider, with its API client, its
//! webhook verification and its translation into this project's terms.
//!
//! An adapter acts for one account and keeps no state. The caller decides whether and when to repeat a call. Nothing
//! outside this crate knows a provider's terms.

use std::sync::Arc;

use messaging::config::ProviderAccount;
use messaging::provider::{AccountAdmin, MessagingProvider, WebhookAdapter};

#[doc(hidden)]
pub mod fuzzing;
pub mod meta;
mod transport;
pub mod twilio;

pub use transport::{HttpSettings, InvalidHttpSettings, http_client};

/// The data plane's side of an account. Create `http` with [`http_client`], once per process: it holds the connections.
pub fn connect(account: &ProviderAccount, http: &reqwest::Client) -> Arc<dyn MessagingProvider> {
    match account {
        ProviderAccount::Twilio(account) => Arc::new(twilio::Twilio::new(account, http)),
    }
}

/// The operator's side of an account. Create `http` with [`http_client`], once per process.
pub fn admin(account: &ProviderAccount, http: &reqwest::Client) -> Arc<dyn AccountAdmin> {
    match account {
        ProviderAccount::Twilio(account) => Arc::new(twilio::Twilio::new(account, http)),
    }
}

/// Every provider's webhooks.
pub fn webhook_adapters() -> Vec<Arc<dyn WebhookAdapter>> {
    vec![Arc::new(twilio::TwilioWebhooks)]
}
