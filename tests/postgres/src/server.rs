//! One server: its data, its addresses, and its life.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;

use crate::account::Account;
use crate::postmaster::Postmaster;
use crate::programs::Programs;
use crate::remains::Remains;
use crate::wait::until;
use crate::watchdog::Watchdog;
use crate::{processor, wait};

/// Unlike /tmp, it is always on a disk. A benchmark would measure nothing where syncing costs nothing.
const PARENT: &str = "/var/tmp";
/// The longest path of a Unix socket, in bytes.
const LONGEST_SOCKET: usize = 107;
const SUPERUSER: &str = "postgres";

/// A PostgreSQL server with its own folder, port and Unix socket. Every connection is a superuser's.
///
/// Dropping it stops the server and removes its folder. So does any end of this process.
#[derive(Debug)]
pub struct Server {
    // Dropped in this order: the server, then its watchdog, then the folder.
    postmaster: Option<Postmaster>,
    watchdog: Watchdog,
    programs: Programs,
    account: Account,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Creates a cluster and starts it, with `settings` added to its `postgresql.conf`. Commits are durable: `fsync`,
    /// `synchronous_commit` and `full_page_writes` are on unless `settings` says otherwise.
    pub async fn launch(settings: &[(&str, &str)]) -> Result<Self> {
        Self::launch_in(Path::new(PARENT), settings).await
    }

    /// Like [`Server::launch`], with the server's folder in `parent`. The path must be short, because it is part of the
    /// socket's, and accessible to the account that runs the server.
    pub async fn launch_in(parent: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let mut server = Self::prepare(parent)?;
        let mut initdb = server.command("initdb");
        initdb.args(["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"]);
        initdb.arg(format!("--username={SUPERUSER}")).arg("--pgdata").arg(server.data_directory());
        wait::output(initdb).await?;
        let durable = [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];
        server.append("postgresql.conf", &durable)?;
        // The last value of a setting wins.
        server.append("postgresql.conf", settings)?;
        server.start().await?;
        Ok(server)
    }

    /// A server without data.
    pub(crate) fn prepare(parent: &Path) -> Result<Self> {
        let (programs, account, port) = (Programs::find()?, Account::choose()?, ports::free()?);
        let folder = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir_in(parent)
            .with_context(|| format!("creating a folder in {}", parent.display()))?;
        account.give(folder.path())?;
        let socket = folder.path().join(format!(".s.PGSQL.{port}"));
        let length = socket.as_os_str().len();
        ensure!(
            length <= LONGEST_SOCKET,
            "{}: a Unix socket's path has at most {LONGEST_SOCKET} bytes, not {length}; choose a shorter folder",
            socket.display()
        );
        let watchdog = Watchdog::start(folder.path())?;
        Ok(Self { postmaster: None, watchdog, programs, account, port, folder })
    }

