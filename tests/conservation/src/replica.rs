//! One replica of the data plane: a real process, which can be killed and started again with another clock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use tests::eventually::eventually;
use tests::process::{Process, binary};

/// Short, so that a dead replica's claims come back within a test.
const LEASE: &str = "2s";
/// Longer than any provider call and any clock skew in these runs, as in production.
const UNCONFIRMED_GRACE: &str = "10s";
const RECONCILE_AFTER: &str = "4s";

#[derive(Debug)]
pub struct Replica {
    pub name: String,
    pub webhooks: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    program: PathBuf,
    store: String,
    configs: PathBuf,
    process: Option<Process>,
    runs: bool,
    /// The offset of its clock from the machine's.
    pub clock: SignedDuration,
}

impl Replica {
    /// A replica that is not running yet.
    pub fn new(name: String, store: String, configs: &Path) -> Result<Self> {
        Ok(Self {
            name,
            webhooks: ports::free_address()?,
            api: ports::free_address()?,
            admin: ports::free_address()?,
            program: binary("whatsapp-dataplane")?,
            store,
            configs: configs.to_owned(),
            process: None,
            runs: false,
            clock: SignedDuration::ZERO,
        })
    }

    /// The replica as another build of the data plane.
    pub fn of_build(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    pub fn runs(&self) -> bool {
        self.runs
    }

    /// Starts it, and appends its output to `<folder>/<name>.log`. It is not ready yet.
    pub fn start(&mut self, folder: &Path) -> Result<()> {
        let mut command = self.command();
        match &mut self.process {
            None => self.process = Some(Process::start(&self.name, folder, &mut command)?),
            Some(process) => process.start_again(&mut command)?,
        }
        self.runs = true;
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--allow-private-sinks", "--drain-delay", "0ms", "--drain-timeout", "5s"]);
        command.args(["--lease", LEASE, "--unconfirmed-grace", UNCONFIRMED_GRACE]);
        command.args(["--reconcile-after", RECONCILE_AFTER, "--replica", &self.name, "--store", &self.store]);
        command.args(["--webhook-listen", &self.webhooks.to_string(), "--api-listen", &self.api.to_string()]);
        command.args(["--admin-listen", &self.admin.to_string()]).arg("--config-dir").arg(&self.configs);
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()));
        command.env("WHATSAPP_CLOCK_OFFSET", self.clock.to_string());
        command
    }

    /// Waits until it is ready, and restarts it whenever it ends by itself.
    pub async fn ready(&mut self, folder: &Path) -> Result<()> {
        let url = format!("http://{}/readyz", self.admin);
        eventually(&format!("{} is ready", self.name), async || {
            if let Some(ended) = self.revive(folder).map_err(|error| format!("{error:#}"))? {
                return Err(ended);
            }
            match reqwest::get(&url).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.runs = false;
        self.process.as_mut().map_or(Ok(()), Process::kill)
    }

    /// SIGTERM, after which it drains.
    pub fn terminate(&mut self) -> Result<()> {
        self.runs = false;
        if let Some(process) = &mut self.process {
            process.terminate().with_context(|| format!("ending {}", self.name))?;
        }
        Ok(())
    }

    /// Restarts it if it ended by itself, as a container runtime does, and returns the end of its output.
    pub fn revive(&mut self, folder: &Path) -> Result<Option<String>> {
        let Some(process) = self.process.as_mut().filter(|_| self.runs) else { return Ok(None) };
        let Err(ended) = process.still_running() else { return Ok(None) };
        self.start(folder)?;
        Ok(Some(format!("{ended:#}")))
    }

    /// Every line of its output that mentions one of these words.
    pub fn lines_about(&self, names: &[String]) -> Vec<String> {
        let text = self.process.as_ref().and_then(|process| std::fs::read_to_string(process.log_path()).ok());
        let about = |line: &&str| names.iter().any(|name| line.contains(name.as_str()));
        text.unwrap_or_default().lines().filter(about).map(|line| format!("{}: {line}", self.name)).collect()
    }
}
