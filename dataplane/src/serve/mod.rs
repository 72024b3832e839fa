//! Puts the parts together, keeps them running, and ends them in order.
//!
//! No part is detached: one that ends before it is told to ends the process, which is then restarted by whoever runs
//! it. To end in order: readiness fails, the listeners stop accepting, what is in flight finishes, claims are given
//! back, the store writes what was accepted, and the replica's Lease goes.

pub mod listen;
mod open;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use messaging::clock::Clock;
use messaging::config::ProviderAccount;
use providers::HttpSettings;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::apply::{Applier, ApplyContext};
use crate::auth::Authenticator;
use crate::auth::service_account::ServiceAccounts;
use crate::budget::Budget;
use crate::clock::SystemClock;
use crate::config::cache::Cache;
use crate::config::directory::Directory;
use crate::config::kubernetes::SecretWatch;
use crate::config::replica::{Identity, Replica};
use crate::config::{Configs, Connect};
use crate::dispatch::brakes::Brakes;
use crate::dispatch::reconcile::Reconciler;
use crate::dispatch::{DispatchContext, DispatchOptions, Dispatcher};
use crate::expiry::Expiry;
use crate::holds::Holds;
use crate::http::admin::{self, AdminContext};
use crate::http::{self, ApiContext, WebhookContext};
use crate::metrics::Metrics;
use crate::publish::transport::Transport;
use crate::publish::{PublishContext, Publisher};
use crate::retention;
use crate::settings::{ConfigSource, Role, Settings};
use crate::store::Store;
use crate::sweep::{SweepContext, SweepOptions, Sweeper};

use self::listen::Ends;
pub use self::open::open_store;

/// The process, with its listeners bound.
pub struct Server {
    settings: Settings,
    /// What others stand on: the store's writer, the configs, the operators' listener. They end last.
    ground: JoinSet<&'static str>,
    /// What serves. They end first.
    workers: JoinSet<&'static str>,
    stop_ground: CancellationToken,
    stop_workers: CancellationToken,
    /// What is still going on then ends at once.
    cut_off: CancellationToken,
    draining: Arc<AtomicBool>,
    store: Arc<dyn Store>,
    addresses: Addresses,
}

/// Where the listeners listen: the ports that were found where 0 was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub webhooks: Option<SocketAddr>,
    pub api: Option<SocketAddr>,
    pub admin: SocketAddr,
}

/// Serves until `shutdown`, then drains. An error means that the process should be started again.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    Server::start(settings).await?.run(shutdown).await
}

impl Server {
    /// Opens the store, finds the configs, binds the listeners and starts every part.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        // An error means that it is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::new()?);
        let (mut ground, mut workers) = (JoinSet::new(), JoinSet::new());
        let (stop_ground, stop_workers) = (CancellationToken::new(), CancellationToken::new());
        let ends = Ends { gently: stop_workers.clone(), at_once: CancellationToken::new() };
        let draining = Arc::new(AtomicBool::new(false));

        let (store, writers) = open_store(&settings.store, settings.store_ca.as_deref()).await?;
        ground.spawn(async move {
            writers.run().await;
            "the store's writers"
        });
        let store: Arc<dyn Store> = Arc::new(store);

        let client = providers::http_client(HttpSettings::default())?;
        let configs = Arc::new(Configs::new(connect(client, settings.twilio_base_url.clone()), Arc::clone(&metrics)));
        let service_accounts = follow_config(&settings, &configs, &clock, &metrics, &mut ground, &stop_ground).await?;

        // Before anything is taken: a drain counts for the first message, and the first webhook finds its day.
        let holds = Arc::new(Holds::new(Arc::clone(&store), Arc::clone(&clock)));
        holds.refresh().await.context("reading what is held")?;
        retention::make_days(store.as_ref(), clock.now()).await;
        let (following, stop) = (Arc::clone(&holds), stop_ground.clone());
        ground.spawn(async move {
            following.run(stop).await;
            "following what is held"
        });

