//! A write that waits for its group, and the caller that waits for its answer.

use async_trait::async_trait;
use messaging::id::TenantId;
use tokio::sync::oneshot;

use super::Halt;
use super::rows::Rows;
use crate::store::database::Connection;
use crate::store::group::operation::Operation;
use crate::store::signals::Bells;
use crate::store::webhook::{RecordRequest, Recorded};
use crate::store::{Command, StoreError};

/// A write in SQL, for rows that are not found by their keys. It runs before the operations of its group.
#[async_trait]
pub(crate) trait Statements: Command + Sync {
    /// Whose rows it writes.
    fn tenants(&self) -> Vec<TenantId>;

    async fn run(&self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<Self::Answer, StoreError>;
}

/// Where an answer goes.
pub(crate) struct Answer<T> {
    outcome: Option<Result<T, StoreError>>,
    waiter: oneshot::Sender<Result<T, StoreError>>,
}

impl<T> Answer<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (waiter, outcome) = oneshot::channel();
        (Self { outcome: None, waiter }, outcome)
    }

    fn send(self, committed: Result<(), StoreError>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error),
        };
        // The caller may be gone. The write is committed all the same.
        drop(self.waiter.send(outcome));
    }
}

/// A webhook request to record. It has a kind of its own, because all of a group are written at once.
pub(crate) struct PendingRequest {
    pub(crate) request: RecordRequest,
    pub(crate) answer: Answer<Vec<Recorded>>,
}

pub(crate) struct Pending<W, T> {
    pub(crate) write: W,
    pub(crate) answer: Answer<T>,
}

/// An operation of any kind.
pub(crate) trait PendingOperation: Send {
    fn tenant(&self) -> &TenantId;
    /// `false`: it runs again once the rows that it misses are read.
    fn run(&mut self, rows: &mut Rows) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

impl<O: Operation> PendingOperation for Pending<O, O::Answer> {
    fn tenant(&self) -> &TenantId {
        self.write.tenant()
    }

    fn run(&mut self, rows: &mut Rows) -> bool {
        match rows.overlay(|rows| self.write.run(rows)) {
            Ok(answer) => self.answer.outcome = Some(Ok(answer)),
            Err(Halt::Missing) => return false,
            // What it changed is taken back, so it harms only itself.
            Err(Halt::Failed(error)) => self.answer.outcome = Some(Err(error)),
        }
        true
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        self.answer.send(committed);
    }
}

/// Statements of any kind.
#[async_trait]
pub(crate) trait PendingStatements: Send {
    fn tenants(&self) -> Vec<TenantId>;
    async fn run(&mut self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

#[async_trait]
impl<S: Statements> PendingStatements for Pending<S, S::Answer> {
    fn tenants(&self) -> Vec<TenantId> {
        self.write.tenants()
    }

    async fn run(&mut self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<(), StoreError> {
        self.answer.outcome = Some(Ok(self.write.run(connection, bells).await?));
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        self.answer.send(committed);
    }
}

/// Anything that waits.
pub(crate) enum Job {
    Webhook(Box<PendingRequest>),
    Statements(Box<dyn PendingStatements>),
    Operation(Box<dyn PendingOperation>),
}

impl Job {
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        match self {
            // A webhook is only added and conflicts with no other row.
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::message::{Priority, SinkId};
    use crate::store::tables::holds::HoldRow;

    /// A write that changes one of everything, and then perhaps fails or finds that it misses a row.
    struct Changes {
        tenant: TenantId,
        then: fn(&mut Rows) -> Result<(), Halt>,
    }

    impl Command for Changes {
        type Answer = ();
    }

    impl Operation for Changes {
        fn tenant(&self) -> &TenantId {
            &self.tenant
        }

        fn run(&self, rows: &mut Rows) -> Result<(), Halt> {
            let (tenant, now) = (self.tenant.clone(), Timestamp::UNIX_EPOCH);
            let key = (tenant.clone(), "tenant".to_owned(), "paused".to_owned());
            rows.holds.put(key, HoldRow { until: now, reason: "a test".into(), created_at: now });
            let sender: messaging::id::SenderName = "support".parse().unwrap();
            rows.open_lane(&tenant, &sender, Priority::Utility);
            rows.release((tenant, sender, SinkId::new("sink"), "subject".into()), now);
            (self.then)(rows)
        }
    }

    fn run(rows: &mut Rows, then: fn(&mut Rows) -> Result<(), Halt>) -> bool {
        let (answer, _outcome) = Answer::new();
        Pending { write: Changes { tenant: "shop".parse().unwrap(), then }, answer }.run(rows)
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_of_what_it_changed_to_its_group() {
        let mut rows = Rows::default();
        assert!(run(&mut rows, |_| Err(Halt::Failed(StoreError::Closed))), "it has its answer");
        assert!(rows.changes().unwrap().is_empty());
        assert_eq!(rows.bells, Bells::default());

        assert!(run(&mut rows, |_| Ok(())));
        let changes = rows.changes().unwrap();
        assert!(run(&mut rows, |_| Err(Halt::Failed(StoreError::Closed))));
        assert_eq!(format!("{:?}", rows.changes().unwrap()), format!("{changes:?}"), "what others changed stays");
    }

    #[test]
    fn a_write_that_misses_a_row_after_changing_another_runs_again_from_the_start() {
        let mut rows = Rows::default();
        let misses = |rows: &mut Rows| rows.sweeps.get(&("shop".parse().unwrap(), "AC1".into())).map(drop);
        assert!(!run(&mut rows, misses));
        assert!(rows.changes().unwrap().is_empty());
        let missing = rows.missing();
        assert_eq!(missing.lookups.len(), 1, "what it misses is still asked for");
        missing.take(&mut rows, &[Vec::new()]).unwrap();
        assert!(run(&mut rows, misses));
        assert_eq!(rows.changes().unwrap().len(), 3);
    }
}
