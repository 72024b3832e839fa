//! The tenants' configs as the running process sees them: one snapshot, swapped whole, one tenant at a time.
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

pub mod cache;
pub mod directory;
mod endpoints;
pub mod kubernetes;
pub mod replica;
mod tenant;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use messaging::config::TenantConfig;
use messaging::id::TenantId;
use messaging::provider::WebhookAdapter;
use messaging::provider::webhook::EndpointId;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

pub use endpoints::{Adapters, Endpoint, Speaker};
pub use tenant::{Connect, RefusedConfig, Sender, Tenant};

use self::endpoints::Endpoints;
use crate::metrics::{ConfigResult, Metrics};
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

/// Every tenant's config: readers take a snapshot without a lock, writers replace one tenant in it.
pub struct Configs {
    snapshot: ArcSwap<Snapshot>,
    /// One writer at a time, so that two never build from the same snapshot.
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

#[derive(Clone, Default)]
struct Snapshot {
    tenants: BTreeMap<TenantId, Arc<Tenant>>,
    refused: BTreeMap<TenantId, String>,
    api_keys: Arc<ApiKeyIndex>,
}

/// API keys by digest, over all tenants.
type ApiKeyIndex = HashMap<[u8; 32], ApiKeyOwner>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum ApiKeyOwner {
    One {
        tenant: TenantId,
        name: String,
    },
    /// Several tenants hold the same key. It authenticates none of them, because the caller could be any.
    Several,
}

/// The tenant that an API key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyHolder {
    pub tenant: TenantId,
    /// The name of the Secret that the key came from.
    pub name: String,
}

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let snapshot = self.snapshot.load();
        f.debug_struct("Configs")
            .field("tenants", &snapshot.tenants.keys())
            .field("refused", &snapshot.refused)
            .field("ready", &self.is_ready())
            .finish()
    }
}

impl Configs {
    /// Starts without tenants, and not ready. `connect` builds the adapter of a sender's account, `adapters` are the
    /// providers' webhook adapters, and `open_sink` opens a sender's sinks.
    pub fn new(connect: Connect, adapters: Adapters, open_sink: OpenSink, metrics: Arc<Metrics>) -> Self {
        Self {
            snapshot: ArcSwap::default(),
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
        self.snapshot.load().tenants.get(tenant).cloned()
    }

    /// Every tenant, by name.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.snapshot.load().tenants.values().cloned().collect()
    }

    pub fn endpoint(&self, id: &EndpointId) -> Option<Arc<Endpoint>> {
        self.endpoints.get(id)
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
        self.snapshot.load().refused.clone()
    }

    /// The holder of the API key with this SHA-256 digest.
    pub fn api_key_holder(&self, digest: &[u8; 32]) -> Option<ApiKeyHolder> {
        match self.snapshot.load().api_keys.get(digest)? {
            ApiKeyOwner::One { tenant, name } => Some(ApiKeyHolder { tenant: tenant.clone(), name: name.clone() }),
            ApiKeyOwner::Several => None,
        }
    }

    /// Applies a compiled config in its JSON form. Only this tenant changes, and only if the config is sound.
    pub fn apply(&self, tenant: &TenantId, bytes: &[u8]) -> Applied {
        let _writing = self.begin_writing();
        let current = self.snapshot.load_full();
        let built =
            TenantConfig::from_json(tenant, bytes).map_err(|e| RefusedConfig(e.to_string())).and_then(|config| {
                let old = current.tenants.get(tenant).map(AsRef::as_ref);
                Tenant::build(config, old, &self.connect, &self.open_sink)
            });

        let mut next = Snapshot::clone(&current);
        let applied = match built {
            Err(refused) => {
                tracing::warn!(%tenant, reason = %refused, "tenant config refused; the last good one keeps running");
                next.refused.insert(tenant.clone(), refused.0.clone());
                Applied::Refused(refused)
            }
            Ok(new) => {
                let was_refused = next.refused.remove(tenant).is_some();
                if current.tenants.get(tenant).is_some_and(|old| old.config == new.config) {
                    if !was_refused {
                        self.metrics.config(ConfigResult::Unchanged);
                        return Applied::Unchanged;
                    }
                    Applied::Unchanged
                } else {
                    self.endpoints.set(tenant, Some(&new.config));
                    next.tenants.insert(tenant.clone(), Arc::new(new));
                    self.served.store(true, Ordering::Release);
                    Applied::New
                }
            }
        };
        self.metrics.config(match &applied {
            Applied::New => ConfigResult::Applied,
            Applied::Unchanged => ConfigResult::Unchanged,
            Applied::Refused(_) => ConfigResult::Refused,
        });
        self.publish(next);
        applied
    }

    /// Removes a tenant: from now on nothing is accepted or sent for it.
    pub fn remove(&self, tenant: &TenantId) {
        let _writing = self.begin_writing();
        let mut next = Snapshot::clone(&self.snapshot.load());
        let served = next.tenants.remove(tenant).is_some();
        self.endpoints.set(tenant, None);
        if served | next.refused.remove(tenant).is_some() {
            tracing::info!(%tenant, "tenant config removed");
            self.metrics.config(ConfigResult::Removed);
            self.publish(next);
        }
    }

    /// Takes a complete list of the tenants, and removes and returns all others.
    ///
    /// Failure policy: fail static. An empty list removes no tenant, because a source that has just come back empty
    /// (a restored etcd, an unmounted volume) is likelier than all tenants leaving at once.
    pub fn retain(&self, listed: &BTreeSet<TenantId>) -> Vec<TenantId> {
        let current = self.snapshot.load();
        let gone: BTreeSet<&TenantId> =
            current.tenants.keys().chain(current.refused.keys()).filter(|tenant| !listed.contains(*tenant)).collect();
        if listed.is_empty() && !gone.is_empty() {
            tracing::warn!(kept = gone.len(), "the list of tenant configs came back empty; every tenant is kept");
            return Vec::new();
        }
        let gone: Vec<_> = gone.into_iter().cloned().collect();
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

    /// Whether it says something that a sender is not here: the configs are loaded, and there is or was a tenant. A source
    /// that has been empty since the start is likelier a mistake (a restored etcd, another namespace) than all tenants
    /// having left.
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

    fn publish(&self, mut next: Snapshot) {
        next.api_keys = Arc::new(index_api_keys(&next.tenants));
        self.metrics.config_tenants(next.tenants.len(), next.refused.len());
        self.snapshot.store(Arc::new(next));
        self.changed.send_replace(());
    }
}

fn index_api_keys(tenants: &BTreeMap<TenantId, Arc<Tenant>>) -> ApiKeyIndex {
    let mut index = ApiKeyIndex::new();
    for tenant in tenants.values() {
        for (digest, name) in &tenant.api_keys {
            let owner = ApiKeyOwner::One { tenant: tenant.config.tenant.clone(), name: name.clone() };
            index
                .entry(*digest)
                .and_modify(|existing| {
                    let same_tenant =
                        matches!(existing, ApiKeyOwner::One { tenant: held, .. } if *held == tenant.config.tenant);
                    if !same_tenant {
                        tracing::warn!(tenant = %tenant.config.tenant, key = %name, "two tenants hold the same API key; it is refused for both");
                        *existing = ApiKeyOwner::Several;
                    }
                })
                .or_insert(owner);
        }
    }
    index
}
