//! The schema's versions: the files in each database's `migrations/`, in their order, each applied once.
//!
//! Replicas of the version before may run while a new one migrates, so a migration only adds what they can do without.
//! What it makes superfluous goes in a later version, when none of them is left. A replica that starts on a schema
//! newer than its own refuses to.

use std::collections::BTreeSet;

use super::Connection;
use crate::store::StoreError;
use crate::store::tables::value::{Row, values};

/// Which database the migrations are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Each version's number is its place, from 1.
const SQLITE: &[&str] = &[
    include_str!("sqlite/migrations/0001_first.sql"),
    include_str!("sqlite/migrations/0002_webhook_routes.sql"),
    include_str!("sqlite/migrations/0003_unaddressed_webhooks.sql"),
    include_str!("sqlite/migrations/0004_contact_links.sql"),
    include_str!("sqlite/migrations/0005_revoked_links.sql"),
    include_str!("sqlite/migrations/0006_senders.sql"),
    include_str!("sqlite/migrations/0007_sink_lanes.sql"),
    include_str!("sqlite/migrations/0008_bodies_and_languages.sql"),
    include_str!("sqlite/migrations/0009_senders_numbers.sql"),
    include_str!("sqlite/migrations/0010_providers_request_ids.sql"),
    include_str!("sqlite/migrations/0011_senders_sinks.sql"),
];
const POSTGRES: &[&str] = &[
    include_str!("postgres/migrations/0001_first.sql"),
    include_str!("postgres/migrations/0002_webhook_routes.sql"),
    include_str!("postgres/migrations/0003_unaddressed_webhooks.sql"),
    include_str!("postgres/migrations/0004_contact_links.sql"),
    include_str!("postgres/migrations/0005_revoked_links.sql"),
    include_str!("postgres/migrations/0006_senders.sql"),
    include_str!("postgres/migrations/0007_sink_lanes.sql"),
    include_str!("postgres/migrations/0008_bodies_and_languages.sql"),
    include_str!("postgres/migrations/0009_senders_numbers.sql"),
    include_str!("postgres/migrations/0010_providers_request_ids.sql"),
    include_str!("postgres/migrations/0011_senders_sinks.sql"),
];

impl Dialect {
    fn migrations(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => SQLITE,
            Self::Postgres => POSTGRES,
        }
    }
}

/// Applies what is missing, one transaction for each version.
pub(crate) async fn run(connection: &mut dyn Connection, dialect: Dialect) -> Result<(), StoreError> {
    while let Some(version) = apply_next(connection, dialect).await? {
        tracing::info!(version, "the database's schema is migrated");
    }
    Ok(())
}

/// Applies the first version that is missing; `None` when none is.
async fn apply_next(connection: &mut dyn Connection, dialect: Dialect) -> Result<Option<i64>, StoreError> {
    connection.begin(&BTreeSet::new()).await?;
    let applied = in_transaction(connection, dialect).await;
    match applied {
        Ok(version) => connection.commit().await.map(|()| version),
        Err(error) => {
            connection.rollback().await;
            Err(error)
        }
    }
}

async fn in_transaction(connection: &mut dyn Connection, dialect: Dialect) -> Result<Option<i64>, StoreError> {
    if dialect == Dialect::Postgres {
        // Every replica may start at once. The lock lasts as long as the transaction.
        connection.execute("SELECT pg_advisory_xact_lock(1466527076, 0)", Vec::new()).await?;
    }
    connection.script("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY)").await?;
    let applied = connection.query("SELECT COALESCE(MAX(version), 0) FROM schema_versions", vec![Vec::new()]).await?;
    let applied = applied.first().and_then(|rows| rows.first()).map_or(Ok(0_i64), Row::read)?;
    let known = i64::try_from(dialect.migrations().len()).unwrap_or(i64::MAX);
    if applied > known {
        let reason = format!("its version is {applied}, and this build knows {known}: run a newer build");
        return Err(StoreError::Corrupt { what: "a schema", reason });
    }
    let missing = (1..).zip(dialect.migrations()).find(|(version, _)| *version > applied);
    let Some((version, sql)) = missing else { return Ok(None) };
    let failed = |e: StoreError| StoreError::Failed(format!("migrating the schema to version {version}: {e}"));
    connection.script(sql).await.map_err(failed)?;
    connection.execute("INSERT INTO schema_versions (version) VALUES ($1)", values![version]).await?;
    Ok(Some(version))
}
