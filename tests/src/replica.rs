//! One replica of the data plane: a process that may die and restart with the same name and ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;

use crate::eventually::eventually;
use crate::metrics;
use crate::process::{Process, binary};

/// A replica, running or not.
#[derive(Debug)]
pub struct Replica {
    /// The name of its pod.
    pub name: String,
    pub process: Option<Process>,
    pub webhooks: u16,
    pub api: u16,
    pub admin: u16,
}

/// What all replicas share.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// The folder of the logs, of the config's copies, and of the kubeconfig with the data plane's rights.
    pub dir: &'a Path,
    pub store: &'a str,
    /// The namespace of the compiled configs.
    pub system: &'a str,
    pub audience: &'a str,
}

impl Replica {
    /// A replica that does not run yet.
    pub fn new(name: String) -> Result<Self> {
        Ok(Self { name, process: None, webhooks: ports::free()?, api: ports::free()?, admin: ports::free()? })
    }

    pub fn webhooks_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.webhooks).into()
    }

    pub fn api_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api).into()
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }

    /// Starts it, with further arguments. It is not ready yet.
    pub fn spawn(&mut self, shared: Shared<'_>, arguments: &[&str]) -> Result<()> {
        ensure!(self.process.is_none(), "{} is already running", self.name);
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(binary("whatsapp-dataplane")?);
        command
            .arg("serve")
            .args(["--webhook-listen", &at(self.webhooks)])
            .args(["--api-listen", &at(self.api)])
            .args(["--admin-listen", &at(self.admin)])
            .args(["--config-namespace", shared.system])
            .arg("--config-cache")
            .arg(shared.dir.join(format!("{}-cache", self.name)))
            .args(["--api-audience", shared.audience, "--lease", "2s", "--drain-delay", "0s"])
            .arg("--allow-private-sinks")
            .args(arguments)
            .env("KUBECONFIG", shared.dir.join("data-plane.kubeconfig"))
            .env("WHATSAPP_STORE", shared.store)
            .env("POD_NAME", &self.name);
        self.process = Some(Process::start(&self.name, shared.dir, &mut command)?);
        Ok(())
    }

    /// Waits until it can serve.
    pub async fn ready(&mut self) -> Result<()> {
        let ready = self.admin_url("/readyz");
        eventually(&format!("{} is ready", self.name), async || {
            if let Some(process) = &mut self.process {
                process.still_running().map_err(|e| format!("{e:#}"))?;
            }
            match reqwest::get(&ready).await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.running()?.kill()
    }

    /// SIGTERM: it drains and deletes its Lease.
    pub fn terminate(&mut self) -> Result<()> {
        let name = self.name.clone();
        let ended = self.running()?.terminate()?;
        ensure!(ended.success(), "{name} ended with {ended}");
        Ok(())
    }

    fn running(&mut self) -> Result<Process> {
        self.process.take().with_context(|| format!("{} is not running", self.name))
    }

    /// The value of a metric, summed over its labels that contain all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        metrics::sum(&self.admin_url("/metrics"), name, labels).await
    }
}
