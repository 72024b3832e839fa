//! Group commit: one task takes every write that waits, makes them in one transaction, commits, and answers them all.
//!
//! There is no timer. An idle store answers in one commit; a busy one shares each commit among those who waited for the
//! one before. A write that fails harms only itself: its group is rolled back and each of the group is then made alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};

use super::job::{Answer, Job, Pending, PendingWebhook, Statements};
use super::rows::Rows;
use crate::store::database::Connection;
use crate::store::operations::Operation;
use crate::store::signals::Bells;
use crate::store::statements::record;
use crate::store::webhook::{RecordWebhook, Recorded};
use crate::store::{Signals, StoreError};

/// Writes that may wait. At the figures of one commit this is well under a second; who comes later is better told to
/// come back.
const WAITING: usize = 1024;
/// Tenants' requests are shed when no more places than this are left, so that webhooks still find one.
const KEPT_FOR_WEBHOOKS: usize = WAITING / 4;
/// Writes in one transaction.
const GROUP: usize = 512;
/// No write looks at rows that depend on rows that depend on rows more often than this.
const ROUNDS: usize = 12;

/// Hands writes to a committer.
#[derive(Debug)]
pub(in crate::store) struct Submit {
    jobs: mpsc::Sender<Job>,
    closing: Arc<Notify>,
    closed: watch::Receiver<bool>,
}

impl Submit {
    pub(in crate::store) async fn operation<O: Operation>(&self, write: O) -> Result<O::Answer, StoreError> {
        let (answer, outcome) = Answer::new();
        self.hand_over(Job::Operation(Box::new(Pending { write, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(in crate::store) async fn statements<S: Statements>(&self, write: S) -> Result<S::Answer, StoreError> {
        let (answer, outcome) = Answer::new();
        self.hand_over(Job::Statements(Box::new(Pending { write, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(in crate::store) async fn webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        let (answer, outcome) = Answer::new();
        self.hand_over(Job::Webhook(Box::new(PendingWebhook { webhook, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    fn hand_over(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }

    /// Webhooks can't be asked for again; a tenant's request can. So requests are shed first.
    pub(in crate::store) fn check_room_for_requests(&self) -> Result<(), StoreError> {
        if self.jobs.capacity() <= KEPT_FOR_WEBHOOKS { Err(StoreError::Overloaded) } else { Ok(()) }
    }

    /// How many writes wait, those aside that are being written.
    pub(in crate::store) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Waits until what was handed over is written, and takes nothing more.
    pub(in crate::store) async fn close(&self) {
        self.closing.notify_one();
        // An error means that the committer is gone, which is what is waited for.
        drop(self.closed.clone().wait_for(|closed| *closed).await);
    }
}

/// The one who writes on a connection.
pub(in crate::store) struct Committer {
    connection: Box<dyn Connection>,
    jobs: mpsc::Receiver<Job>,
    closing: Arc<Notify>,
    closed: watch::Sender<bool>,
    signals: Arc<Signals>,
}

pub(in crate::store) fn new(connection: Box<dyn Connection>, signals: Arc<Signals>) -> (Submit, Committer) {
    let (sender, jobs) = mpsc::channel(WAITING);
    let closing = Arc::new(Notify::new());
    let (closed, is_closed) = watch::channel(false);
    let submit = Submit { jobs: sender, closing: Arc::clone(&closing), closed: is_closed };
    (submit, Committer { connection, jobs, closing, closed, signals })
}

impl Committer {
    /// Writes until the store is closed.
    pub(in crate::store) async fn run(mut self) {
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
        self.connection.close().await;
        self.closed.send_replace(true);
    }

    async fn write(&mut self, mut group: Vec<Job>) {
        let Err(error) = self.commit(&mut group).await.map(|bells| self.succeed(&mut group, bells)) else { return };
        // Failure policy: fail closed. Where a commit was not heard of, nobody is told that it happened.
        let reachable = self.connection.rollback().await;
        if !reachable || group.len() == 1 {
            tracing::warn!(%error, writes = group.len(), "writes failed");
            group.into_iter().for_each(|job| job.answer(Err(error.clone())));
            return;
        }
        tracing::warn!(%error, writes = group.len(), "a group of writes failed; each is made alone");
        for job in group {
            let mut alone = vec![job];
            match self.commit(&mut alone).await {
                Ok(bells) => self.succeed(&mut alone, bells),
                Err(error) => {
                    self.connection.rollback().await;
                    alone.into_iter().for_each(|job| job.answer(Err(error.clone())));
                }
            }
        }
    }

    fn succeed(&self, group: &mut Vec<Job>, bells: Bells) {
        // Whoever is answered finds the bell rung.
        bells.ring(&self.signals);
        group.drain(..).for_each(|job| job.answer(Ok(())));
    }

    async fn commit(&mut self, group: &mut [Job]) -> Result<Bells, StoreError> {
        let mut rows = Rows::default();
        let only_webhooks = group.iter().all(|job| matches!(job, Job::Webhook(_)));
        if only_webhooks && self.connection.logs_alone() {
            self.record(group, &mut rows.bells).await?;
            return Ok(rows.bells);
        }
        let tenants: BTreeSet<_> = group.iter().flat_map(Job::tenants).collect();
        self.connection.begin(&tenants).await?;
        self.record(group, &mut rows.bells).await?;
        for job in group.iter_mut() {
            if let Job::Statements(pending) = job {
                pending.run(self.connection.as_mut(), &mut rows.bells).await?;
            }
        }
        self.operate(group, &mut rows).await?;
        let changes = rows.changes()?;
        if !changes.is_empty() {
            self.connection.change(changes).await?;
        }
        self.connection.commit().await?;
        Ok(rows.bells)
    }

    async fn record(&mut self, group: &mut [Job], bells: &mut Bells) -> Result<(), StoreError> {
        let pending: Vec<&mut Box<PendingWebhook>> = group
            .iter_mut()
            .filter_map(|job| if let Job::Webhook(pending) = job { Some(pending) } else { None })
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        let webhooks: Vec<&RecordWebhook> = pending.iter().map(|pending| &pending.webhook).collect();
        let recorded = record(self.connection.as_mut(), &webhooks, bells).await?;
        for (pending, recorded) in pending.into_iter().zip(recorded) {
            pending.decide(recorded);
        }
        Ok(())
    }

    /// Runs the operations, reading between their rounds what they miss.
    async fn operate(&mut self, group: &mut [Job], rows: &mut Rows) -> Result<(), StoreError> {
        let mut waiting: Vec<_> = group
            .iter_mut()
            .filter_map(|job| if let Job::Operation(pending) = job { Some(pending) } else { None })
            .collect();
        for _ in 0..ROUNDS {
            waiting.retain_mut(|pending| !pending.run(rows));
            if waiting.is_empty() {
                return Ok(());
            }
            let mut missing = rows.missing();
            let found = self.connection.find(std::mem::take(&mut missing.lookups)).await?;
            missing.take(rows, &found)?;
        }
        Err(StoreError::Failed(format!("a write still missed rows after {ROUNDS} rounds of reading")))
    }
}