        let admin_context = Arc::new(AdminContext {
            store: Arc::clone(&store),
            holds: Arc::clone(&holds),
            configs: Arc::clone(&configs),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            draining: Arc::clone(&draining),
        });
        let admin = admin::router(admin_context);
        let admin = listen::here(&mut ground, "the operators' listener", settings.admin_listen, admin, &stop_ground);
        let admin = admin.await?;
        let mut addresses = Addresses { webhooks: None, api: None, admin };

        let brakes = Arc::new(Brakes::new(Arc::clone(&metrics)));
        let has = |role| settings.roles.contains(&role);
        let mut fresh = None;
        if has(Role::Apply) {
            let (applier, handle) = Applier::new(ApplyContext {
                store: Arc::clone(&store),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                brakes: Arc::clone(&brakes),
                holds: Arc::clone(&holds),
                ask_after: settings.reconcile_after,
            });
            fresh = Some(handle);
            let stop = stop_workers.clone();
            workers.spawn(async move {
                applier.run(stop).await;
                "applying events"
            });
        }
        if has(Role::Webhooks) {
            let router = http::webhooks(Arc::new(WebhookContext {
                fresh,
                store: Arc::clone(&store) as _,
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
            }));
            let (name, at) = ("the webhooks' listener", settings.webhook_listen);
            addresses.webhooks = Some(listen::on_every_core(&mut workers, name, at, &router, &ends)?);
        }
        if has(Role::Api) {
            let router = http::api(Arc::new(ApiContext {
                store: Arc::clone(&store),
                holds: Arc::clone(&holds),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                authenticator: Authenticator::new(Arc::clone(&configs), service_accounts, Arc::clone(&metrics)),
            }));
            let (name, at) = ("the tenants' listener", settings.api_listen);
            addresses.api = Some(listen::on_every_core(&mut workers, name, at, &router, &ends)?);
        }
        if has(Role::Dispatch) {
            let context = DispatchContext {
                store: Arc::clone(&store),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                brakes: Arc::clone(&brakes),
                holds: Arc::clone(&holds),
                options: DispatchOptions {
                    lease: settings.lease,
                    unconfirmed_grace: settings.unconfirmed_grace,
                    ask_accepted_after: settings.reconcile_after,
                    ..DispatchOptions::new(settings.replica.as_str())
                },
            };
            // Whatever asks the accounts shares what they may be asked.
            let budget = Arc::new(Budget::default());
            let dispatcher = Dispatcher::new(context.clone());
            let reconciler = Reconciler::with_budget(context, Arc::clone(&budget));
            let sweeper = Sweeper::new(SweepContext {
                store: Arc::clone(&store),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                budget,
                options: SweepOptions::new(settings.replica.as_str()),
            });
            let stop = stop_workers.clone();
            workers.spawn(async move {
                sweeper.run(stop).await;
                "sweeping"
            });
            let stop = stop_workers.clone();
            workers.spawn(async move {
                dispatcher.run(stop).await;
                "dispatching"
            });
            let stop = stop_workers.clone();
            workers.spawn(async move {
                reconciler.run(stop).await;
                "reconciling"
            });
            let expiry = Expiry {
                store: Arc::clone(&store),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
            };
            let stop = stop_workers.clone();
            workers.spawn(async move {
                expiry.run(stop).await;
                "expiring"
            });
            let (store, configs, clock) = (Arc::clone(&store), Arc::clone(&configs), Arc::clone(&clock));
            let stop = stop_workers.clone();
            workers.spawn(async move {
                retention::run(store, configs, clock, stop).await;
                "retention"
            });
        }
        if has(Role::Publish) {
            let publisher = Publisher::new(PublishContext {
                store: Arc::clone(&store),
                configs: Arc::clone(&configs),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                transport: Transport::new(settings.allow_private_sinks)?,
                owner: settings.replica.clone(),
                lease: settings.lease,
            });
            let stop = stop_workers.clone();
            workers.spawn(async move {
                publisher.run(stop).await;
                "publishing"
            });
        }
        tracing::info!(?addresses, roles = ?settings.roles, store = %settings.store, "serving");
        Ok(Self {
            settings,
            ground,
            workers,
            stop_ground,
            stop_workers,
            cut_off: ends.at_once,
            draining,
            store,
            addresses,
        })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown`, then drains.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(ended) = self.ground.join_next() => bail!("{} ended unasked", ended.context("a part panicked")?),
            Some(ended) = self.workers.join_next() => bail!("{} ended unasked", ended.context("a part panicked")?),
        }
        tracing::info!(timeout = ?self.settings.drain_timeout, "draining");
        self.draining.store(true, Ordering::Release);
        tokio::time::sleep(self.settings.drain_delay).await;
        self.stop_workers.cancel();
        let drained = tokio::time::timeout(self.settings.drain_timeout, finish(&mut self.workers)).await;
        match drained {
            Ok(finished) => finished?,
            // What is cut off was committed or was not; the next start finds it either way.
            Err(_) => tracing::warn!("not everything in flight finished in time; it is cut off"),
        }
        self.cut_off.cancel();
        self.workers.shutdown().await;
        self.store.close().await;
        self.stop_ground.cancel();
        finish(&mut self.ground).await?;
        tracing::info!("drained");
        Ok(())
    }
}

async fn finish(parts: &mut JoinSet<&'static str>) -> anyhow::Result<()> {
    while let Some(ended) = parts.join_next().await {
        let name = ended.context("a part panicked while it ended")?;
        tracing::debug!(part = name, "ended");
    }
    Ok(())
}

/// Builds adapters that share one HTTP client. A base URL in the tenant's config comes before the process's own.
pub(crate) fn connect(client: reqwest::Client, twilio_base_url: Option<Url>) -> Connect {
    Arc::new(move |account: &ProviderAccount| {
        let ProviderAccount::Twilio(twilio) = account;
        let mut twilio = twilio.clone();
        twilio.base_url = twilio.base_url.or_else(|| twilio_base_url.clone());
        providers::connect(&ProviderAccount::Twilio(twilio), &client)
    })
}

/// Finds the configs and keeps following them. Answers with what can check ServiceAccount tokens, on Kubernetes.
async fn follow_config(
    settings: &Settings,
    configs: &Arc<Configs>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    ground: &mut JoinSet<&'static str>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<ServiceAccounts>> {
    let ConfigSource { config_namespace, config_cache, config_dir } = &settings.config;
    if let Some(path) = config_dir {
        let mut directory = Directory::new(path, Arc::clone(configs), Arc::clone(metrics));
        directory.look().await.with_context(|| format!("reading the config directory {}", path.display()))?;
        let stop = stop.clone();
        ground.spawn(async move {
            directory.follow(stop).await;
            "following the config directory"
        });
        return Ok(None);
    }
    let namespace = config_namespace.clone().context("expected --config-namespace or --config-dir")?;
    let client = kube::Client::try_default().await.context("finding the Kubernetes API server")?;
    let cache = match config_cache {
        Some(path) => {
            Some(Cache::open(path).await.with_context(|| format!("opening the config cache {}", path.display()))?)
        }
        None => None,
    };
    let watch = SecretWatch::new(Arc::clone(configs), cache, Arc::clone(metrics));
    watch.load_cache().await;
    let replica = Replica::new(
        Identity { pod: settings.replica.clone(), pod_uid: settings.replica_uid.clone() },
        Arc::clone(configs),
        Arc::clone(clock),
        Arc::clone(metrics),
        watch.acknowledgements(),
    );
    let (watch_client, watch_namespace, watch_stop) = (client.clone(), namespace.clone(), stop.clone());
    ground.spawn(async move {
        watch.follow(watch_client, &watch_namespace, watch_stop).await;
        "watching the tenants' configs"
    });
    let (replica_client, replica_stop) = (client.clone(), stop.clone());
    ground.spawn(async move {
        replica.keep(replica_client, &namespace, replica_stop).await;
        "keeping the replica's lease"
    });
    Ok(Some(ServiceAccounts::new(Arc::new(client), settings.api_audience.as_str(), Arc::clone(clock))))
}
