//! Reads what an account has. Calls the provider, and only reads.

use messaging::provider::ProviderError;
use messaging::provider::admin::{AccountAdmin, Listed, ListedSender, PoolObservation, TemplateObservation};

/// What an account has, each list in the provider's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) templates: Vec<TemplateObservation>,
    pub(super) senders: Vec<ListedSender>,
    /// Messaging Services at Twilio.
    pub(super) services: Vec<PoolObservation>,
}

/// A list could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the account's {what} can't be listed{hint}")]
pub struct Unread {
    what: &'static str,
    hint: &'static str,
    source: ProviderError,
}

impl Unread {
    fn new(what: &'static str, source: ProviderError) -> Self {
        let hint = if source.is_unauthorized() {
            ": the credentials are wrong, or are not those of the account itself (a subaccount has its own), or lack the permission"
        } else {
            ""
        };
        Self { what, hint, source }
    }
}

pub(super) async fn read(admin: &dyn AccountAdmin) -> Result<Contents, Unread> {
    let Listed { rows: senders, .. } =
        admin.list_senders().await.map_err(|error| Unread::new("WhatsApp senders", error))?;
    let services = match admin.pools() {
        Some(pools) => pools.list_pools().await.map_err(|error| Unread::new("Messaging Services", error))?.rows,
        None => Vec::new(),
    };
    let Listed { rows: templates, .. } =
        admin.list_templates().await.map_err(|error| Unread::new("templates", error))?;
    Ok(Contents { templates, senders, services })
}
