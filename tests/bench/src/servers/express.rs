//! The handler that most teams write first: Express, the official SDK's signature check, and Redis to deduplicate
//! messages, in two processes. Its source is in `tests/bench/express`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tests::process::{Process, output, root};

use super::{Server, listens, until};
use crate::cost::cpu_of_family;
use crate::tenant::{AUTH_TOKEN, PUBLIC_URL};

const PROCESSES: &str = "2";

pub(crate) struct Express {
    node: Process,
    redis: Process,
    address: SocketAddr,
}

impl Express {
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        let socket = directory.join("redis.sock");
        let redis = redis(directory, &socket).await?;
        let installed = install().await?;
        let address = ports::free_address()?;
        let mut command = Command::new("node");
        command
            .arg(installed.join("server.mjs"))
            .env("NODE_ENV", "production")
            .env("PORT", address.port().to_string())
            .env("REDIS_SOCKET", &socket)
            .env("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
            .env("PUBLIC_BASE_URL", PUBLIC_URL)
            .env("PROCESSES", PROCESSES);
        let mut node = Process::start("express", directory, &mut command)
            .context("the comparison with Express needs Node.js 20 or newer")?;
        listens(&mut node, address).await?;
        Ok(Self { node, redis, address })
    }
}

impl Server for Express {
    fn webhooks(&self) -> SocketAddr {
        self.address
    }

    fn processes_cpu(&self) -> Result<Duration> {
        Ok(cpu_of_family(self.node.id())? + cpu_of_family(self.redis.id())?)
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        // The workers end with the first process, if it can signal them.
        drop(self.node.terminate());
    }
}

/// Redis's default durability with the log on: an fsync every second.
async fn redis(directory: &Path, socket: &Path) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--unixsocket"])
        .arg(socket)
        .arg("--dir")
        .arg(directory);
    let mut redis = Process::start("redis", directory, &mut command)
        .context("the comparison with Express needs redis-server: apt-get install redis-server")?;
    until("Redis listens", &mut redis, async || Ok(tokio::net::UnixStream::connect(socket).await.map(drop)?)).await?;
    Ok(redis)
}

/// The handler with its packages, installed once for each lockfile under `target/bench`.
async fn install() -> Result<PathBuf> {
    let (from, to) = (root().join("tests/bench/express"), root().join("target/bench/express"));
    std::fs::create_dir_all(&to)?;
    let lock = "package-lock.json";
    let installed = std::fs::read(to.join("installed.json")).ok();
    for file in ["package.json", lock, ".npmrc", "server.mjs"] {
        std::fs::copy(from.join(file), to.join(file)).with_context(|| format!("copying {file}"))?;
    }
    let wanted = std::fs::read(from.join(lock))?;
    if installed.as_ref() != Some(&wanted) {
        let mut command = Command::new("npm");
        command.args(["ci", "--no-audit", "--no-fund"]).current_dir(&to);
        if let Err(error) = output(command).await {
            bail!("the comparison with Express needs npm and its registry: {error:#}");
        }
        std::fs::write(to.join("installed.json"), wanted)?;
    }
    Ok(to)
}
