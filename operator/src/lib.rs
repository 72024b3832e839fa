//! The control plane: reconciles the three kinds with the providers, and compiles them into the tenants' configs.
//!
//! Reading order: [`leader`] lets one process act at a time; [`controllers`] starts what that process runs; [`watch`]
//! turns changes in the cluster into requests to [`reconcile`]; [`sender`], [`template`] and [`routing`] are the kinds,
//! which call providers through [`accounts`]; [`publish`] compiles what they found into one Secret per tenant; [`push`]
//! has the provider tell of approvals. Apart from all that, [`export`] writes the manifests of an account that exists,
//! and [`uninstall`] and [`release`] are for the time when the operator is gone.
//!
//! # What it may do in the cluster
//!
//! In tenants' namespaces: `get list watch patch` on the three kinds, and `patch` on their `status`; `get list watch`
//! on Secrets (`list` and `watch` by metadata, but for API keys, whose contents are listed); `create patch` on Events
//! of `events.k8s.io`. In its own namespace: `get list watch create patch delete` on Secrets (the compiled configs);
//! `get list watch create update` on Leases (its own election, and the data plane's replicas); `create` on ConfigMaps,
//! and `list watch` on the one with the data plane's hints. The chart grants exactly this. A tenant may grant more, so
//! that the credentials in one of its Secrets are replaced.

pub mod accounts;
pub mod clock;
pub mod controllers;
pub mod export;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod publish;
pub mod push;
pub mod reconcile;
pub mod release;
pub mod rotation;
pub mod routing;
pub mod sender;
pub mod settings;
pub mod template;
#[cfg(test)]
mod testing;
pub mod uninstall;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use messaging::clock::Clock;
use providers::HttpSettings;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use accounts::Connect;
use clock::SystemClock;
use controllers::{Controllers, Dependencies};
use http::Health;
use leader::tenure::Tenure;
use leader::{Candidate, LeadershipLost, Times};
use metrics::Metrics;
pub use settings::{LogFormat, Settings};

/// How long reconciles that run may take to finish when the process ends.
const DRAIN: Duration = Duration::from_secs(20);

/// Why the operator ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Settings(#[from] settings::InvalidSettings),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("no cluster is configured: neither a kubeconfig nor a pod's service account was found")]
    NoCluster(#[source] kube::config::InferConfigError),
    #[error("the client for the cluster can't be created")]
    Client(#[source] kube::Error),
    #[error("the HTTP client for the providers can't be created")]
    Providers(#[from] providers::InvalidHttpSettings),
    #[error("the metrics can't be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("what the uninstalled operator left can't be removed")]
    Uninstall(#[source] reconcile::error::KubernetesFailure),
    #[error(transparent)]
    Release(#[from] release::ReleaseFailed),
    #[error("leadership was lost")]
    LeadershipLost(#[from] LeadershipLost),
    #[error("a task of the operator ended by itself: {0}")]
    TaskEnded(&'static str),
}

impl Ended {
    /// The exit code of the process: 3 when leadership was lost, which is not a fault; what [`release`] says of its own
    /// errors; 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::LeadershipLost(_) => 3,
            Self::Release(failed) => failed.exit_code(),
            _ => 1,
        }
    }
}

/// Removes the compiled configs of an installation that is gone; see [`uninstall`].
pub async fn remove_configs(options: uninstall::RemoveConfigs) -> Result<(), Ended> {
    uninstall::remove_configs(&client().await?, &options).await.map_err(Ended::Uninstall)
}

/// Releases the objects that wait for an operator that is gone; see [`release`]. What stays is written to stdout.
pub async fn release(options: &release::Release) -> Result<(), Ended> {
    let (client, pace, mut out) = (client().await?, release::leader::RealTime, std::io::stdout());
    Ok(release::release(&client, options, &pace, &mut out).await?)
}

async fn client() -> Result<kube::Client, Ended> {
    let config = kube::Config::infer().await.map_err(Ended::NoCluster)?;
    kube::Client::try_from(config).map_err(Ended::Client)
}

/// Runs until `shutdown`, then drains. It returns early when leadership is lost or a task ends by itself. The caller
/// must then end the process, because that task's work in progress is lost.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Ended> {
    settings.check()?;
    let http_client = providers::http_client(HttpSettings::default())?;
    let connect: Connect = Arc::new(move |account| providers::admin(account, &http_client));
    let metrics = Arc::new(Metrics::new()?);
    let client = client().await?;
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Ended::Listen { address, source })?;
    tracing::info!(%address, public_base_url = %settings.public_base_url, "the operator is starting");

    let health = Health::new(Arc::clone(&metrics));
    let stop_http = CancellationToken::new();
    let mut endpoints = JoinSet::new();
    endpoints.spawn(http::serve(listener, health.clone(), stop_http.clone()));

    let dependencies =
        Dependencies { client, settings: Arc::new(settings), clock: Arc::new(SystemClock), metrics, connect };
    let ended = tokio::select! {
        ended = lead(dependencies, health, shutdown) => ended,
        _ = endpoints.join_next() => Err(Ended::TaskEnded("the endpoints for metrics and probes")),
    };
    stop_http.cancel();
    endpoints.shutdown().await;
    ended
}

/// Competes for leadership, and runs the controllers while leading.
async fn lead(dependencies: Dependencies, health: Health, shutdown: CancellationToken) -> Result<(), Ended> {
    let settings = Arc::clone(&dependencies.settings);
    let clock: Arc<dyn Clock> = Arc::clone(&dependencies.clock);
    let leases = kube::Api::namespaced(dependencies.client.clone(), &settings.config_namespace);
    // Unique across restarts: an earlier process of this pod may still be ending.
    let me = format!("{}_{:08x}", settings.pod_name, rand::random::<u32>());
    let times = Times {
        lease_duration: settings.lease_duration,
        renew_deadline: settings.renew_deadline,
        retry: settings.lease_retry,
    };
    let mut candidate = Candidate::new(leases, settings.lease_name.clone(), me, times, &*clock);
    if settings.leader_election {
        tokio::select! {
            () = candidate.acquire(|| health.standby()) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
    tracing::info!("leading");
    let tenure = if settings.leader_election { candidate.tenure() } else { Tenure::Unelected };
    let controllers = Controllers::new(dependencies, tenure);
    health.leading(controllers.watched.clone(), controllers.listings());
    let stop = CancellationToken::new();
    let running = controllers.run(stop.clone());
    let mut running = std::pin::pin!(running);
    let lost = async { if settings.leader_election { candidate.hold().await } else { std::future::pending().await } };
    let ended = {
        let mut lost = std::pin::pin!(lost);
        tokio::select! {
            ended = &mut running => return ended.map_err(Ended::TaskEnded),
            // The next leader may be writing already, so nothing is drained.
            lost = &mut lost => return Err(lost.into()),
            () = shutdown.cancelled() => {}
        }
        tracing::info!("stopping: finishing the reconciles that run");
        stop.cancel();
        tokio::select! {
            ended = tokio::time::timeout(DRAIN, &mut running) => ended,
            lost = &mut lost => return Err(lost.into()),
        }
    };
    if ended.is_err() {
        tracing::warn!("some reconciles did not finish within {DRAIN:?}; the next leader repeats them");
        // The lease is kept: those reconciles may still write, so the next leader waits until it lapses.
        return Ok(());
    }
    if settings.leader_election
        && let Err(error) = candidate.step_down().await
    {
        tracing::warn!(%error, "the lease could not be given up; it will lapse");
    }
    Ok(())
}
