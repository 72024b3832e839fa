//! Group commit: a task takes every write that waits, makes them in one transaction, commits, and answers them all.
//!
//! There is no timer. An idle store answers in one commit. A busy one shares each commit among the writes that waited
//! for the one before. A write that fails harms only itself: its group is rolled back and each of the group is then
//! made again, alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::commit_queue::{CommitQueue, Consumer, Lately};
use super::job::{Answer, Job, Pending, PendingRequest, Statements};
use super::rows::Rows;
use crate::store::database::Connection;
use crate::store::group::operation::Operation;
use crate::store::signals::Bells;
use crate::store::sql::{keep_unaddressed, record};
use crate::store::webhook::{RecordRequest, RecordWebhook, Recorded};
use crate::store::{Signals, StoreError};

/// The most rounds in which a write may find that it needs more rows.
const ROUNDS: usize = 12;

/// Hands writes to the committers of one queue.
#[derive(Debug)]
pub(crate) struct Submit(Arc<CommitQueue>);

impl Submit {
    pub(crate) async fn operation<O: Operation>(&self, write: O) -> Result<O::Answer, StoreError> {
        let (answer, outcome) = Answer::new();
        self.0.push(Job::Operation(Box::new(Pending { write, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) async fn statements<S: Statements>(&self, write: S) -> Result<S::Answer, StoreError> {
        let (answer, outcome) = Answer::new();
        self.0.push(Job::Statements(Box::new(Pending { write, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) async fn webhook(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError> {
        let (answer, outcome) = Answer::new();
        self.0.push(Job::Webhook(Box::new(PendingRequest { request, answer })))?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Requests are shed first: a tenant can ask again, a webhook cannot be asked for.
    pub(crate) fn check_room_for_requests(&self) -> Result<(), StoreError> {
        if self.0.has_room_for_requests() { Ok(()) } else { Err(StoreError::Overloaded) }
    }

    /// The number of writes that wait. Those that are being written do not count.
    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn lately(&self) -> Lately {
        self.0.lately()
    }

    /// Refuses new writes, and returns when those that wait are written.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// A task that writes groups on its own connection.
pub(crate) struct Committer {
    connection: Box<dyn Connection>,
    consumer: Consumer,
    signals: Arc<Signals>,
}

/// A committer for each connection, all of one queue.
pub(crate) fn new(connections: Vec<Box<dyn Connection>>, signals: &Arc<Signals>) -> (Submit, Vec<Committer>) {
    let (queue, consumers) = CommitQueue::new(connections.len());
    let committer = |(connection, consumer)| Committer { connection, consumer, signals: Arc::clone(signals) };
    (Submit(queue), connections.into_iter().zip(consumers).map(committer).collect())
}

impl Committer {
    /// Writes until the store is closed.
    pub(crate) async fn run(mut self) {
        while let Some(group) = self.consumer.next().await {
            self.write(group).await;
        }
        self.connection.close().await;
    }

    async fn write(&mut self, mut group: Vec<Job>) {
        let Err(error) = self.commit(&mut group).await.map(|bells| self.succeed(&mut group, bells)) else { return };
        self.consumer.failed(&error);
        // Failure policy: fail closed. A write whose commit was not confirmed is answered with an error.
        let reachable = self.connection.rollback().await;
        if !reachable {
            tracing::warn!(%error, writes = group.len(), "writes failed");
            group.into_iter().for_each(|job| job.answer(Err(error.clone())));
            return;
        }
        // Nothing of it was written. One that was alone may succeed now that the connection is mended.
        tracing::warn!(%error, writes = group.len(), "a group of writes failed; each is made again, alone");
        for job in group {
            let mut alone = vec![job];
            match self.commit(&mut alone).await {
                Ok(bells) => self.succeed(&mut alone, bells),
                Err(error) => {
                    tracing::warn!(%error, "a write failed");
                    self.consumer.failed(&error);
                    self.connection.rollback().await;
                    alone.into_iter().for_each(|job| job.answer(Err(error.clone())));
                }
            }
        }
    }

    fn succeed(&self, group: &mut Vec<Job>, bells: Bells) {
        self.consumer.committed();
        // The bells ring before the answers.
        bells.ring(&self.signals);
        group.drain(..).for_each(|job| job.answer(Ok(())));
    }

    async fn commit(&mut self, group: &mut [Job]) -> Result<Bells, StoreError> {
        let mut rows = Rows::default();
        // What is one statement needs no transaction; parts without an addressee are another statement.
        let only_webhooks =
            group.iter().all(|job| matches!(job, Job::Webhook(pending) if pending.request.unaddressed.is_empty()));
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
        let pending: Vec<&mut Box<PendingRequest>> = group
            .iter_mut()
            .filter_map(|job| if let Job::Webhook(pending) = job { Some(pending) } else { None })
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        let webhooks: Vec<&RecordWebhook> = pending.iter().flat_map(|pending| &pending.request.webhooks).collect();
        let mut recorded = record(self.connection.as_mut(), &webhooks, bells).await?.into_iter();
        let unaddressed: Vec<_> = pending.iter().flat_map(|pending| &pending.request.unaddressed).collect();
        if !unaddressed.is_empty() {
            keep_unaddressed(self.connection.as_mut(), &unaddressed).await?;
        }
        for pending in pending {
            let own = recorded.by_ref().take(pending.request.webhooks.len()).collect();
            pending.decide(own);
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
