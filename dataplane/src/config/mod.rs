//! The tenants' configs as the running process sees them: each tenant's is swapped whole, and costs what that tenant costs.
//!
//! ```text
//! kubernetes (watch) ─┐                    ┌─> http, dispatch, publish   (Configs::get)
//!                     ├─> Configs::apply ──┤
//! directory (poll) ───┘         │          └─> replica                   (the acknowledgement, a Lease)
//!                             cache (a copy on disk, for a restart without an API server)
//! ```
//!
//! A broken config is refused and reported. The last good one keeps running, and no other tenant is affected. This
//! module decides nothing about messages: it only holds what the operator compiled.

mod annotations;
mod assembly;
pub mod cache;
pub mod directory;
mod endpoints;
mod index;
pub mod kubernetes;
pub mod replica;
mod tenant;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messaging::config::TenantConfig;
use messaging::id::TenantId;
use messaging::provider::WebhookAdapter;
use messaging::provider::webhook::{Addressee, EndpointId};
use parking_lot::{Mutex, MutexGuard, RwLock};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

pub use endpoints::{Adapters, Endpoint, Speaker};
pub use index::ApiKeyHolder;
pub use tenant::{Connect, RefusedConfig, Sender, Tenant};

use self::endpoints::Endpoints;
use self::index::{Entry, Index};
use crate::metrics::{ConfigResult, ConfigStep, Metrics};
use crate::sink::OpenSink;

/// What became of a config that was offered to [`Configs::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It runs now.
    New,
    /// It runs already.
    Unchanged,
    /// It is broken; the last good one keeps running.
    Refused(RefusedConfig),
}

