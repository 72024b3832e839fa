//! The account that the server's programs run under. PostgreSQL refuses to run as root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};

/// The account that runs the server: another one if this process is root, otherwise its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    pub(crate) fn choose() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).with_context(|| format!("looking up the account {name}"))? {
                return Ok(Self { other: Some((user.uid.as_raw(), user.gid.as_raw())) });
            }
        }
        bail!("postgres refuses to run as root, and there is neither an account postgres nor an account nobody")
    }

    pub(crate) fn give(self, path: &Path) -> Result<()> {
        match self.other {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid))
                .with_context(|| format!("giving {} to the account that runs postgres", path.display())),
            None => Ok(()),
        }
    }

    pub(crate) fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid);
        }
    }
}
