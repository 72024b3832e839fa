//! A shell that outlives this process and cleans up if it cannot.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// Reads the number of the process to stop (an empty line: none) until its input ends, which happens however this
/// process ends. Then it stops that process and removes the folder ($1). A process that has ended and is never reaped
/// keeps its number, so the wait is bounded.
const SCRIPT: &str = r#"
server=
while read -r line; do server=$line; done
if [ -n "$server" ]; then
    kill -QUIT "$server"
    rounds=0
    while kill -0 "$server" && [ "$rounds" -lt 100 ]; do sleep 0.1; rounds=$((rounds + 1)); done
fi
rm -rf -- "$1"
"#;

/// Stops a server and removes its folder if this process ends before it is dropped, even by SIGKILL.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .stdin(Stdio::piped())
            // A reader of this process's output must not wait for the watchdog to close it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Outside this process's group, so that a signal to the whole group spares it.
            .process_group(0)
            .spawn()
            .context("starting the server's watchdog")?;
        Ok(Self { shell })
    }

    pub(crate) fn guard(&mut self, server: Pid) -> Result<()> {
        self.tell(&server.to_string())
    }

    /// Call this before the server is reaped: afterwards its number may belong to another process.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.tell("")
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.shell.stdin.as_mut().context("the watchdog's input is open")?;
        writeln!(input, "{line}").context("telling the watchdog which process to stop")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Errors mean that it has already ended.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}