    /// A PostgreSQL program, under the server's account.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.programs.command(program);
        self.account.apply(&mut command);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command
    }

    pub(crate) fn append(&self, file: &str, settings: &[(&str, &str)]) -> Result<()> {
        let path = self.data_directory().join(file);
        let lines: String = settings.iter().map(|(name, value)| format!("{name} = '{}'\n", escaped(value))).collect();
        let mut file = fs::File::options().append(true).open(&path).with_context(|| path.display().to_string())?;
        file.write_all(lines.as_bytes()).with_context(|| path.display().to_string())
    }

    /// Starts it on the same data and at the same addresses as before, and waits until it accepts connections. After a
    /// crash it recovers first.
    pub async fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running()?, "this server is already running");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data_directory());
        // On the command line, because a standby has its primary's postgresql.conf.
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.path().display()));
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={}", self.port)]);
        let postmaster = self.postmaster.insert(Postmaster::start(command, &self.log(), &mut self.watchdog)?);
        let id = postmaster.id().to_string();
        let status = self.data_directory().join("postmaster.pid");
        until("the server accepts connections", async || {
            if !self.is_running()? {
                bail!("postgres ended while it was starting:\n{}", self.log_tail());
            }
            // As pg_ctl does: the first line is the server's process, the eighth its state.
            let text = fs::read_to_string(&status).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            Ok((lines.next() == Some(&id) && lines.nth(6) == Some("ready")).then_some(()))
        })
        .await
        .with_context(|| format!("starting a server; the end of its log:\n{}", self.log_tail()))
    }

    /// Whether its first process is running.
    pub fn is_running(&mut self) -> Result<bool> {
        if let Some(postmaster) = &mut self.postmaster
            && postmaster.ended(&mut self.watchdog)?.is_some()
        {
            self.postmaster = None;
        }
        Ok(self.postmaster.is_some())
    }

    /// Stops it cleanly: open transactions are rolled back, and the next start has nothing to recover.
    pub async fn stop(&mut self) -> Result<()> {
        self.end(Signal::SIGINT).await
    }

    /// PostgreSQL's immediate shutdown: its processes end at once and write nothing further.
    pub async fn stop_immediately(&mut self) -> Result<()> {
        self.end(Signal::SIGQUIT).await
    }

    /// A crash without warning: SIGKILL to each of its processes.
    pub async fn kill(&mut self) -> Result<()> {
        let data = fs::canonicalize(self.data_directory()).context("finding the server's data")?;
        let remains = Remains::of(&processor::working_in(&data)?);
        self.end(Signal::SIGKILL).await?;
        // Its children end when they notice that their parent is gone. No client may be served until then.
        until("all of the server's processes have ended", async || {
            let left = processor::working_in(&data)?;
            for process in &left {
                match kill(*process, Signal::SIGKILL) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(error) => return Err(error).context("killing one of the server's processes"),
                }
            }
            Ok(left.is_empty().then_some(()))
        })
        .await?;
        remains.remove().await
    }

    async fn end(&mut self, signal: Signal) -> Result<()> {
        match (self.is_running()?, &self.postmaster) {
            (true, Some(postmaster)) => postmaster.signal(signal)?,
            _ => bail!("this server is not running"),
        }
        until("the server has stopped", async || Ok((!self.is_running()?).then_some(()))).await
    }

    /// The address of one of its databases over its Unix socket, with the socket's folder percent-encoded as the host.
    pub fn url(&self, database: &str) -> String {
        let folder = encoded(&self.folder.path().to_string_lossy());
        format!("postgres://{SUPERUSER}@{folder}:{}/{}", self.port, encoded(database))
    }

    /// The address of one of its databases over TCP.
    pub fn tcp_url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{}/{}", self.tcp_address(), encoded(database))
    }

    pub fn tcp_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn tcp_port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder with its data.
    pub fn data_directory(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Creates an empty database, without anything that was added to the usual template.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let name = name.replace('"', "\"\"");
        self.query("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).await.map(drop)
    }

    /// Runs SQL through `psql` and returns the rows as lines, their columns separated by `|`.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.programs.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--dbname", &self.url(database), "--command", sql]);
        Ok(wait::output(psql).await?.trim_end().to_owned())
    }

    /// The processor time, user and system, that all of its processes have used since its last start. The kernel counts
    /// in ticks of 10 ms.
    pub fn cpu_time(&self) -> Result<Duration> {
        let postmaster = self.postmaster.as_ref().context("this server is not running")?;
        processor::time_of_family(postmaster.id())
    }

    /// The version as the server reports it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> Result<String> {
        self.programs.version()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// A value between single quotes, as `postgresql.conf` reads it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "''")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_in_settings_and_names_are_escaped() {
        assert_eq!(escaped(r"it's \n"), r"it''s \\n");
        assert_eq!(encoded("/var/tmp/pg-a b"), "%2Fvar%2Ftmp%2Fpg-a%20b");
    }
}
