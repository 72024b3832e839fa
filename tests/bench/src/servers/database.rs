//! Fresh databases: SQLite in a file, or PostgreSQL with every setting on that makes a commit durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use postgres_cluster::Server;
use tokio::sync::OnceCell;

use crate::results::Results;

/// The usual settings for a PostgreSQL with a machine of its own. Everything else is at its default, with fsync on.
const SETTINGS: &[(&str, &str)] =
    &[("shared_buffers", "512MB"), ("min_wal_size", "1GB"), ("max_wal_size", "4GB"), ("max_connections", "200")];
/// About 1 GB of the write-ahead log. A server that has run for a while reuses its segments; a new one creates each
/// of them, with a flush of its own.
const WEAR_IN: [&str; 3] = [
    "CREATE TABLE worn AS SELECT repeat('worn', 250) AS line FROM generate_series(1, 1000000)",
    "DROP TABLE worn",
    "CHECKPOINT",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    /// The database's name in the names of figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// Makes databases. The PostgreSQL server starts with the first one.
#[derive(Debug, Default)]
pub(crate) struct Databases {
    postgres: OnceCell<Arc<Server>>,
    made: AtomicU32,
}

/// A database for one run.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    server: Option<Arc<Server>>,
}

impl Databases {
    pub(crate) fn describe(results: &mut Results) {
        let settings: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        results.fact("postgres settings", format!("{}; worn in by 1 GB of WAL", settings.join(", ")));
    }

    /// An empty database. SQLite's file is in `directory`.
    pub(crate) async fn fresh(&self, kind: Kind, directory: &Path) -> Result<Arc<Database>> {
        let database = match kind {
            Kind::Sqlite => Database { url: format!("sqlite://{}", directory.join("data.db").display()), server: None },
            Kind::Postgres => {
                let server = Arc::clone(self.postgres.get_or_try_init(launch).await?);
                let name = format!("run_{}", self.made.fetch_add(1, Ordering::Relaxed));
                server.create_database(&name).await?;
                // A socket on this machine needs no TLS, and has no name that a certificate could be for.
                let url = format!("{}?sslmode=disable", server.url(&name));
                Database { url, server: Some(server) }
            }
        };
        Ok(Arc::new(database))
    }
}

async fn launch() -> Result<Arc<Server>> {
    let server = Server::launch(SETTINGS).await?;
    for statement in WEAR_IN {
        server.query("postgres", statement).await?;
    }
    Ok(Arc::new(server))
}

impl Database {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Processor time of the database's own processes; an embedded database has none.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.server.as_ref().map_or(Ok(Duration::ZERO), |server| server.cpu_time())
    }

    /// Finishes what an earlier run left behind, such as pages to write and rows to vacuum, so that it does not
    /// disturb the next.
    pub(crate) async fn quiesce(&self) -> Result<()> {
        if let Some(server) = &self.server {
            server.query("postgres", "CHECKPOINT").await?;
        }
        Ok(())
    }
}
