//! Config from the Secrets that the operator compiles: listed, then watched, in one namespace. One watch shows the
//! configs and their parts, in the order in which they were written.
//!
//! The API server may be away for any time: loaded configs keep running, the copy on disk serves a restart, and the
//! watch resumes by itself with a fresh list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use messaging::config::kubernetes::{CONFIG_KEY, PART_TYPE, SECRET_TYPE, TENANT_LABEL, part_of, secret_name};
use messaging::config::parts::{ContentId, Stored};
use messaging::error::with_causes;
use messaging::id::TenantId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assembly::{Assembly, Index};
use super::cache::Cache;
use super::{Applied, Configs, RefusedConfig};
use crate::metrics::Metrics;

/// What this replica reports to the operator: it runs every config up to this version, except those that
/// [`Configs::refused`] lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The newest `resourceVersion` that was applied; `None` before the first list.
    pub resource_version: Option<String>,
    /// For each tenant that runs a config in parts, what that config's index is known by.
    pub parts: BTreeMap<TenantId, ContentId>,
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
    assembly: Assembly,
    /// The configs in parts that run.
    running: BTreeMap<TenantId, ContentId>,
}

/// What the operator wrote a Secret for.
enum Purpose {
    Config,
    Part(ContentId),
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
            assembly: Assembly::default(),
            running: BTreeMap::new(),
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
        let events = watcher(secrets, watcher::Config::default().labels(TENANT_LABEL)).default_backoff();
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
            Event::Init => {
                self.listed.clear();
                self.assembly.begin_list();
            }
            Event::InitApply(secret) => match purpose_of(&secret) {
                // A list shows an index before its parts.
                Some((tenant, Purpose::Config)) => {
                    self.read(&tenant, &secret).await;
                    self.listed.insert(tenant);
                }
                Some((tenant, Purpose::Part(id))) => drop(self.assembly.take_part(&tenant, id, value_of(secret))),
                None => {}
            },
            Event::InitDone => {
                self.assembly.end_list();
                for gone in self.configs.retain(&std::mem::take(&mut self.listed)) {
                    self.forget(&gone).await;
                }
                for tenant in self.assembly.tenants() {
                    self.assemble(&tenant).await;
                }
                self.configs.mark_ready();
                self.acknowledge();
            }
            Event::Apply(secret) => match purpose_of(&secret) {
                Some((tenant, Purpose::Config)) => {
                    self.read(&tenant, &secret).await;
                    self.assemble(&tenant).await;
                    self.acknowledge();
                }
                Some((tenant, Purpose::Part(id))) => {
                    let is_named = self.assembly.take_part(&tenant, id, value_of(secret));
                    if is_named {
                        self.assemble(&tenant).await;
                        self.acknowledge();
                    }
                }
                None => {}
            },
            Event::Delete(secret) => match purpose_of(&secret) {
                Some((tenant, Purpose::Config)) => {
                    self.note_version(secret.resource_version());
                    self.configs.remove(&tenant);
                    self.forget(&tenant).await;
                    self.acknowledge();
                }
                // What runs needs its parts no longer.
                Some((tenant, Purpose::Part(id))) => self.assembly.drop_part(&tenant, &id),
                None => {}
            },
        }
    }

    /// Reads a tenant's Secret: a config is applied, an index is kept for [`SecretWatch::assemble`].
    async fn read(&mut self, tenant: &TenantId, secret: &Secret) {
        let value = secret.data.as_ref().and_then(|data| data.get(CONFIG_KEY)).map_or(&[][..], |bytes| &bytes.0);
        let version = secret.resource_version();
        match Stored::read(tenant, value) {
            Ok(Stored::Whole(config)) => {
                self.assembly.set_index(tenant, None);
                if self.offer(tenant, config, version).await {
                    self.running.remove(tenant);
                }
            }
            Ok(Stored::Parts(names)) => self.assembly.set_index(tenant, Some(Index { names, version })),
            Err(error) => {
                self.assembly.set_index(tenant, None);
                self.configs.refuse(tenant, RefusedConfig(error.to_string()));
            }
        }
    }

    /// Applies a tenant's config in parts if every part is here. Otherwise the last good one keeps running.
    async fn assemble(&mut self, tenant: &TenantId) {
        let Some((Index { names, version }, whole)) = self.assembly.whole(tenant) else { return };
        match whole {
            Ok(config) => {
                if self.offer(tenant, &config, version).await {
                    self.running.insert(tenant.clone(), names.id());
                }
            }
            Err(not_whole) => self.configs.refuse(tenant, RefusedConfig(not_whole.to_string())),
        }
    }

    /// Returns whether the config runs.
    async fn offer(&mut self, tenant: &TenantId, config: &[u8], version: Option<String>) -> bool {
        match self.configs.apply(tenant, config) {
            Applied::New => {
                tracing::info!(%tenant, version, "tenant config applied");
                self.keep(tenant, config).await;
            }
            Applied::Unchanged => {}
            // Not applied, so its version is not acknowledged.
            Applied::Refused(_) => return false,
        }
        self.note_version(version);
        true
    }

    async fn keep(&self, tenant: &TenantId, bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.store(tenant, bytes).await {
            self.metrics.config_source_error("cache");
            tracing::warn!(%tenant, %error, "the tenant config runs, but no copy of it could be kept for a restart");
        }
    }

    async fn forget(&mut self, tenant: &TenantId) {
        self.assembly.set_index(tenant, None);
        self.running.remove(tenant);
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.remove(tenant).await {
            self.metrics.config_source_error("cache");
            tracing::warn!(%tenant, %error, "the tenant is gone, but the kept copy of its config could not be removed");
        }
    }

    fn note_version(&mut self, version: Option<String>) {
        let Some(version) = version else { return };
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
        self.acknowledged
            .send_replace(Acknowledgement { resource_version: Some(version), parts: self.running.clone() });
    }
}

