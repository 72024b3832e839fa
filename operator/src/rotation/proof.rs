//! Who still needs a credential: what is published, and what every live replica acknowledged.

use messaging::config::{SenderConfig, TenantConfig};
use messaging::secret::Secret;

use super::record::OldKey;

/// Whether every live replica runs a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Everyone,
    /// The config is not published yet, or nothing is known of it yet.
    NotPublished,
    /// These replicas have not acknowledged it, of so many that live.
    Waiting {
        replicas: Vec<String>,
        total: usize,
    },
    /// This replica stopped renewing its Lease and did not remove it: it may be cut off, and still running.
    Doubtful(String),
}

/// Whether nobody calls with any of these keys.
pub fn calls_with_none_of(config: &TenantConfig, keys: &[OldKey]) -> bool {
    let is_old = |sender: &SenderConfig| keys.iter().any(|key| sender.provider.username() == key.id);
    !config.senders.values().any(is_old)
}

/// Whether every sender of the account accepts webhooks that are signed with `next`, and none calls with `token`.
pub fn accepts(config: &TenantConfig, account: &str, token: Option<&Secret>, next: &Secret) -> bool {
    config.senders.values().filter(|sender| sender.provider.account_key() == account).all(|sender| {
        let calls_with_it = token.is_some_and(|token| sender.provider.caller().contains(&token.expose()));
        sender.provider.webhook_keys().contains(next) && !calls_with_it
    })
}
