//! Group commit: one task takes every write that waits, writes them in one transaction, commits, and answers them all.
//!
//! There is no timer. An idle store answers in one commit; a busy one shares each commit among those who waited for the
//! one before. A write that fails harms only itself: its group is rolled back and each of the group is then written
//! alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::webhooks;
use crate::store::webhook::{RecordWebhook, Recorded};
use crate::store::{Signals, StoreError};

/// Writes that may wait. At the figures of one commit this is well under a second; who comes later is better told to
/// come back.
const WAITING: usize = 1024;
/// Tenants' requests are shed when no more places than this are left, so that webhooks still find one.
const KEPT_FOR_WEBHOOKS: usize = WAITING / 4;
/// Writes in one transaction.
const GROUP: usize = 512;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One write.
pub(super) trait Operation: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Writes, and tells the outcome. It may be run again in another transaction when the first was rolled back, and an
    /// outcome that changes nothing is told before anything is written.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// The transaction of a group.
pub(super) struct Tx<'c> {
    pub(super) connection: &'c mut SqliteConnection,
    /// Which bells to ring once it is committed.
    pub(super) bells: Bells,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bells {
    pub(super) webhooks: bool,
    pub(super) queue: bool,
    pub(super) outbox: bool,
}

impl Bells {
    fn ring(self, signals: &Signals) {
        if self.webhooks {
            signals.webhooks.notify_one();
        }
        if self.queue {
            signals.queue.notify_one();
        }
        if self.outbox {
            signals.outbox.notify_one();
        }
    }
}

/// A write and who waits for it.
struct Pending<O: Operation> {
    operation: O,
    outcome: Option<Result<O::Answer, StoreError>>,
    answer: oneshot::Sender<Result<O::Answer, StoreError>>,
}

/// A [`Pending`] of any operation.
trait Waiting: Send {
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), StoreError>>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

impl<O: Operation> Waiting for Pending<O> {
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.operation.run(tx).await {
                Ok(answer) => {
                    self.outcome = Some(Ok(answer));
                    Ok(())
                }
                Err(error) => Err(error),
            }
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error),
        };
        // Who waited may have gone; the write stands all the same.
        drop(self.answer.send(outcome));
    }
}

/// Webhooks are told apart from other writes, because many of them are written with one statement.
enum Job {
    Webhook(Box<Pending<RecordWebhook>>),
    Other(Box<dyn Waiting>),
}

impl Job {
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        match self {
            Self::Webhook(pending) => pending.run(tx),
            Self::Other(pending) => pending.run(tx),
        }
    }

    fn answer(self, committed: Result<(), StoreError>) {
        match self {
            Self::Webhook(pending) => pending.answer(committed),
            Self::Other(pending) => pending.answer(committed),
        }
    }
}

impl Operation for RecordWebhook {
    type Answer = Recorded;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Recorded, StoreError> {
        webhooks::record(tx, &[self]).await?.pop().ok_or(StoreError::Closed)
    }
}

/// A write of nothing: succeeds when writing does.
pub(super) struct Nothing;

impl Operation for Nothing {
    type Answer = ();
    async fn run(&self, _: &mut Tx<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Hands writes to the committer.
#[derive(Debug)]
pub(super) struct Submit {
    jobs: mpsc::Sender<Job>,
    closing: Arc<Notify>,
    closed: watch::Receiver<bool>,
}

impl Submit {
    pub(super) async fn operation<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        self.submit(operation, |pending| Job::Other(pending)).await
    }

    pub(super) async fn webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        self.submit(webhook, Job::Webhook).await
    }

    async fn submit<O: Operation>(
        &self,
        operation: O,
        job: impl FnOnce(Box<Pending<O>>) -> Job,
    ) -> Result<O::Answer, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job = job(Box::new(Pending { operation, outcome: None, answer }));
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn check_room_for_requests(&self) -> Result<(), StoreError> {
        if self.jobs.capacity() <= KEPT_FOR_WEBHOOKS { Err(StoreError::Overloaded) } else { Ok(()) }
    }

