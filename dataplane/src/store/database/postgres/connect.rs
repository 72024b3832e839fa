//! Finding the server that takes writes among those that are named, and what is set on each connection to it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// To one host; the next is tried then.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// What is sent and not acknowledged for so long went into a broken network.
const UNACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
/// Prepared statements of one connection. There are fewer; the bound is for texts that depend on what is asked.
const STATEMENTS: usize = 256;

/// The settings of every connection, whatever the database's own are. They bound how long a replica that freezes in a
/// transaction holds its locks. A writer that has waited for a lock must see what the one before it wrote.
const SESSION: &str = "SET application_name = 'whatsapp-dataplane';
    SET default_transaction_isolation = 'read committed';
    SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '20s'; SET statement_timeout = '30s';
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Where the database is.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("Target").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

/// Whether the server keeps what it says is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Durability {
    /// The settings that are not as they should be, as `name = value`.
    pub(crate) narrowed_by: Vec<String>,
    /// The setting because of which a commit does not wait until the standbys that are named have it on their disks.
    pub(crate) failover_narrowed_by: Option<String>,
    /// Standbys that must confirm each commit; empty when there are none.
    pub(crate) synchronous_standbys: String,
}

impl Durability {
    /// Of settings by their names.
    fn of(settings: &[(String, String)]) -> Self {
        let mut durability = Self::default();
        for (name, setting) in settings {
            match (name.as_str(), setting.as_str()) {
                ("synchronous_standby_names", standbys) => durability.synchronous_standbys = standbys.to_owned(),
                ("fsync" | "full_page_writes" | "synchronous_commit", "off") => {
                    durability.narrowed_by.push(format!("{name} = {setting}"));
                }
                _ => {}
            }
            if name == "synchronous_commit" && !matches!(setting.as_str(), "on" | "remote_apply") {
                durability.failover_narrowed_by = Some(format!("{name} = {setting}"));
            }
        }
        if durability.synchronous_standbys.is_empty() {
            // Without standbys nothing is waited for, whatever the setting.
            durability.failover_narrowed_by = None;
        }
        durability
    }
}

impl Target {
    /// `tls` is used where the URL's `sslmode` says so.
    pub(crate) fn new(mut config: Config, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        // Of several hosts the one that takes writes: after a failover that is another.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WITHIN);
        }
        config.tcp_user_timeout(UNACKNOWLEDGED_WITHIN);
        config.keepalives_idle(UNACKNOWLEDGED_WITHIN);
        Self { config, tls }
    }

    /// A socket in the file system goes over no network, and has no name that a certificate could be for.
    fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
    }

    pub(crate) async fn connect(&self) -> Result<Link, StoreError> {
        let mut driver = JoinSet::new();
        let client = match &self.tls {
            Some(tls) if self.config.get_ssl_mode() != SslMode::Disable && !self.is_local() => {
                let tls = MakeRustlsConnect::new(rustls::ClientConfig::clone(tls));
                let (client, connection) = self.config.connect(tls).await.map_err(unreachable)?;
                driver.spawn(async move { ended(connection.await) });
                client
            }
            _ => {
                let (client, connection) = self.config.connect(tokio_postgres::NoTls).await.map_err(unreachable)?;
                driver.spawn(async move { ended(connection.await) });
                client
            }
        };
        client.batch_execute(SESSION).await.map_err(unreachable)?;
        Ok(Link { client, statements: HashMap::new(), _driver: driver })
    }
}

fn ended(result: Result<(), tokio_postgres::Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a connection to the database ended");
    }
}

/// A connection, and the statements that it knows.
pub(crate) struct Link {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    /// Reads and writes the socket; ends with this.
    _driver: JoinSet<()>,
}

impl Link {
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(failed)?;
        if self.statements.len() >= STATEMENTS {
            self.forget_statements();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn forget_statements(&mut self) {
        self.statements.clear();
    }

    pub(crate) async fn durability(&self) -> Result<Durability, StoreError> {
        let sql = "SELECT name, setting FROM pg_settings
             WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'synchronous_standby_names') ORDER BY name";
        let mut settings = Vec::new();
        for row in self.client.query(sql, &[]).await.map_err(failed)? {
            settings.push((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
        }
        Ok(Durability::of(&settings))
    }
}

/// What a step on a connection ended with.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
pub(super) fn failed(error: tokio_postgres::Error) -> StoreError {
    // Only an error of the server itself is an answer.
    let answer = error.code().cloned();
    match answer {
        Some(SqlState::DISK_FULL) => StoreError::Full(described(&error)),
        Some(_) => StoreError::Failed(described(&error)),
        None => StoreError::Unanswered(described(&error)),
    }
}

/// There was no connection, so nothing has begun.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn unreachable(error: tokio_postgres::Error) -> StoreError {
    StoreError::Failed(described(&error))
}

/// With what the server said, which the driver's own words leave out.
fn described(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(database) => format!("{} ({})", database.message(), database.code().code()),
        None => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durability(changed: &[(&str, &str)]) -> Durability {
        let mut settings = Vec::new();
        for (name, usual) in [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("synchronous_standby_names", ""),
        ] {
            let setting = changed.iter().find(|(changed, _)| *changed == name).map_or(usual, |(_, setting)| setting);
            settings.push((name.to_owned(), setting.to_owned()));
        }
        Durability::of(&settings)
    }

    #[test]
    fn what_is_lost_with_a_crash_narrows_the_promise() {
        assert_eq!(durability(&[]).narrowed_by, [""; 0]);
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            assert_eq!(durability(&[(name, "off")]).narrowed_by, [format!("{name} = off")]);
        }
    }

    #[test]
    fn where_standbys_are_named_a_commit_that_does_not_wait_for_their_disks_narrows_the_promise_for_a_failover() {
        for (setting, standbys, narrowed) in [
            ("local", "FIRST 1 (b)", true),
            ("remote_write", "FIRST 1 (b)", true),
            ("off", "FIRST 1 (b)", true),
            ("on", "FIRST 1 (b)", false),
            ("remote_apply", "FIRST 1 (b)", false),
            // Without a standby there is nothing to narrow; another warning covers that.
            ("local", "", false),
            ("remote_write", "", false),
        ] {
            let durability = durability(&[("synchronous_commit", setting), ("synchronous_standby_names", standbys)]);
            let expected = narrowed.then(|| format!("synchronous_commit = {setting}"));
            assert_eq!(durability.failover_narrowed_by, expected, "{setting} with {standbys:?}");
        }
    }
}
