//! Starts the tasks of the process, keeps them running, and stops them in order.
//!
//! No task is detached: one that ends unexpectedly ends the process, which its supervisor then restarts. The shutdown
//! goes in this order: readiness fails, the listeners stop accepting, requests and calls in flight finish, claims are
//! released, the store writes what was accepted, and the replica's Lease is deleted.

pub mod listen;
mod open;
mod tasks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use listener::Listener;
use messaging::clock::Clock;
use messaging::config::ProviderAccount;
use parking_lot::Mutex;
use providers::HttpSettings;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::admin::{self, AdminContext};
use crate::api::{self, ApiContext};
use crate::apply::{Applier, ApplyContext};
use crate::auth::Authenticator;
use crate::auth::sender_access::SenderAccess;
use crate::auth::service_account::ServiceAccounts;
use crate::bounds::{Bounds, BoundsOptions};
use crate::budget::Budget;
use crate::clock::SystemClock;
use crate::clock_check::ClockCheck;
use crate::config::cache::Cache;
use crate::config::directory::Directory;
use crate::config::kubernetes::SecretWatch;
use crate::config::replica::{Identity, Replica};
use crate::config::{Configs, Connect};
use crate::dispatch::brakes::Brakes;
use crate::dispatch::settle::Settler;
use crate::dispatch::{DispatchContext, DispatchOptions, Dispatcher};
use crate::expiry::Expiry;
use crate::hints::{HintHandle, HintWriter, Pace};
use crate::holds::Holds;
use crate::metrics::{ListenerLabel, Metrics};
use crate::progress::{Progress, Task};
use crate::publish::{PublishContext, Publisher, sinks};
use crate::removal::{self, Removals};
use crate::retention;
use crate::settings::{ConfigSource, Role, Settings};
use crate::shared::Shared;
use crate::store::Store;
use crate::sweep::{SweepContext, SweepOptions, Sweeper};
use crate::webhooks::{self, WebhookContext};

use self::listen::{Counted, Ends, Serve, Turns};
pub use self::open::open_store;
use self::open::patiently;
use self::tasks::TaskSet;

/// How long the store may take to close, even where the drain took all its time.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
/// How long the operators' listener and what else stops last may take.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// The process, with its listeners bound.
pub struct Server {
    settings: Settings,
    /// What the workers depend on: the store's writers, the configs, the operators' listener. They stop last.
    base: TaskSet,
    /// The listeners and workers. They stop first.
    workers: TaskSet,
    /// Cuts off requests that are still in flight after the drain timeout.
    cut_off: DropGuard,
    draining: Arc<AtomicBool>,
    store: Store,
    addresses: Addresses,
}

