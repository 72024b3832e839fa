//! Config from a directory of `<tenant>.json` files, for running without Kubernetes. It is read at the start and then
//! polled once a second, because a file system watch misses the swap of a mounted volume.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use messaging::clock::Clock;
use messaging::id::TenantId;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use super::cache::tenant_of;
use super::{Applied, Configs};
use crate::metrics::Metrics;
use crate::progress::Task;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    configs: Arc<Configs>,
    metrics: Arc<Metrics>,
    seen: BTreeMap<TenantId, Fingerprint>,
}

/// Changes when the file does, and costs no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Directory {
    pub fn new(path: impl Into<PathBuf>, configs: Arc<Configs>, metrics: Arc<Metrics>) -> Self {
        Self { path: path.into(), configs, metrics, seen: BTreeMap::new() }
    }

    /// Polls the directory until `stop`. The caller reads it for the first time with [`Directory::look`], before it
    /// opens a socket.
    pub async fn follow(mut self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            // Failure policy: fail static. What is loaded keeps running while the directory cannot be read.
            match self.look().await {
                Ok(()) => self.metrics.task_succeeded(Task::Config, clock.now()),
                Err(error) => {
                    self.metrics.config_source_error("directory");
                    tracing::warn!(path = %self.path.display(), %error, "the config directory cannot be read; what is loaded keeps running");
                }
            }
        }
    }

    /// Reads what changed since the last look, and applies it.
    pub async fn look(&mut self) -> io::Result<()> {
        let files = list(&self.path).await?;
        for (tenant, (path, fingerprint)) in &files {
            if self.seen.get(tenant) == Some(fingerprint) {
                continue;
            }
            let bytes = match fs::read(path).await {
                Ok(bytes) => bytes,
                // It went between listing and reading; the next look sees it gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a tenant config cannot be read; the last good one keeps running");
                    self.metrics.config_source_error("directory");
                    continue;
                }
            };
            if self.configs.apply(tenant, &bytes) == Applied::New {
                tracing::info!(%tenant, path = %path.display(), "tenant config applied");
            }
            self.seen.insert(tenant.clone(), *fingerprint);
        }
        let listed: BTreeSet<TenantId> = files.into_keys().collect();
        for gone in self.configs.retain(&listed) {
            self.seen.remove(&gone);
        }
        self.configs.mark_ready();
        Ok(())
    }
}

/// Lists the configs on one thread of the blocking pool: a look at a thousand files costs one hand-over, not a
/// thousand.
async fn list(directory: &Path) -> io::Result<BTreeMap<TenantId, (PathBuf, Fingerprint)>> {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || list_blocking(&directory)).await.map_err(io::Error::other)?
}

fn list_blocking(directory: &Path) -> io::Result<BTreeMap<TenantId, (PathBuf, Fingerprint)>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(tenant) = tenant_of(&path) else { continue };
        // Follows symbolic links, which is what the files of a mounted Secret are.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            let fingerprint = Fingerprint {
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
            };
            files.insert(tenant, (path, fingerprint));
        }
    }
    Ok(files)
}
