//! A write that waits for its group, and who waits for it.

use std::future::Future;
use std::pin::Pin;

use messaging::id::TenantId;
use tokio::sync::oneshot;

use super::Halt;
use super::rows::Rows;
use crate::store::StoreError;
use crate::store::database::Connection;
use crate::store::operations::Operation;
use crate::store::signals::Bells;
use crate::store::webhook::{RecordRequest, Recorded};

pub(in crate::store) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A write that is statements of its own, because it finds its rows by more than their keys. Run before the operations
/// of its group.
pub(in crate::store) trait Statements: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Whose rows it writes.
    fn tenants(&self) -> Vec<TenantId>;

    fn run<'a>(
        &'a self,
        connection: &'a mut dyn Connection,
        bells: &'a mut Bells,
    ) -> BoxFuture<'a, Result<Self::Answer, StoreError>>;
}

/// Where an answer goes.
pub(in crate::store) struct Answer<T> {
    outcome: Option<Result<T, StoreError>>,
    waiter: oneshot::Sender<Result<T, StoreError>>,
}

impl<T> Answer<T> {
    pub(in crate::store) fn new() -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (waiter, outcome) = oneshot::channel();
        (Self { outcome: None, waiter }, outcome)
    }

    fn send(self, committed: Result<(), StoreError>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error),
        };
        // Who waited may have gone; the write stands all the same.
        drop(self.waiter.send(outcome));
    }
}

/// A webhook request to record. It has a kind of its own, because all of a group are written at once.
pub(in crate::store) struct PendingRequest {
    pub(in crate::store) request: RecordRequest,
    pub(in crate::store) answer: Answer<Vec<Recorded>>,
}

pub(in crate::store) struct Pending<W, T> {
    pub(in crate::store) write: W,
    pub(in crate::store) answer: Answer<T>,
}

/// An operation of any kind.
pub(in crate::store) trait PendingOperation: Send {
    fn tenant(&self) -> &TenantId;
    /// `false`: it has to be run again when what it misses is there.
    fn run(&mut self, rows: &mut Rows) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

impl<O: Operation> PendingOperation for Pending<O, O::Answer> {
    fn tenant(&self) -> &TenantId {
        self.write.tenant()
    }

    fn run(&mut self, rows: &mut Rows) -> bool {
        match self.write.run(rows) {
            Ok(answer) => self.answer.outcome = Some(Ok(answer)),
            Err(Halt::Missing) => return false,
            // It has changed nothing, so it harms only itself.
            Err(Halt::Failed(error)) => self.answer.outcome = Some(Err(error)),
        }
        true
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        self.answer.send(committed);
    }
}

/// Statements of any kind.
pub(in crate::store) trait PendingStatements: Send {
    fn tenants(&self) -> Vec<TenantId>;
    fn run<'a>(
        &'a mut self,
        connection: &'a mut dyn Connection,
        bells: &'a mut Bells,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

impl<S: Statements> PendingStatements for Pending<S, S::Answer> {
    fn tenants(&self) -> Vec<TenantId> {
        self.write.tenants()
    }

    fn run<'a>(
        &'a mut self,
        connection: &'a mut dyn Connection,
        bells: &'a mut Bells,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.answer.outcome = Some(Ok(self.write.run(connection, bells).await?));
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        self.answer.send(committed);
    }
}

/// Anything that waits.
pub(in crate::store) enum Job {
    Webhook(Box<PendingRequest>),
    Statements(Box<dyn PendingStatements>),
    Operation(Box<dyn PendingOperation>),
}

impl Job {
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        match self {
            // A webhook is only ever added, and takes nobody's place.
            Self::Webhook(_) => Vec::new(),
            Self::Statements(pending) => pending.tenants(),
            Self::Operation(pending) => vec![pending.tenant().clone()],
        }
    }

    pub(super) fn answer(self, committed: Result<(), StoreError>) {
        match self {
            Self::Webhook(pending) => pending.answer.send(committed),
            Self::Statements(pending) => pending.answer(committed),
            Self::Operation(pending) => pending.answer(committed),
        }
    }
}

impl PendingRequest {
    pub(super) fn decide(&mut self, recorded: Vec<Recorded>) {
        self.answer.outcome = Some(Ok(recorded));
    }
}