/// A tenant's config out of a list of Secrets, for [`Configs::apply`].
///
/// # Errors
/// When it is not there, or a part of it is not.
pub fn config_in(tenant: &TenantId, secrets: Vec<Secret>) -> anyhow::Result<Vec<u8>> {
    let (mut assembly, mut found) = (Assembly::default(), None);
    for secret in secrets {
        match purpose_of(&secret) {
            Some((of, Purpose::Config)) if of == *tenant => found = Some(value_of(secret)),
            Some((of, Purpose::Part(id))) => drop(assembly.take_part(&of, id, value_of(secret))),
            _ => {}
        }
    }
    let value = found.with_context(|| format!("there is no Secret {} with a config", secret_name(tenant)))?;
    let names = match Stored::read(tenant, &value)? {
        Stored::Whole(_) => return Ok(value),
        Stored::Parts(names) => names,
    };
    assembly.set_index(tenant, Some(Index { names, version: None }));
    let (_, whole) = assembly.whole(tenant).context("its index was just set")?;
    Ok(whole?)
}

/// What a Secret is for; `None` for one that the operator did not write.
fn purpose_of(secret: &Secret) -> Option<(TenantId, Purpose)> {
    let labelled = secret.labels().get(TENANT_LABEL)?;
    let (name, tenant) = (secret.name_any(), TenantId::new(labelled.as_str()).ok());
    // Two Secrets could carry the same tenant's label, but only one can have the name.
    let purpose = tenant.and_then(|tenant| match secret.type_.as_deref() {
        Some(SECRET_TYPE) if name == secret_name(&tenant) => Some((tenant, Purpose::Config)),
        Some(PART_TYPE) => part_of(&tenant, &name).map(|id| (tenant, Purpose::Part(id))),
        _ => None,
    });
    if purpose.is_none() {
        tracing::warn!(secret = %name, "Secret ignored: its name and type do not match its tenant label; expected whatsapp-tenant-<tenant> and {SECRET_TYPE}");
    }
    purpose
}

fn value_of(secret: Secret) -> Vec<u8> {
    secret.data.and_then(|mut data| data.remove(CONFIG_KEY)).map_or_else(Vec::new, |value| value.0)
}