/// The listeners' bound addresses, with the actual ports where 0 was configured.
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
    /// Opens the store, loads the configs, binds the listeners and starts every task.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        // An error means that it is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (mut base, mut workers) = (TaskSet::default(), TaskSet::default());
        let ends = Ends { gently: workers.stop.clone(), at_once: CancellationToken::new() };
        // Also if the start fails: nobody would end the listeners that serve already.
        let cut_off = ends.at_once.clone().drop_guard();
        let descriptors = listener::descriptors::raised();
        let draining = Arc::new(AtomicBool::new(false));

        let (store, writers) = open_store(&settings.store, settings.store_ca.as_deref()).await?;
        base.spawn("the store's writers", |_| writers.run());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::new()?);
        let client = providers::http_client(HttpSettings::default())?;
        let configs = Arc::new(Configs::new(
            connect(client, settings.twilio_base_url.clone()),
            providers::webhook_adapters().into(),
            sinks::opener(settings.allow_private_sinks)?,
            Arc::clone(&metrics),
        ));
        let holds = Arc::new(Holds::new(store.clone(), Arc::clone(&clock)));
        let clock_check = Arc::new(ClockCheck::new(store.clone(), Arc::clone(&clock), Arc::clone(&metrics)));
        let progress = Arc::new(Progress::new(Arc::clone(&metrics)));
        let removals = Arc::new(Removals::new(settings.removal_grace));
        let shared = Shared { store, configs, clock, clock_check, metrics, holds, progress, removals };
        let api_server = follow_config(&settings, &shared, &mut base).await?;

        // Before anything is accepted: an unreliable clock is known, a drain applies to the first message, and the
        // first webhook's day exists.
        let clock_check = Arc::clone(&shared.clock_check);
        let what = "comparing this replica's clock with the database's";
        patiently(what, async || clock_check.compare().await).await.context(what)?;
        let progress = Arc::clone(&shared.progress);
        base.spawn("comparing the clocks", async move |stop| clock_check.run(&progress, stop).await);
        let holds = Arc::clone(&shared.holds);
        patiently("reading the holds", async || holds.refresh().await).await.context("reading the holds")?;
        retention::make_days(&shared.store, shared.clock.now()).await;
        let progress = Arc::clone(&shared.progress);
        base.spawn("following the holds", async move |stop| holds.run(&progress, stop).await);

        let brakes = Arc::new(Brakes::new(Arc::clone(&shared.metrics)));
        let admin = admin::router(Arc::new(AdminContext {
            shared: shared.clone(),
            brakes: Arc::clone(&brakes),
            draining: Arc::clone(&draining),
        }));
        let limits = settings.connections.limits();
        let metrics = Arc::clone(&shared.metrics);
        let serve = |label, name, router, ends| {
            let counted = Counted { label, metrics: Arc::clone(&metrics) };
            let listener = Listener::new(listen::limits(label, &limits, descriptors), Arc::new(counted));
            Serve { name, listener, router, ends }
        };
        let base_ends = Ends { gently: base.stop.clone(), ..Ends::default() };
        let admin = serve(ListenerLabel::Admin, "the operators' listener", admin, base_ends);
        let admin = listen::here(&mut base.running, settings.admin_listen, admin).await?;
        let mut addresses = Addresses { webhooks: None, api: None, admin };

        let has = |role| settings.roles.contains(&role);
        let mut fresh = None;
        if has(Role::Apply) {
            let (brakes, ask_after) = (Arc::clone(&brakes), settings.reconcile_after);
            let (applier, handle) = Applier::new(ApplyContext { shared: shared.clone(), brakes, ask_after });
            fresh = Some(handle);
            workers.spawn("applying events", |stop| applier.run(stop));
        }
        if has(Role::Webhooks) {
            let hints = start_hints(&settings, api_server.clone(), &mut base);
            let Shared { store, configs, clock, metrics, .. } = shared.clone();
            let store = Arc::new(store);
            let router = webhooks::router(Arc::new(WebhookContext { fresh, hints, store, configs, clock, metrics }));
            let serve = serve(ListenerLabel::Webhooks, "the webhooks' listener", router, ends.clone());
            let turns = turns(&shared, Task::Webhooks);
            let bound = listen::on_every_core(&mut workers.running, settings.webhook_listen, &serve, &turns)?;
            addresses.webhooks = Some(bound);
        }
        if has(Role::Api) {
            let router = api::router(Arc::new(api_context(&settings, &shared, api_server)));
            let serve = serve(ListenerLabel::Api, "the tenants' listener", router, ends);
            let turns = turns(&shared, Task::Api);
            let bound = listen::on_every_core(&mut workers.running, settings.api_listen, &serve, &turns)?;
            addresses.api = Some(bound);
        }
        if has(Role::Dispatch) {
            start_dispatch(&settings, &shared, brakes, &mut workers);
        }
        workers.spawn("following what is removed", |stop| removal::run(shared.clone(), stop));
        if has(Role::Publish) {
            let publisher = Publisher::new(PublishContext {
                shared: shared.clone(),
                owner: settings.replica.clone(),
                lease: settings.lease,
            });
            workers.spawn("publishing", |stop| publisher.run(stop));
        }
        tracing::info!(?addresses, roles = ?settings.roles, store = %settings.store, "serving");
        Ok(Self { settings, base, workers, cut_off, draining, store: shared.store, addresses })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown`, then drains.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(ended) = self.base.running.join_next() => bail!("{} ended unexpectedly", ended.context("a task panicked")?),
            Some(ended) = self.workers.running.join_next() => bail!("{} ended unexpectedly", ended.context("a task panicked")?),
        }
        tracing::info!(timeout = ?self.settings.drain_timeout, "draining");
        self.draining.store(true, Ordering::Release);
        tokio::time::sleep(self.settings.drain_delay).await;
        self.workers.stop.cancel();
        let drained_by = Instant::now() + self.settings.drain_timeout;
        let drained = tokio::time::timeout_at(drained_by, self.workers.finish()).await;
        match drained {
            Ok(finished) => finished?,
            // The store is consistent either way: what was cut off was committed or was not.
            Err(_) => tracing::warn!("not everything in flight finished in time; it is cut off"),
        }
        drop(self.cut_off);
        self.workers.running.shutdown().await;
        // Nobody waits for the rest any more, so a database that hangs need not be waited for.
        let closed_by = drained_by.max(Instant::now() + CLOSED_WITHIN);
        if tokio::time::timeout_at(closed_by, self.store.close()).await.is_err() {
            tracing::warn!("the database does not answer; what it has not confirmed was not reported as done");
        }
        self.base.stop.cancel();
        match tokio::time::timeout(LAST_WITHIN, self.base.finish()).await {
            Ok(finished) => finished?,
            Err(_) => tracing::warn!("not everything has ended in time; the rest is cut off"),
        }
        self.base.running.shutdown().await;
        tracing::info!("drained");
        Ok(())
    }
}

/// Starts the workers that dispatch, reconcile, sweep and expire messages, and the one for retention.
fn start_dispatch(settings: &Settings, shared: &Shared, brakes: Arc<Brakes>, workers: &mut TaskSet) {
    let context = DispatchContext {
        shared: shared.clone(),
        brakes,
        options: DispatchOptions {
            lease: settings.lease,
            unconfirmed_grace: settings.unconfirmed_grace,
            ask_accepted_after: settings.reconcile_after,
            ..DispatchOptions::new(settings.replica.as_str())
        },
    };
    // The sweeper and the reconciler share each account's budget.
    let budget = Arc::new(Budget::default());
    let options = SweepOptions::new(settings.replica.as_str());
    let bounds = BoundsOptions {
        lease: settings.lease,
        ask_accepted_after: settings.reconcile_after,
        sweep_every: options.every,
        sweep_look_back: options.longest_look_back,
    };
    let bounds = Bounds { shared: shared.clone(), options: bounds };
    let sweeper = Sweeper::new(SweepContext { shared: shared.clone(), budget: Arc::clone(&budget), options });
    let dispatcher = Dispatcher::new(context.clone());
    let settler = Settler::with_budget(context, budget);
    let expiry = Expiry { shared: shared.clone() };
    workers.spawn("sweeping", |stop| sweeper.run(stop));
    workers.spawn("dispatching", |stop| dispatcher.run(stop));
    workers.spawn("settling", |stop| settler.run(stop));
    workers.spawn("keeping times within bounds", |stop| bounds.run(stop));
    workers.spawn("expiring", |stop| expiry.run(stop));
    workers.spawn("retention", |stop| retention::run(shared.clone(), stop));
}

/// Tells that the threads of a listener turn: as of the one that turned the longest ago.
fn turns(shared: &Shared, task: Task) -> Turns {
    let (progress, clock) = (Arc::clone(&shared.progress), Arc::clone(&shared.clock));
    let threads: Mutex<HashMap<usize, Timestamp>> = Mutex::default();
    Arc::new(move |thread| {
        let mut threads = threads.lock();
        threads.insert(thread, clock.now());
        if let Some(oldest) = threads.values().min() {
            progress.did(task, *oldest);
        }
    })
}

/// Builds adapters that share one HTTP client. A base URL in the tenant's config takes precedence over the process's.
pub(crate) fn connect(client: reqwest::Client, twilio_base_url: Option<Url>) -> Connect {
    Arc::new(move |account: &ProviderAccount| {
        let ProviderAccount::Twilio(twilio) = account;
        let mut twilio = twilio.clone();
        twilio.base_url = twilio.base_url.or_else(|| twilio_base_url.clone());
        providers::connect(&ProviderAccount::Twilio(twilio), &client)
    })
}

/// What the tenants' API needs. Without an API server, only API keys are accepted.
fn api_context(settings: &Settings, shared: &Shared, api_server: Option<kube::Client>) -> ApiContext {
    let Shared { configs, clock, metrics, .. } = shared.clone();
    let sender_access = (api_server.clone().filter(|_| settings.authorize_senders))
        .map(|client| SenderAccess::new(Arc::new(client), Arc::clone(&clock), Arc::clone(&metrics)));
    let service_accounts =
        api_server.map(|client| ServiceAccounts::new(Arc::new(client), settings.api_audience.as_str(), clock));
    let authenticator = Authenticator::new(configs, service_accounts, metrics);
    ApiContext { shared: shared.clone(), authenticator, sender_access }
}

/// Loads the configs and starts following them. On Kubernetes, returns a client of its API server.
async fn follow_config(
    settings: &Settings,
    shared: &Shared,
    base: &mut TaskSet,
) -> anyhow::Result<Option<kube::Client>> {
    let Shared { configs, clock, metrics, .. } = shared;
    let ConfigSource { config_namespace, config_cache, config_dir } = &settings.config;
    if let Some(path) = config_dir {
        let mut directory = Directory::new(path, Arc::clone(configs), Arc::clone(metrics));
        directory.look().await.with_context(|| format!("reading the config directory {}", path.display()))?;
        let clock = Arc::clone(clock);
        base.spawn("following the config directory", async move |stop| directory.follow(clock, stop).await);
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
    let (watch_client, watch_namespace) = (client.clone(), namespace.clone());
    base.spawn("watching the tenants' configs", async move |stop| {
        watch.follow(watch_client, &watch_namespace, stop).await;
    });
    let replica_client = client.clone();
    base.spawn("keeping the replica's lease", async move |stop| {
        replica.keep(replica_client, &namespace, stop).await;
    });
    Ok(Some(client))
}

/// Starts the task that tells the operator, where there is one.
fn start_hints(settings: &Settings, api_server: Option<kube::Client>, base: &mut TaskSet) -> Option<HintHandle> {
    let object: Api<ConfigMap> = Api::namespaced(api_server?, settings.config.config_namespace.as_deref()?);
    let (writer, handle) = HintWriter::new(Arc::new(object), Pace::default());
    base.spawn("passing hints on", |stop| writer.run(stop));
    Some(handle)
}
