//! The data plane: the release binary, on its own database or on one that replicas share.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::metrics;
use tests::process::{Process, binary};

use super::database::Database;
use super::{Server, cpu, until};
use crate::cost::{cpu_of_family, peak_mib};

/// The parts of the data plane that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Webhooks are committed and answered.
    Webhooks,
    /// Webhooks take effect too.
    WebhooksAndEffects,
    /// Sends are accepted.
    Api,
    /// Accepted messages are handed to the provider.
    Dispatch,
}

impl Parts {
    fn roles(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::WebhooksAndEffects => "webhooks,apply",
            Self::Api => "api",
            Self::Dispatch => "dispatch",
        }
    }
}

pub(crate) struct DataPlane {
    process: Process,
    webhooks: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
    database: Arc<Database>,
}

impl DataPlane {
    /// Starts a replica and waits until it is ready. `config` holds the tenants' configs; `provider` replaces the
    /// hosts of the real provider.
    pub(crate) async fn start(
        name: &str,
        directory: &Path,
        parts: Parts,
        database: &Arc<Database>,
        provider: Option<&str>,
    ) -> Result<Self> {
        let [webhooks, api, admin] = [ports::free_address()?, ports::free_address()?, ports::free_address()?];
        let mut command = Command::new(binary("whatsapp-dataplane")?);
        command
            .arg("serve")
            .args(["--webhook-listen", &webhooks.to_string()])
            .args(["--api-listen", &api.to_string()])
            .args(["--admin-listen", &admin.to_string()])
            .args(["--store", database.url(), "--replica", name, "--roles", parts.roles()])
            .arg("--config-dir")
            .arg(directory.join("config"))
            .args(["--drain-delay", "0s"])
            .env("RUST_LOG", "warn");
        if let Some(provider) = provider {
            command.args(["--twilio-base-url", provider]);
        }
        let mut process = Process::start(name, directory, &mut command)?;
        let ready = format!("http://{admin}/readyz");
        until("the data plane is ready", &mut process, async || {
            reqwest::get(&ready).await?.error_for_status()?;
            Ok(())
        })
        .await?;
        Ok(Self { process, webhooks, api, admin, database: Arc::clone(database) })
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.api
    }

    /// Its peak memory in MiB, without that of a database server.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        peak_mib(self.process.id())
    }

    /// The value of a metric, summed over its labels that contain all of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        metrics::sum(&format!("http://{}/metrics", self.admin), name, labels).await
    }

    /// Waits until it is idle: until two readings half a second apart show almost no work between them.
    pub(crate) async fn wait_until_idle(&self) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(500);
        let mut looks = tokio::time::interval(LOOK);
        let mut before = cpu(&[self])?;
        looks.tick().await;
        for _ in 0..240 {
            looks.tick().await;
            let now = cpu(&[self])?;
            if now.saturating_sub(before) <= LOOK / 20 {
                return Ok(());
            }
            before = now;
        }
        anyhow::bail!("the data plane is still busy after two minutes without load")
    }

    /// Asks the process to end, and waits until it has ended.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = self.process.terminate()?;
        ensure!(status.success(), "the data plane ended with {status}:\n{}", self.process.log_tail());
        Ok(())
    }
}

impl Server for DataPlane {
    fn webhooks(&self) -> SocketAddr {
        self.webhooks
    }

    fn processes_cpu(&self) -> Result<Duration> {
        cpu_of_family(self.process.id())
    }

    fn database(&self) -> Option<&Database> {
        Some(&self.database)
    }
}
