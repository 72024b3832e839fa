//! One tenant, ready to use: its config, and for each sender the adapter of its provider and its open sinks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use messaging::config::{DEFAULT_SINK, ProviderAccount, SenderConfig, TenantConfig};
use messaging::id::SenderName;
use messaging::provider::MessagingProvider;

use crate::sink::{OpenSink, Sink};
use crate::store::message::SinkId;

/// Builds the adapter of a provider account without I/O, so a provider that is down never makes a config invalid.
pub type Connect = Arc<dyn Fn(&ProviderAccount) -> Arc<dyn MessagingProvider> + Send + Sync>;

/// Why a config cannot run: a sentence for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RefusedConfig(pub(super) String);

/// A tenant's config, and everything that is built from it.
pub struct Tenant {
    pub config: TenantConfig,
    /// SHA-256 of each API key, and the name of the Secret that it came from.
    pub(super) api_keys: Vec<([u8; 32], String)>,
    connected: BTreeMap<SenderName, Connected>,
}

/// What a sender's config is built into.
struct Connected {
    provider: Arc<dyn MessagingProvider>,
    sinks: Vec<Arc<dyn Sink>>,
}

/// One sender of a tenant.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    pub name: &'a SenderName,
    pub config: &'a SenderConfig,
    pub provider: &'a Arc<dyn MessagingProvider>,
    sinks: &'a [Arc<dyn Sink>],
}

impl Tenant {
    /// Builds a tenant while the old one still runs. A sender keeps the adapter of an unchanged account and its
    /// unchanged sinks, and with them their connections.
    pub(super) fn build(
        config: TenantConfig,
        old: Option<&Self>,
        connect: &Connect,
        open_sink: &OpenSink,
    ) -> Result<Self, RefusedConfig> {
        let mut connected = BTreeMap::new();
        for (name, sender) in &config.senders {
            let old = old.and_then(|old| old.sender(name));
            let sinks = match old.filter(|old| old.config.events == sender.events) {
                Some(old) => old.sinks.to_vec(),
                None => open_sinks(name, sender, open_sink)?,
            };
            let provider = match old.filter(|old| old.config.provider == sender.provider) {
                Some(old) => Arc::clone(old.provider),
                None => connect(&sender.provider),
            };
            connected.insert(name.clone(), Connected { provider, sinks });
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
        Ok(Self { config, api_keys, connected })
    }

    /// The sender of this name; `None` when the config does not have it, or no longer does.
    pub fn sender(&self, name: &SenderName) -> Option<Sender<'_>> {
        let (name, config) = self.config.senders.get_key_value(name)?;
        let Connected { provider, sinks } = self.connected.get(name)?;
        Some(Sender { name, config, provider, sinks })
    }

    pub fn senders(&self) -> impl Iterator<Item = Sender<'_>> {
        self.config.senders.keys().filter_map(|name| self.sender(name))
    }
}

impl<'a> Sender<'a> {
    /// The sinks of this sender's events, sorted by id.
    pub fn sinks(&self) -> Vec<SinkId> {
        let mut ids: Vec<_> = self.sinks.iter().map(|sink| sink.id().clone()).collect();
        ids.sort();
        ids
    }

    /// The sink of this id; `None` when the config no longer has it.
    pub fn sink(&self, id: &SinkId) -> Option<&'a Arc<dyn Sink>> {
        self.sinks.iter().find(|sink| sink.id() == id)
    }

    /// The sink that takes over what waits under an address, from before sinks were known by their names: the one at
    /// that address, else the sender's only one.
    pub fn successor(&self, address: &SinkId) -> Option<&'a SinkId> {
        if !address.is_address() {
            return None;
        }
        let mut all = self.config.events.iter().zip(self.sinks);
        let there = all.find(|(config, _)| config.address() == address.as_str()).map(|(_, sink)| sink);
        let only = if let [only] = self.sinks { Some(only) } else { None };
        there.or(only).map(|sink| sink.id()).filter(|id| !id.is_address())
    }
}

/// Opens each sink. A sink that cannot run would fail every event, so its config is refused.
fn open_sinks(name: &SenderName, sender: &SenderConfig, open: &OpenSink) -> Result<Vec<Arc<dyn Sink>>, RefusedConfig> {
    let mut opened: Vec<Arc<dyn Sink>> = Vec::with_capacity(sender.events.len());
    let unnamed = sender.events.iter().filter(|config| config.name().is_none()).count();
    for (i, config) in sender.events.iter().enumerate() {
        let path = format!("senders.{name}.events[{i}]");
        let id = match config.name() {
            Some(name) => name.as_str(),
            None if unnamed == 1 => DEFAULT_SINK,
            None => config.address(),
        };
        let sink = open(SinkId::new(id), config).map_err(|invalid| RefusedConfig(format!("{path}.{invalid}")))?;
        if opened.iter().any(|earlier| earlier.id() == sink.id()) {
            return Err(RefusedConfig(format!(
                "{path}: the same name as an earlier entry; expected each sink under a name of its own"
            )));
        }
        opened.push(sink);
    }
    Ok(opened)
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