    /// Waits until what was submitted is written, and takes nothing more.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        // An error means that the committer is gone, which is what is waited for.
        drop(self.closed.clone().wait_for(|closed| *closed).await);
    }
}

/// The one writer. Spawn [`Committer::run`] where its end ends the process.
pub struct Committer {
    connection: SqliteConnection,
    /// How to connect again.
    options: SqliteConnectOptions,
    /// A write failed since the connection last worked.
    suspect: bool,
    jobs: mpsc::Receiver<Job>,
    closing: Arc<Notify>,
    closed: watch::Sender<bool>,
    signals: Arc<Signals>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

pub(super) fn new(
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    signals: Arc<Signals>,
) -> (Submit, Committer) {
    let (sender, jobs) = mpsc::channel(WAITING);
    let closing = Arc::new(Notify::new());
    let (closed, is_closed) = watch::channel(false);
    let submit = Submit { jobs: sender, closing: Arc::clone(&closing), closed: is_closed };
    (submit, Committer { connection, options, suspect: false, jobs, closing, closed, signals })
}

impl Committer {
    /// Writes until the store is closed.
    pub async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            tokio::select! {
                biased;
                () = self.closing.notified() => self.jobs.close(),
                taken = self.jobs.recv_many(&mut group, GROUP) => {
                    if taken == 0 {
                        break;
                    }
                    self.write(std::mem::take(&mut group)).await;
                }
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database was not closed cleanly; it recovers when it is opened");
        }
        self.closed.send_replace(true);
    }

    async fn write(&mut self, mut group: Vec<Job>) {
        match self.commit(&mut group).await {
            Ok(bells) => {
                group.into_iter().for_each(|job| job.answer(Ok(())));
                bells.ring(&self.signals);
            }
            Err(error) if group.len() == 1 => group.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            Err(error) => {
                tracing::warn!(%error, writes = group.len(), "a group of writes failed; each is written alone");
                for job in group {
                    let mut alone = [job];
                    let outcome = self.commit(&mut alone).await;
                    let [job] = alone;
                    match outcome {
                        Ok(bells) => {
                            job.answer(Ok(()));
                            bells.ring(&self.signals);
                        }
                        Err(error) => job.answer(Err(error)),
                    }
                }
            }
        }
    }

    async fn commit(&mut self, group: &mut [Job]) -> Result<Bells, StoreError> {
        if self.suspect {
            self.mend().await?;
        }
        let outcome = self.try_commit(group).await;
        self.suspect = outcome.is_err();
        outcome
    }

    /// After a full disk or an I/O error SQLite has rolled the transaction back by itself, and a connection that does not
    /// know it can begin no other. Such a connection is replaced.
    async fn mend(&mut self) -> Result<(), StoreError> {
        let works = match self.connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction.rollback().await.is_ok(),
            Err(_) => false,
        };
        if !works {
            tracing::warn!("the connection to the database is replaced after a write failed");
            self.connection = self.options.connect().await?;
        }
        self.suspect = false;
        Ok(())
    }

    async fn try_commit(&mut self, group: &mut [Job]) -> Result<Bells, StoreError> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut tx = Tx { connection: &mut transaction, bells: Bells::default() };
        let mut webhooks: Vec<&mut Box<Pending<RecordWebhook>>> = Vec::new();
        let mut others: Vec<&mut Job> = Vec::new();
        for job in group {
            match job {
                Job::Webhook(pending) => webhooks.push(pending),
                Job::Other(_) => others.push(job),
            }
        }
        if !webhooks.is_empty() {
            let rows: Vec<&RecordWebhook> = webhooks.iter().map(|pending| &pending.operation).collect();
            let recorded = webhooks::record(&mut tx, &rows).await?;
            for (pending, recorded) in webhooks.into_iter().zip(recorded) {
                pending.outcome = Some(Ok(recorded));
            }
        }
        for job in others {
            job.run(&mut tx).await?;
        }
        let bells = tx.bells;
        transaction.commit().await?;
        Ok(bells)
    }
}
