//! Waits for something to become true, and for a program to end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to start, to stop, or to follow another one. After a crash it flushes all of its files,
/// which takes over a minute on a busy disk.
const PATIENCE: Duration = Duration::from_secs(180);
const STEP: Duration = Duration::from_millis(10);

/// Polls until `probe` returns a value. An error of the probe ends the wait.
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    // The real clock, because a test may have paused tokio's.
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe().await? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("not so after {} s: {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Runs a program and returns its standard output. If it fails, the error has its standard error.
pub(crate) async fn output(command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("running {program}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end())
    }
}
