//! A child process that does not outlive the test, and whose output is kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::eventually::eventually;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// A program of the workspace, in the folder of the running one.
pub fn binary(name: &str) -> Result<PathBuf> {
    let mut dir = std::env::current_exe().context("finding this program's folder")?;
    while dir.pop() {
        let candidate = dir.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
        if dir.file_name().is_some_and(|n| n == "target") {
            break;
        }
    }
    bail!("{name} is not built: run `cargo build --workspace --bins`, as `make test` and `make demo` do")
}

/// A program that `tests/cluster/build` builds. `KUBERNETES=next` asks for the next minor version of Kubernetes.
pub fn tool(name: &str) -> Result<PathBuf> {
    let mut tools = root().join("target/tools");
    let mut build = "tests/cluster/build";
    if name != "helm" && std::env::var_os("KUBERNETES").is_some_and(|version| version == "next") {
        tools.push("next");
        build = "tests/cluster/build next";
    }
    let path = tools.join(name);
    if path.exists() { Ok(path) } else { bail!("{} is missing: run {build}", path.display()) }
}

/// Runs a program and returns its standard output. If it fails, the error has its standard error.
pub async fn output(command: Command) -> Result<String> {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output().await.with_context(|| format!("running {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(stdout)
    } else {
        bail!("{command:?} ended with {}: {stdout}{}", output.status, String::from_utf8_lossy(&output.stderr))
    }
}

fn spawn(name: &str, log: &Path, command: &mut Command) -> Result<Child> {
    let opening = || format!("opening {}", log.display());
    let out = File::options().create(true).append(true).open(log).with_context(opening)?;
    let command = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    command.spawn().with_context(|| format!("starting {name}"))
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output is appended to `<dir>/<name>.log`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let child = spawn(name, &log, command)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Starts a program in place of the one that has ended, and appends its output to the earlier one's.
    pub fn start_again(&mut self, command: &mut Command) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            bail!("{} is still running", self.name);
        }
        self.child = spawn(&self.name, &self.log, command)?;
        Ok(())
    }

    /// The path of its output.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("process id")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// SIGKILL: the process has no chance to finish anything.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().map(drop).with_context(|| format!("waiting for {}", self.name))
    }

    /// SIGSTOP: the process pauses until [`Process::thaw`], as on a machine that hangs.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT, after [`Process::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM. Waits for the end and returns the status.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.child.wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// Waits until it has ended by itself, and returns the status.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let what = format!("{} has ended", self.name);
        eventually(&what, async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            running => Err(running),
        })
        .await
    }

    /// Fails with the end of its output if it has ended by itself.
    pub fn still_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log_tail()),
        }
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Resident memory in MiB, as reported by the kernel.
    pub fn resident_mib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok())
            .context("no VmRSS in /proc/<pid>/status")?;
        Ok(kib / 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.kill());
        }
        // Only under the test harness, which shows what a test printed only if it failed. A test's thread has its name.
        if std::thread::current().name() != Some("main") {
            eprintln!("--- the end of {}'s output:\n{}", self.name, self.log_tail());
        }
    }
}
