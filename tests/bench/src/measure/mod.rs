//! The measurements, a file each.

pub(crate) mod hostile;
pub(crate) mod latency;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod replicas;
pub(crate) mod scale;
pub(crate) mod send;
pub(crate) mod webhooks;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use parking_lot::Mutex;
use tempfile::TempDir;
use tests::process::root;

use self::scale::Size;
use crate::results::Results;
use crate::servers::data_plane::{DataPlane, Parts};
use crate::servers::database::{Database, Databases, Kind};
use crate::tenant;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// The throughput of webhooks, beside the server that only verifies and the Express handler.
    Webhooks,
    /// The latency of webhooks at a fixed rate.
    Latency,
    /// Accepting messages, and handing them to the provider.
    Send,
    /// Two replicas on one database.
    Replicas,
    /// The cost of a claim from a queue of a million messages.
    Queue,
    /// Ten thousand hostile connections.
    Hostile,
    /// The operator with ten thousand templates.
    Scale,
    /// From an approval that the provider tells of until the template is ready.
    Push,
}

impl Measurement {
    pub(crate) const ALL: [Self; 8] = [
        Self::Webhooks,
        Self::Latency,
        Self::Send,
        Self::Replicas,
        Self::Queue,
        Self::Hostile,
        Self::Scale,
        Self::Push,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks, as fast as they are answered",
            Self::Latency => "webhooks, at a fixed rate",
            Self::Send => "sends, accepted and handed over",
            Self::Replicas => "two replicas on one database",
            Self::Queue => "claims from a long queue",
            Self::Hostile => "webhooks among hostile clients",
            Self::Scale => "the operator with many templates",
            Self::Push => "approvals that the provider tells of",
        }
    }

    pub(crate) async fn run(self, bench: &Bench, results: &mut Results) -> Result<()> {
        match self {
            Self::Webhooks => webhooks::measure(bench, results).await,
            Self::Latency => latency::measure(bench, results).await,
            Self::Send => send::measure(bench, results).await,
            Self::Replicas => replicas::measure(bench, results).await,
            Self::Queue => queue::measure(bench, results).await,
            Self::Hostile => hostile::measure(bench, results).await,
            Self::Scale => scale::measure(bench.size, results).await,
            Self::Push => push::measure(results).await,
        }
    }
}

/// What the measurements share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) databases: Databases,
    kinds: Vec<Kind>,
    /// What the operator has.
    size: Size,
    /// On a disk, like the databases.
    target: std::path::PathBuf,
    peak_mib: Mutex<Option<f64>>,
}

impl Bench {
    pub(crate) fn start(kinds: Vec<Kind>, size: Size) -> Result<Self> {
        let target = root().join("target/bench");
        std::fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
        Ok(Self { databases: Databases::default(), kinds, size, target, peak_mib: Mutex::default() })
    }

    /// An empty value for each database that is measured.
    pub(crate) fn on_each<T: Default>(&self) -> Vec<(Kind, T)> {
        self.kinds.iter().map(|kind| (*kind, T::default())).collect()
    }

    pub(crate) fn measures(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// An empty directory for one run, with the tenant's config in it.
    pub(crate) fn directory(&self, template: &str) -> Result<TempDir> {
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(&self.target)?;
        std::fs::create_dir(directory.path().join("config"))?;
        tenant::write(&directory.path().join("config"), template)?;
        Ok(directory)
    }

    /// A data plane without a provider.
    pub(crate) async fn data_plane(
        &self,
        directory: &Path,
        parts: Parts,
        database: &Arc<Database>,
    ) -> Result<DataPlane> {
        DataPlane::start("data-plane", directory, parts, database, None).await
    }

    /// Records the data plane's peak memory, and ends it.
    pub(crate) fn end(&self, data_plane: DataPlane) -> Result<()> {
        self.note_memory(data_plane.peak_mib()?);
        data_plane.stop()
    }

    pub(crate) fn note_memory(&self, mib: f64) {
        let mut peak = self.peak_mib.lock();
        *peak = Some(peak.map_or(mib, |peak| peak.max(mib)));
    }

    /// The peak memory over all data planes.
    pub(crate) fn peak_mib(&self) -> Option<f64> {
        *self.peak_mib.lock()
    }
}
