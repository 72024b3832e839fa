//! Config from the Secrets that the operator compiles: listed, then watched, in one namespace.
//!
//! The API server may be away for any time: loaded configs keep running, the copy on disk serves a restart, and the
//! watch resumes by itself with a fresh list.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use messaging::config::kubernetes::{CONFIG_KEY, SECRET_TYPE, TENANT_LABEL, secret_name};
use messaging::error::with_causes;
use messaging::id::TenantId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::{Applied, Configs};
use crate::metrics::Metrics;

/// What this replica reports to the operator: it runs every config up to this version, except those that
/// [`Configs::refused`] lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The newest `resourceVersion` that was applied; `None` before the first list.
    pub resource_version: Option<String>,
}

/// Watches the compiled Secrets of one namespace.
pub struct SecretWatch {
    configs: Arc<Configs>,
    cache: Option<Cache>,
    metrics: Arc<Metrics>,
    acknowledged: watch::Sender<Acknowledgement>,
    /// Tenants seen since the list began. A tenant that is missing when it ends is gone.
    listed: BTreeSet<TenantId>,
    newest: Option<String>,
}

impl SecretWatch {
    pub fn new(configs: Arc<Configs>, cache: Option<Cache>, metrics: Arc<Metrics>) -> Self {
        Self {
            configs,
            cache,
            metrics,
            acknowledged: watch::Sender::new(Acknowledgement::default()),
            listed: BTreeSet::new(),
            newest: None,
        }
    }

    /// The acknowledgements as they grow, for [`super::replica`].
    pub fn acknowledgements(&self) -> watch::Receiver<Acknowledgement> {
        self.acknowledged.subscribe()
    }

    /// Applies the copy on disk. With at least one tenant in it, the process is ready without an API server.
    pub async fn load_cache(&self) {
        let Some(cache) = &self.cache else { return };
        let kept = match cache.load().await {
            Ok(kept) => kept,
            Err(error) => {
                self.metrics.config_source_error("cache");
                tracing::warn!(%error, "the kept copies of the tenant configs cannot be read; waiting for the API server");
                return;
            }
        };
        let mut applied = 0;
        for (tenant, bytes) in kept {
            if self.configs.apply(&tenant, &bytes) == Applied::New {
                applied += 1;
            }
        }
        if applied > 0 {
            tracing::info!(tenants = applied, "started from the kept copies of the tenant configs");
            self.configs.mark_ready();
        }
    }

    /// Watches until `stop`. Errors are reported and retried with backoff; they never end the watch.
    pub async fn follow(mut self, client: Client, namespace: &str, stop: CancellationToken) {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let selection = watcher::Config::default().labels(TENANT_LABEL).fields(&format!("type={SECRET_TYPE}"));
        let events = watcher(secrets, selection).default_backoff();
        let mut events = std::pin::pin!(events);
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.try_next() => event,
            };
            match event {
                Ok(Some(event)) => self.take(event).await,
                Ok(None) => return,
                Err(error) => {
                    // Failure policy: fail static. Nothing that is loaded is touched.
                    self.metrics.config_source_error("kubernetes");
                    tracing::warn!(error = %with_causes(&error), "the tenant configs cannot be watched; what is loaded keeps running");
                }
            }
        }
    }

    /// Applies one event of the watch.
    pub async fn take(&mut self, event: Event<Secret>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(secret) => {
                if let Some(tenant) = self.apply(&secret).await {
                    self.listed.insert(tenant);
                }
            }
            Event::InitDone => {
                for gone in self.configs.retain(&std::mem::take(&mut self.listed)) {
                    self.forget(&gone).await;
                }
                self.configs.mark_ready();
                self.acknowledge();
            }
            Event::Apply(secret) => {
                self.apply(&secret).await;
                self.acknowledge();
            }
            Event::Delete(secret) => {
                if let Some(tenant) = tenant_of(&secret) {
                    self.note_version(&secret);
                    self.configs.remove(&tenant);
                    self.forget(&tenant).await;
                    self.acknowledge();
                }
            }
        }
    }

    async fn apply(&mut self, secret: &Secret) -> Option<TenantId> {
        let tenant = tenant_of(secret)?;
        let bytes = secret.data.as_ref().and_then(|data| data.get(CONFIG_KEY)).map_or(&[][..], |bytes| &bytes.0);
        match self.configs.apply(&tenant, bytes) {
            Applied::New => {
                tracing::info!(%tenant, version = secret.resource_version(), "tenant config applied");
                self.keep(&tenant, bytes).await;
                self.note_version(secret);
            }
            Applied::Unchanged => self.note_version(secret),
            // Not applied, so its version is not acknowledged.
            Applied::Refused(_) => {}
        }
        Some(tenant)
    }

    async fn keep(&self, tenant: &TenantId, bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.store(tenant, bytes).await {
            self.metrics.config_source_error("cache");
            tracing::warn!(%tenant, %error, "the tenant config runs, but no copy of it could be kept for a restart");
        }
    }

    async fn forget(&self, tenant: &TenantId) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.remove(tenant).await {
            self.metrics.config_source_error("cache");
            tracing::warn!(%tenant, %error, "the tenant is gone, but the kept copy of its config could not be removed");
        }
    }

    fn note_version(&mut self, secret: &Secret) {
        let Some(version) = secret.resource_version() else { return };
        // Resource versions of one kind are growing numbers. One that is not a number cannot be compared, so it wins.
        let newer = match (version.parse::<u128>(), self.newest.as_deref().map(str::parse::<u128>)) {
            (Ok(new), Some(Ok(old))) => new > old,
            _ => true,
        };
        if newer {
            self.newest = Some(version);
        }
    }

    /// Publishes the acknowledgement, even if only a refusal changed: the Lease carries both.
    fn acknowledge(&self) {
        // After an empty first list there is no version to acknowledge, but the replica still counts.
        let version = self.newest.clone().unwrap_or_else(|| "0".to_owned());
        self.acknowledged.send_replace(Acknowledgement { resource_version: Some(version) });
    }
}

/// The tenant whose config a Secret holds; `None` for a Secret that the operator did not write.
fn tenant_of(secret: &Secret) -> Option<TenantId> {
    let labelled = secret.labels().get(TENANT_LABEL)?;
    match TenantId::new(labelled.as_str()) {
        // Two Secrets could carry the same tenant's label, but only one can have the name.
        Ok(tenant) if secret.name_any() == secret_name(&tenant) => Some(tenant),
        _ => {
            tracing::warn!(secret = %secret.name_any(), "Secret ignored: its name does not match its tenant label; expected whatsapp-tenant-<tenant>");
            None
        }
    }
}
