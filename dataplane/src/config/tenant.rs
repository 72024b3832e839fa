//! One tenant, ready to be used: its config, and an adapter for each sender's provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use messaging::config::{HttpSink, ProviderAccount, SenderConfig, SinkConfig, TenantConfig};
use messaging::id::SenderName;
use messaging::provider::MessagingProvider;

use crate::publish::signature::SigningKey;
use crate::store::message::SinkId;

/// Builds the adapter of a provider account. It does no I/O: a provider that is down is no reason to refuse a config.
pub type Connect = Arc<dyn Fn(&ProviderAccount) -> Arc<dyn MessagingProvider> + Send + Sync>;

/// Why a config does not run. A sentence for a person, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RefusedConfig(pub(super) String);

/// A tenant's config with everything built that using it needs.
pub struct Tenant {
    pub config: TenantConfig,
    /// SHA-256 of each API key, and the name of the Secret that it came from.
    pub(super) api_keys: Vec<([u8; 32], String)>,
    providers: BTreeMap<SenderName, Arc<dyn MessagingProvider>>,
}

/// One sender of a tenant.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    pub name: &'a SenderName,
    pub config: &'a SenderConfig,
    pub provider: &'a Arc<dyn MessagingProvider>,
}

impl Tenant {
    /// Builds the new beside the old. Senders whose account did not change keep their adapter, and with it their
    /// connections.
    pub(super) fn build(config: TenantConfig, old: Option<&Self>, connect: &Connect) -> Result<Self, RefusedConfig> {
        let mut providers = BTreeMap::new();
        for (name, sender) in &config.senders {
            check_sinks(name, sender)?;
            let kept = old.and_then(|old| old.sender(name)).filter(|old| old.config.provider == sender.provider);
            let provider = match kept {
                Some(kept) => Arc::clone(kept.provider),
                None => connect(&sender.provider),
            };
            providers.insert(name.clone(), provider);
        }
        let api_keys = config
            .api_keys
            .iter()
            .enumerate()
            .map(|(i, key)| {
                let mut digest = [0; 32];
                hex::decode_to_slice(&key.sha256, &mut digest)
                    .map_err(|_| {
                        RefusedConfig(format!(
                            "apiKeys[{i}].sha256 of {:?}: expected a SHA-256 digest in 64 hexadecimal digits",
                            key.name
                        ))
                    })
                    .map(|()| (digest, key.name.clone()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { config, api_keys, providers })
    }

    /// The sender of this name; `None` when the tenant has none (any more).
    pub fn sender(&self, name: &SenderName) -> Option<Sender<'_>> {
        let (name, config) = self.config.senders.get_key_value(name)?;
        Some(Sender { name, config, provider: self.providers.get(name)? })
    }

    pub fn senders(&self) -> impl Iterator<Item = Sender<'_>> {
        self.config.senders.keys().filter_map(|name| self.sender(name))
    }
}

impl<'a> Sender<'a> {
    /// Where this sender's events go, each once.
    pub fn sinks(&self) -> Vec<SinkId> {
        let distinct: BTreeSet<SinkId> = self.http_sinks().map(sink_id).collect();
        distinct.into_iter().collect()
    }

    /// The sink of this name; `None` when the sender has none such (any more).
    pub fn http_sink(&self, id: &SinkId) -> Option<&'a HttpSink> {
        self.http_sinks().find(|sink| sink_id(sink) == *id)
    }

    fn http_sinks(&self) -> impl Iterator<Item = &'a HttpSink> + use<'a> {
        self.config.events.iter().map(|SinkConfig::Http(http)| http)
    }
}

fn sink_id(sink: &HttpSink) -> SinkId {
    SinkId(sink.url.to_string())
}

/// A sink whose secret cannot sign would fail each of its events; the config that brings it is refused instead.
fn check_sinks(name: &SenderName, sender: &SenderConfig) -> Result<(), RefusedConfig> {
    let mut urls = BTreeSet::new();
    for (i, sink) in sender.events.iter().enumerate() {
        let SinkConfig::Http(http) = sink;
        let path = format!("senders.{name}.events[{i}].http");
        if !matches!(http.url.scheme(), "http" | "https") || http.url.host().is_none() {
            return Err(RefusedConfig(format!("{path}.url: expected an http or https URL with a host")));
        }
        if !urls.insert(&http.url) {
            return Err(RefusedConfig(format!(
                "{path}.url: stands in an earlier entry already; expected each URL once"
            )));
        }
        if http.signing_secrets.is_empty() {
            return Err(RefusedConfig(format!("{path}.signingSecrets: expected at least one secret")));
        }
        for (k, secret) in http.signing_secrets.iter().enumerate() {
            SigningKey::parse(secret).map_err(|e| RefusedConfig(format!("{path}.signingSecrets[{k}]: {e}")))?;
        }
    }
    Ok(())
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("name", self.name).field("config", self.config).finish_non_exhaustive()
    }
}
