//! The tenants of every measurement: many senders, no sinks, and limits too high to matter. The limit of an account
//! holds for each tenant (2,000 messages a second at Twilio), so sends are spread over several tenants.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use messaging::config::{
    ApiKeyConfig, ConsentConfig, FORMAT, Limits, OptOutConfig, ProviderAccount, Retention, SenderConfig, TenantConfig,
    TwilioAccount, Validity,
};
use messaging::id::{SenderName, TemplateName, TenantId};
use messaging::secret::Secret;
use messaging::template::Approval;
use messaging::template::{AccountTemplate, LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig};
use sha2::{Digest, Sha256};

/// The first of [`TENANTS`], which receives the webhooks.
pub(crate) const TENANT: &str = "shop";
pub(crate) const TENANTS: [&str; 4] = [TENANT, "bank", "airline", "clinic"];
pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The phone number of the first sender.
pub(crate) const NUMBER: &str = "+14155238886";
pub(crate) const PUBLIC_URL: &str = "https://whatsapp.example.com";
pub(crate) const TEMPLATE: &str = "order-shipped";
/// Senders of each tenant, with phone numbers counted up from [`NUMBER`].
pub(crate) const SENDERS: [&str; 8] =
    ["support", "sales", "billing", "shipping", "returns", "events", "visits", "jobs"];

/// The phone number of the nth sender.
pub(crate) fn number(sender: usize) -> String {
    format!("+1415523{}", 8886 + sender)
}

/// A tenant's API key, for benchmarks only.
pub(crate) fn api_key(tenant: &str) -> String {
    format!("an-api-key-of-{tenant}-for-a-benchmark")
}

/// Writes the tenants' configs into a directory that a data plane reads. `handle` is the provider's handle of the
/// template.
pub(crate) fn write(directory: &Path, handle: &str) -> Result<()> {
    for tenant in TENANTS {
        let path = directory.join(format!("{tenant}.json"));
        std::fs::write(&path, config(tenant, handle)?.to_json())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn config(tenant: &str, handle: &str) -> Result<TenantConfig> {
    let account = TwilioAccount {
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: Secret::new(AUTH_TOKEN),
        webhook_keys: vec![Secret::new(AUTH_TOKEN)],
        messaging_service_sid: None,
        base_url: None,
    };
    let mut senders = BTreeMap::new();
    for (n, name) in SENDERS.into_iter().enumerate() {
        let sender = SenderConfig {
            phone_number: number(n).parse()?,
            provider: ProviderAccount::Twilio(account.clone()),
            limits: Limits {
                messages_per_second: 1_000_000,
                interval_millis: None,
                burst: 1_000_000,
                max_concurrency: 1_000,
            },
            opt_out: OptOutConfig::default(),
            consent: ConsentConfig::default(),
            retention: Retention::default(),
            validity: Validity::default(),
            events: Vec::new(),
            paused: false,
        };
        senders.insert(SenderName::new(name)?, sender);
    }
    let approved = AccountTemplate { handle: handle.to_owned(), approval: Approval::Approved };
    let body = "Hello {{1}}, your order has left our warehouse and is on its way to you.";
    let localization = LocalizationConfig {
        content: LocalizedContent { body: body.to_owned(), header: None, footer: None, buttons: Vec::new() },
        accounts: BTreeMap::from([(ACCOUNT.to_owned(), approved.into())]),
    };
    let template = TemplateConfig {
        category: TemplateCategory::Utility,
        variables: vec!["1".to_owned()],
        fallback_language: "en_US".to_owned(),
        localizations: BTreeMap::from([("en_US".to_owned(), localization.into())]).into(),
    };
    let key = ApiKeyConfig { name: "bench".to_owned(), sha256: hex::encode(Sha256::digest(api_key(tenant))) };
    Ok(TenantConfig {
        format: FORMAT,
        tenant: TenantId::new(tenant)?,
        cell: None,
        public_base_url: PUBLIC_URL.parse()?,
        senders,
        templates: BTreeMap::from([(TemplateName::new(TEMPLATE)?, template)]),
        policies: BTreeMap::new(),
        default_policy: None,
        pools: BTreeMap::new(),
        api_keys: vec![key],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_plane_accepts_the_tenants_configs() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "HX0123456789abcdef0123456789abcdef").unwrap();
        for tenant in TENANTS {
            let bytes = std::fs::read(directory.path().join(format!("{tenant}.json"))).unwrap();
            let read = TenantConfig::from_json(&TenantId::new(tenant).unwrap(), &bytes).unwrap();
            assert_eq!(read.senders.len(), SENDERS.len());
            assert_eq!(read.senders[&SenderName::new("support").unwrap()].phone_number.to_string(), NUMBER);
        }
        assert_ne!(api_key(TENANTS[0]), api_key(TENANTS[1]));
    }
}
