//! The one clock of the binary. Everything else takes a [`Clock`], so that tests can drive it.

use std::sync::Arc;

use jiff::Timestamp;
use messaging::clock::Clock;
use tokio::time::Instant;

/// The time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the operator asks the machine for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock without the parts of a second, as times are read back from a status. A reconcile compares what it reads with
/// what it would write, and people read both.
#[derive(Debug, Clone)]
pub struct WholeSeconds(pub Arc<dyn Clock>);

impl Clock for WholeSeconds {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }
}

/// Sleeps until `at`, or for ever without one.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