/// Every tenant's config. Readers take one tenant's; writers replace it.
pub struct Configs {
    /// Locked for as long as a look-up takes.
    index: RwLock<Index>,
    /// One writer at a time, so that two never build from the same config.
    writing: Mutex<()>,
    connect: Connect,
    endpoints: Endpoints,
    open_sink: OpenSink,
    metrics: Arc<Metrics>,
    ready: AtomicBool,
    /// Whether any tenant was ever served.
    served: AtomicBool,
    changed: watch::Sender<()>,
}

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.index.read().counts();
        f.debug_struct("Configs").field("counts", &counts).field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl Configs {
    /// Starts without tenants, and not ready. `connect` builds the adapter of a sender's account, `adapters` are the
    /// providers' webhook adapters, and `open_sink` opens a sender's sinks.
    pub fn new(connect: Connect, adapters: Adapters, open_sink: OpenSink, metrics: Arc<Metrics>) -> Self {
        Self {
            index: RwLock::default(),
            writing: Mutex::new(()),
            connect,
            endpoints: Endpoints::new(adapters),
            open_sink,
            metrics,
            ready: AtomicBool::new(false),
            served: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        }
    }

    /// The tenant as configured now. Keep the answer for a whole piece of work, so that the work sees one config.
    pub fn get(&self, tenant: &TenantId) -> Option<Arc<Tenant>> {
        self.index.read().get(tenant)?.running.clone()
    }

    /// Every tenant, by name.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.index.read().entries().filter_map(|(_, entry)| entry.running.clone()).collect()
    }

    pub fn endpoint(&self, id: &EndpointId) -> Option<Arc<Endpoint>> {
        self.endpoints.get(id)
    }

    /// The senders that a part of a request is for, whose signature the key at this index made; empty where no sender
    /// is known to be meant.
    pub fn addressees<'e>(&self, endpoint: &'e Endpoint, addressee: &Addressee, key: usize) -> Vec<&'e Speaker> {
        self.endpoints.addressees(endpoint, addressee, key)
    }

    /// What stands in for an endpoint that does not exist: whoever calls it cannot tell it from one whose keys they do
    /// not have.
    pub fn nobodys_endpoint(&self, provider: &str) -> Option<Arc<Endpoint>> {
        self.endpoints.nobodys(provider)
    }

    pub fn webhook_adapters(&self) -> &Adapters {
        self.endpoints.adapters()
    }

    /// A provider's webhook adapter, by the provider's name.
    pub fn webhook_adapter(&self, provider: &str) -> Option<&Arc<dyn WebhookAdapter>> {
        self.endpoints.adapters().iter().find(|adapter| adapter.provider() == provider)
    }

    /// The tenants whose newest config was refused, and why.
    pub fn refused(&self) -> BTreeMap<TenantId, String> {
        let index = self.index.read();
        index.entries().filter_map(|(tenant, entry)| Some((tenant.clone(), entry.refused.clone()?))).collect()
    }

    /// The holder of the API key with this SHA-256 digest.
    pub fn api_key_holder(&self, digest: &[u8; 32]) -> Option<ApiKeyHolder> {
        self.index.read().api_key_holder(digest).cloned()
    }

    /// Applies a compiled config in its JSON form. Only this tenant changes, and only if the config is sound.
    pub fn apply(&self, tenant: &TenantId, bytes: &[u8]) -> Applied {
        let _writing = self.begin_writing();
        let current = self.index.read().get(tenant).cloned();
        let offered: [u8; 32] = Sha256::digest(bytes).into();
        let (next, applied) = match current.clone().filter(|current| current.offered == offered) {
            // What it leads to is known.
            Some(Entry { refused: Some(reason), .. }) => (None, Applied::Refused(RefusedConfig(reason))),
            Some(_) => (None, Applied::Unchanged),
            None => {
                let (next, applied) = self.build(tenant, bytes, current.unwrap_or_default());
                (Some(Entry { offered, ..next }), applied)
            }
        };
        self.metrics.config(match &applied {
            Applied::New => ConfigResult::Applied,
            Applied::Unchanged => ConfigResult::Unchanged,
            Applied::Refused(_) => ConfigResult::Refused,
        });
        if let Some(next) = next {
            if applied == Applied::New {
                self.endpoints.set(tenant, next.running.as_ref().map(|running| &running.config));
                self.served.store(true, Ordering::Release);
            }
            self.publish(tenant, Some(next));
        }
        applied
    }

    /// What is known of the tenant once this config was offered.
    fn build(&self, tenant: &TenantId, bytes: &[u8], current: Entry) -> (Entry, Applied) {
        self.metrics.config_step(ConfigStep::Parsed, 1);
        let parsed = TenantConfig::from_json(tenant, bytes).map_err(|error| RefusedConfig(error.to_string()));
        let running = current.running.as_deref();
        let built = parsed.and_then(|config| match running.is_some_and(|running| running.config == config) {
            true => Ok(None),
            false => Tenant::build(config, running, &self.connect, &self.open_sink).map(Some),
        });
        match built {
            Ok(None) => (Entry { refused: None, ..current }, Applied::Unchanged),
            Ok(Some(new)) => {
                // Failure policy: fail static. The operator leaves out what is faulty. To refuse the rest here would
                // leave a restarted replica without the tenant.
                for fault in new.config.validate() {
                    tracing::warn!(%tenant, %fault, "a fault in a tenant's config; the config runs all the same");
                    self.metrics.config_fault();
                }
                (Entry { running: Some(Arc::new(new)), refused: None, ..current }, Applied::New)
            }
            Err(refused) => {
                tracing::warn!(%tenant, reason = %refused, "tenant config refused; the last good one keeps running");
                (Entry { refused: Some(refused.0.clone()), ..current }, Applied::Refused(refused))
            }
        }
    }

    /// Notes that a tenant's newest config cannot be run, before there is a whole one to apply. The last good one keeps
    /// running.
    pub fn refuse(&self, tenant: &TenantId, why: RefusedConfig) {
        let _writing = self.begin_writing();
        let current = self.index.read().get(tenant).cloned().unwrap_or_default();
        self.metrics.config(ConfigResult::Refused);
        if current.refused.as_ref() != Some(&why.0) {
            tracing::warn!(%tenant, reason = %why, "tenant config refused; the last good one keeps running");
            // What was offered before may be offered again, and runs then.
            self.publish(tenant, Some(Entry { refused: Some(why.0), offered: [0; 32], ..current }));
        }
    }

    /// Removes a tenant: from now on nothing is accepted or sent for it.
    pub fn remove(&self, tenant: &TenantId) {
        let _writing = self.begin_writing();
        if self.index.read().get(tenant).is_some() {
            self.endpoints.set(tenant, None);
            tracing::info!(%tenant, "tenant config removed");
            self.metrics.config(ConfigResult::Removed);
            self.publish(tenant, None);
        }
    }

    /// Takes a complete list of the tenants, and removes and returns all others.
    ///
    /// Failure policy: fail static. An empty list removes no tenant, because a source that has just come back empty
    /// (a restored etcd, an unmounted volume) is likelier than all tenants leaving at once.
    pub fn retain(&self, listed: &BTreeSet<TenantId>) -> Vec<TenantId> {
        let known: Vec<TenantId> = self.index.read().entries().map(|(tenant, _)| tenant.clone()).collect();
        let gone: Vec<TenantId> = known.into_iter().filter(|tenant| !listed.contains(tenant)).collect();
        if listed.is_empty() && !gone.is_empty() {
            tracing::warn!(kept = gone.len(), "the list of tenant configs came back empty; every tenant is kept");
            return Vec::new();
        }
        for tenant in &gone {
            self.remove(tenant);
        }
        gone
    }

    /// Called once the first list, or the copy on disk, has been applied.
    pub fn mark_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the tenants' configs are loaded. Once true, it stays true.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether it says something that a sender is not here: the configs are loaded, and there is or was a tenant. A
    /// source that has been empty since the start is likelier a mistake (a restored etcd, another namespace) than all
    /// tenants having left.
    pub fn know_what_is_absent(&self) -> bool {
        self.is_ready() && self.served.load(Ordering::Acquire)
    }

    /// A receiver that changes whenever a tenant does.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn begin_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock()
    }

    fn publish(&self, tenant: &TenantId, entry: Option<Entry>) {
        let (touched, counts) = {
            let mut index = self.index.write();
            (index.set(tenant, entry), index.counts())
        };
        self.metrics.config_step(ConfigStep::KeyIndexed, touched);
        self.metrics.config_tenants(counts.running, counts.refused);
        self.changed.send_replace(());
    }
}
