//! The subcommand: opens the store, finds the tenant's config, and replays.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use anyhow::{Context, bail};
use confidential::Confidential;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use messaging::clock::Clock;
use messaging::config::kubernetes::TENANT_LABEL;
use messaging::id::{MessageId, SenderName, TenantId};
use providers::HttpSettings;
use tokio::task::JoinSet;

use super::{Kind, Progress, Replay, Summary, Wanted};
use crate::config::cache::Cache;
use crate::config::directory::Directory;
use crate::config::kubernetes::config_in;
use crate::config::{Applied, Configs, Tenant};
use crate::metrics::Metrics;
use crate::publish::sinks;
use crate::serve::{connect, open_store};
use crate::settings::{ConfigSource, StoreUrl};

/// What to replay, and where it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The database, in the form that `serve` takes. With SQLite both write to one file and wait for each other, so
    /// replay when there is little traffic.
    #[arg(
        long,
        env = "WHATSAPP_STORE",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_STORE", StoreUrl::from_str)
    )]
    pub store: StoreUrl,

    /// CA certificates in PEM for the PostgreSQL server. Without it, the system's are used.
    #[arg(long, env = "WHATSAPP_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<PathBuf>,

    #[command(flatten)]
    pub config: ConfigSource,

    /// Replay webhooks of this tenant.
    #[arg(long, value_name = "NAMESPACE")]
    pub tenant: TenantId,

    /// Replay webhooks of this WhatsAppSender.
    #[arg(long, value_name = "NAME")]
    pub sender: SenderName,

    /// Only webhooks received at this time or later. May be left out with --message: then as far back as the metadata's
    /// retention reaches.
    #[arg(long, value_name = "RFC3339", required_unless_present = "message")]
    pub since: Option<Timestamp>,

    /// Only webhooks received before this time [default: now].
    #[arg(long, value_name = "RFC3339")]
    pub until: Option<Timestamp>,

    /// Only events of this kind.
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<Kind>,

    /// Only events about this message, sent or received.
    #[arg(long, value_name = "MESSAGE")]
    pub message: Option<MessageId>,

    /// Report what would be new and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Does what the options say.
pub async fn run(options: Options, clock: &dyn Clock, progress: &mut dyn Progress) -> anyhow::Result<Summary> {
    // An error means that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Options { store, store_ca, config, tenant, sender, since, until, kind, message, dry_run } = options;
    if let StoreUrl::Sqlite(file) = &store
        && !tokio::fs::try_exists(file).await.unwrap_or(false)
    {
        bail!("there is no database at {}: expected the store of a data plane that has served", file.display());
    }
    let (configs, configured) = find_config(&config, &tenant).await?;
    let (store, writers) = open_store(&store, store_ca.as_deref()).await?;
    let mut running = JoinSet::new();
    running.spawn(writers.run());
    let wanted = Wanted { sender, since, until, kind, message, dry_run };
    let replayed = Replay { store: &store, configs: &configs, tenant: configured, clock }.run(&wanted, progress).await;
    store.close().await;
    while let Some(ended) = running.join_next().await {
        ended.context("the store's writers panicked")?;
    }
    Ok(replayed?)
}

/// The tenant's config as it is now, read once.
async fn find_config(source: &ConfigSource, tenant: &TenantId) -> anyhow::Result<(Arc<Configs>, Arc<Tenant>)> {
    let ConfigSource { config_namespace, config_cache, config_dir } = source;
    let metrics = Arc::new(Metrics::new()?);
    let client = providers::http_client(HttpSettings::default())?;
    // No provider and no sink is called: the adapter only translates, and the sinks only provide their ids.
    let (connect, adapters) = (connect(client, None), providers::webhook_adapters().into());
    let configs = Arc::new(Configs::new(connect, adapters, sinks::opener(false)?, Arc::clone(&metrics)));
    if let Some(path) = config_dir {
        let looked = Directory::new(path, Arc::clone(&configs), metrics).look().await;
        looked.with_context(|| format!("reading the config directory {}", path.display()))?;
    } else {
        let namespace = config_namespace.as_deref().context("expected --config-namespace or --config-dir")?;
        let bytes = match (of_cluster(namespace, tenant).await, config_cache) {
            (Ok(bytes), _) => bytes,
            (Err(error), Some(cache)) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the config cannot be read from the cluster; the cached one is used"
                );
                of_cache(cache, tenant).await?
            }
            (Err(error), None) => return Err(error),
        };
        if let Applied::Refused(refused) = configs.apply(tenant, &bytes) {
            bail!("the config of tenant {tenant} is invalid: {refused}");
        }
    }
    if let (None, Some(refused)) = (configs.get(tenant), configs.refused().get(tenant)) {
        bail!("the config of tenant {tenant} is invalid: {refused}");
    }
    let configured = configs.get(tenant).with_context(|| format!("tenant {tenant} is not configured there"))?;
    Ok((configs, configured))
}

async fn of_cluster(namespace: &str, tenant: &TenantId) -> anyhow::Result<Vec<u8>> {
    let client = kube::Client::try_default().await.context("finding the Kubernetes API server")?;
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    // Listed, because listing is what serving replicas are permitted to do.
    let labelled = ListParams::default().labels(&format!("{TENANT_LABEL}={tenant}"));
    let found = secrets.list(&labelled).await.with_context(|| format!("reading the configs in {namespace}"))?;
    config_in(tenant, found.items).with_context(|| format!("reading the configs in {namespace}"))
}

async fn of_cache(path: &std::path::Path, tenant: &TenantId) -> anyhow::Result<Vec<u8>> {
    let cache = Cache::open(path).await.with_context(|| format!("opening the config cache {}", path.display()))?;
    let copies = cache.load().await.with_context(|| format!("reading the config cache {}", path.display()))?;
    let copy = copies.into_iter().find(|(of, _)| of == tenant);
    Ok(copy.with_context(|| format!("the config cache {} has no copy of tenant {tenant}", path.display()))?.1)
}
