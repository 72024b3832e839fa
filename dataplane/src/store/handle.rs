//! The store as the process uses it: commands go to the commit queues, reads to the readers.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::command::WriteTo;
use super::database::migrations::{self, Dialect};
use super::database::postgres::{PostgresConnection, PostgresReaders, Target, check_is_suitable};
use super::database::sqlite::{Options, SqliteConnection, SqliteReaders};
use super::database::{Connection, Lookup, Readers};
use super::group::commit_queue::Lately;
use super::group::committer::{self, Committer, Submit};
use super::sql::Touch;
use super::tables::value::{Row, Value};
use super::webhook::{HearStop, RecordRequest, RecordWebhook, Recorded};
use super::{PostgresUrl, Signals, StoreError};

/// Connections that add to the log, on PostgreSQL.
const LOGS: usize = 2;
/// A write that takes longer than this, with no other committed meanwhile, does not succeed.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// After a write for which the disk had no room, others are not expected to find any.
const FULL_FOR: Duration = Duration::from_secs(30);

/// What must survive a crash, in SQLite or PostgreSQL. A clone is another handle on the same.
#[derive(Clone)]
pub struct Store {
    pub(super) readers: Arc<dyn Readers>,
    /// Webhooks that are only added to the log. On PostgreSQL they have connections of their own, so that nothing but
    /// other webhooks is ahead of them.
    pub(super) log: Arc<Submit>,
    /// Everything else.
    pub(super) changes: Arc<Submit>,
    /// Where the log's days are made and dropped, on a connection of their own; `None` where they are not kept apart.
    pub(super) days: Option<Target>,
    signals: Arc<Signals>,
    tap: Option<Arc<dyn Tap>>,
}

/// Sees every operation of a store come and go, for tests in which a process dies amid its work.
#[async_trait]
pub trait Tap: Send + Sync {
    /// Before an operation. Its error is the operation's answer. The number is handed back when the operation has
    /// ended.
    async fn begins(&self) -> Result<u64, StoreError>;

    /// What the operation wrote is on disk, and its answer is not out yet.
    async fn ended(&self, operation: u64);
}

/// The committers. Spawn [`Writers::run`] where its end ends the process.
pub struct Writers {
    committers: Vec<Committer>,
    /// Whether writing keeps the thread, as it does where there is no server to wait for.
    blocking: bool,
}

impl std::fmt::Debug for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writers").finish_non_exhaustive()
    }
}

impl Writers {
    /// Writes until the store is closed.
    pub async fn run(self) {
        if !self.blocking {
            join_all(self.committers.into_iter().map(Committer::run)).await;
            return;
        }
        let runtime = tokio::runtime::Handle::current();
        // Dropping this future stops the thread as well.
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let written = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                tokio::select! {
                    biased;
                    () = dropped.cancelled() => {}
                    _ = join_all(self.committers.into_iter().map(Committer::run)) => {}
                }
            });
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "the store's writer ended abnormally");
        }
    }
}

