//! A process that dies at a chosen operation of its store: just before it, or when it is on disk and has not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dataplane::store::{Store, StoreError, Tap};
use tokio::sync::Notify;

/// When to die, counted in operations from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Before(u64),
    After(u64),
    /// Not at all, but this one operation fails.
    NotButFails(u64),
}

pub(crate) struct Mortal {
    death: Death,
    begun: AtomicU64,
    died: Notify,
}

impl Mortal {
    /// The store as the process uses it, and the process's life.
    pub(crate) fn new(store: &Store, death: Death) -> (Store, Arc<Self>) {
        let mortal = Arc::new(Self { death, begun: AtomicU64::new(0), died: Notify::new() });
        (store.tapped_by(Arc::clone(&mortal) as _), mortal)
    }

    /// Does the work and dies there. Answers whether it could be done without dying.
    pub(crate) async fn survives(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.died.notified() => false,
            () = work => true,
        }
    }

    /// Whether the one operation that was to fail has.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.death, Death::NotButFails(n) if self.begun.load(Ordering::SeqCst) >= n)
    }

    /// What has died never answers, and is dropped with whatever waits for it.
    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Tap for Mortal {
    async fn begins(&self) -> Result<u64, StoreError> {
        let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        match self.death {
            Death::Before(n) if nth >= n => self.die().await,
            Death::After(n) if nth > n => self.die().await,
            Death::NotButFails(n) if nth == n => return Err(StoreError::Failed("it has been made to".into())),
            Death::Before(_) | Death::After(_) | Death::NotButFails(_) => {}
        }
        Ok(nth)
    }

    async fn ended(&self, operation: u64) {
        if self.death == Death::After(operation) {
            self.die().await;
        }
    }
}
