//! The running server: the parent of all its processes.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::watchdog::Watchdog;

/// A server's first process, until it has ended. Dropping it stops the server at once.
#[derive(Debug)]
pub(crate) struct Postmaster {
    child: Child,
    id: Pid,
}

impl Postmaster {
    /// Runs `command`, which is `postgres` itself.
    pub(crate) fn start(mut command: Command, log: &Path, watchdog: &mut Watchdog) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log).context("opening the server's log")?;
        // In its own process group, so that an interrupt typed at this process does not reach the server. It ends with
        // this process.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().context("starting postgres")?;
        let id = Pid::from_raw(i32::try_from(child.id()).context("the number of postgres's process")?);
        let postmaster = Self { child, id };
        watchdog.guard(id)?;
        Ok(postmaster)
    }

    pub(crate) fn id(&self) -> Pid {
        self.id
    }

    /// How it ended, if it has ended.
    pub(crate) fn ended(&mut self, watchdog: &mut Watchdog) -> Result<Option<ExitStatus>> {
        if self.is_running()? {
            return Ok(None);
        }
        watchdog.release()?;
        self.child.try_wait().context("waiting for postgres")
    }

    /// Checks without reaping it.
    fn is_running(&self) -> Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.id), flags) {
            Ok(status) => Ok(status == WaitStatus::StillAlive),
            Err(Errno::ECHILD) => Ok(false),
            Err(error) => Err(error).context("waiting for postgres"),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.id, signal).with_context(|| format!("sending {signal} to postgres"))
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Immediate shutdown: after five seconds, PostgreSQL itself kills what has not ended.
            drop(self.signal(Signal::SIGQUIT));
            drop(self.child.wait());
        }
    }
}