impl Store {
    /// Opens the SQLite database in a file, creating it and bringing its schema up to date where needed. Nothing can be
    /// written until the [`Writers`] run.
    pub async fn sqlite(file: &Path) -> Result<(Self, Writers), StoreError> {
        // Before SQLite creates it for everybody to read: it holds what people say to each other.
        let created = tokio::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file).await;
        drop(created.map_err(|e| StoreError::Failed(e.to_string()))?);
        Self::sqlite_with(Options { file: file.to_owned(), pragmas: Vec::new() }).await
    }

    async fn sqlite_with(options: Options) -> Result<(Self, Writers), StoreError> {
        let mut connection = SqliteConnection::open(options.clone())?;
        migrations::run(&mut connection, Dialect::Sqlite).await?;
        let signals = Arc::new(Signals::default());
        let (submit, committers) = committer::new(vec![Box::new(connection)], &signals);
        let submit = Arc::new(submit);
        let readers = Arc::new(SqliteReaders::new(options));
        let store = Self { readers, log: Arc::clone(&submit), changes: submit, days: None, signals, tap: None };
        Ok((store, Writers { committers, blocking: true }))
    }

    /// Connects to a PostgreSQL database, bringing its schema up to date where needed. Any number of replicas may.
    pub async fn postgres(url: &PostgresUrl) -> Result<(Self, Writers), StoreError> {
        let target = Target::new(url.config.clone(), url.tls.clone());
        let mut connection = PostgresConnection::open(target.clone()).await?;
        let mut of_log = Vec::new();
        for _ in 0..LOGS {
            of_log.push(PostgresConnection::open(target.clone()).await?);
        }
        check_is_suitable(&mut connection, &mut of_log).await?;
        warn_of_narrowed_promises(&mut connection).await?;
        migrations::run(&mut connection, Dialect::Postgres).await?;
        let signals = Arc::new(Signals::default());
        let (changes, mut committers) = committer::new(vec![Box::new(connection)], &signals);
        let of_log = of_log.into_iter().map(|connection| -> Box<dyn Connection> { Box::new(connection) }).collect();
        let (log, of_log) = committer::new(of_log, &signals);
        committers.extend(of_log);
        let readers = Arc::new(PostgresReaders::new(target.clone()));
        let (log, changes) = (Arc::new(log), Arc::new(changes));
        let store = Self { readers, log, changes, days: Some(target), signals, tap: None };
        Ok((store, Writers { committers, blocking: false }))
    }
}

impl Store {
    /// Makes a write, which is one atomic step and on disk when this returns `Ok`. It may answer
    /// [`StoreError::Overloaded`], and has then done nothing.
    pub async fn write<Kind, C: WriteTo<Kind>>(&self, command: C) -> Result<C::Answer, StoreError> {
        self.tapped(command.write_to(self)).await
    }

    /// Wakes this process's workers when this process committed something for them. Other replicas wake no worker here,
    /// so workers look again after a while anyway.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// How many writes wait for those before them.
    pub fn waiting(&self) -> usize {
        self.submits().map(Submit::waiting).sum()
    }

    /// Whether writes succeed now. While many wait, it counts that others are committed.
    pub async fn works(&self) -> bool {
        let works = async { Ok(join_all(self.submits().map(works)).await) };
        self.tapped(works).await.is_ok_and(|works| works.into_iter().all(|works| works))
    }

    /// Finishes what was accepted, and closes. Later calls answer [`StoreError::Closed`].
    pub async fn close(&self) {
        // Writers last: as the last of all connections SQLite's folds the log into the file.
        self.readers.close().await;
        for submit in self.submits() {
            submit.close().await;
        }
    }

    /// The time by the database's own clock; `None` where it has the clock of this machine.
    pub async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(sql) = self.readers.clock() else { return Ok(None) };
        self.query(sql, Vec::new()).await?.first().map(Row::read).transpose()
    }

    /// The same store, seen by a tap.
    #[must_use]
    pub fn tapped_by(&self, tap: Arc<dyn Tap>) -> Self {
        Self { tap: Some(tap), ..self.clone() }
    }

    /// Reads what is committed, and waits for no writer.
    pub(super) async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.tapped(self.readers.query(sql, parameters)).await
    }

    /// Finds rows among what is committed, and waits for no writer.
    pub(super) async fn find(&self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.tapped(self.readers.find(lookups)).await
    }

    async fn tapped<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let Some(tap) = &self.tap else { return operation.await };
        let number = tap.begins().await?;
        let answer = operation.await;
        tap.ended(number).await;
        answer
    }

    /// The commit queues, each once.
    fn submits(&self) -> impl Iterator<Item = &Submit> {
        let log = (!Arc::ptr_eq(&self.log, &self.changes)).then_some(self.log.as_ref());
        log.into_iter().chain([self.changes.as_ref()])
    }
}

