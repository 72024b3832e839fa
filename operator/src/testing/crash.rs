//! Crashes after a chosen write: the write takes effect, and its answer never arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts writes, and stops the process that makes the chosen one.
#[derive(Debug, Clone)]
pub(crate) struct Fuse(Arc<Burning>);

#[derive(Debug)]
struct Burning {
    left: AtomicUsize,
    burnt: AtomicUsize,
    blown: Notify,
}

impl Default for Fuse {
    fn default() -> Self {
        let (left, burnt) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Self(Arc::new(Burning { left, burnt, blown: Notify::new() }))
    }
}

impl Fuse {
    /// Lets the process crash after the `nth` write from now, counted from 0.
    pub(crate) fn light(&self, nth: usize) {
        self.0.left.store(nth, Ordering::Relaxed);
    }

    /// How many writes there were.
    pub(crate) fn burnt(&self) -> usize {
        self.0.burnt.load(Ordering::Relaxed)
    }

    /// Follows every write.
    pub(crate) async fn burn(&self) {
        self.0.burnt.fetch_add(1, Ordering::Relaxed);
        let left = self.0.left.load(Ordering::Relaxed);
        self.0.left.store(left.wrapping_sub(1), Ordering::Relaxed);
        if left == 0 {
            self.0.left.store(usize::MAX, Ordering::Relaxed);
            self.0.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Runs a process. `None` when it crashed.
    pub(crate) async fn until_crash<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = process => Some(done),
            () = self.0.blown.notified() => None,
        }
    }
}