/// Whether the writes of one queue succeed.
async fn works(submit: &Submit) -> bool {
    let answer = tokio::time::timeout(ANSWERS_WITHIN, submit.statements(Touch)).await;
    writes_succeed(answer.as_ref().ok(), submit.lately())
}

/// Whether writes succeed, by the answer to one of them and by what has happened lately. `None`: it is not answered in
/// time.
fn writes_succeed(answer: Option<&Result<(), StoreError>>, Lately { committed, full }: Lately) -> bool {
    let works = match answer {
        Some(Ok(())) => true,
        // It waits behind others, which are committed meanwhile.
        Some(Err(StoreError::Overloaded)) | None => committed.is_some_and(|ago| ago <= ANSWERS_WITHIN),
        Some(Err(_)) => false,
    };
    // A disk that takes a touch may still be too full for a webhook.
    works && full.is_none_or(|ago| ago > FULL_FOR)
}

/// Warns of a server that may lose what it reports as committed, because that narrows the first promise.
async fn warn_of_narrowed_promises(connection: &mut PostgresConnection) -> Result<(), StoreError> {
    let durability = connection.durability().await?;
    for setting in &durability.narrowed_by {
        tracing::warn!(
            setting,
            "the database may lose what it has committed when it crashes: a webhook that was answered with a 2xx and a \
             message that was accepted can be lost, and a message can be sent twice"
        );
    }
    if let Some(setting) = &durability.failover_narrowed_by {
        tracing::warn!(
            setting,
            standbys = durability.synchronous_standbys,
            "the database says that something is committed before it is on the disk of its standbys, so a failover to one \
             of them can lose the newest of it: expected synchronous_commit = on or remote_apply"
        );
    }
    if durability.synchronous_standbys.is_empty() {
        tracing::info!(
            "the database has no synchronous standby: what it has committed is as safe as its disk, and a failover to \
             an asynchronous standby can lose the newest of it"
        );
    }
    Ok(())
}

/// Where verified webhooks go: all that the webhook listener asks of a store.
#[async_trait]
pub trait WebhookLog: Send + Sync {
    /// Appends the parts of a verified request, and those of their events that are not in the log yet. All of it is on
    /// disk when this returns `Ok`, and none of it after an error. Answers for each of [`RecordRequest::webhooks`].
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError>;

    /// Lets a recorded stop keyword count from now on.
    async fn hear_stop(&self, stop: HearStop) -> Result<(), StoreError>;

    /// As [`WebhookLog::record`], for a request of one part.
    async fn record_webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        let recorded = self.record(webhook.into()).await?;
        Ok(recorded.into_iter().next().unwrap_or(Recorded { new: Vec::new() }))
    }
}

#[async_trait]
impl WebhookLog for Store {
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError> {
        self.tapped(self.log.webhook(request)).await
    }

    async fn hear_stop(&self, stop: HearStop) -> Result<(), StoreError> {
        self.write(stop).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("readers", &self.readers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_works_while_others_are_committed_and_a_full_disk_does_not() {
        let lately = |committed: Option<u64>, full: Option<u64>| Lately {
            committed: committed.map(Duration::from_secs),
            full: full.map(Duration::from_secs),
        };
        let (done, busy, away) = (Ok(()), Err(StoreError::Overloaded), Err(StoreError::Failed("away".into())));
        for busy in [Some(&busy), None] {
            assert!(writes_succeed(busy, lately(Some(2), None)), "{busy:?}");
            assert!(!writes_succeed(busy, lately(Some(3), None)), "{busy:?}: nothing is committed");
            assert!(!writes_succeed(busy, lately(None, None)), "{busy:?}: nothing ever was");
        }
        assert!(writes_succeed(Some(&done), lately(None, None)));
        assert!(!writes_succeed(Some(&away), lately(Some(0), None)));
        assert!(!writes_succeed(Some(&done), lately(Some(0), Some(30))), "a webhook may not fit");
        assert!(writes_succeed(Some(&done), lately(Some(0), Some(31))));
    }
}
