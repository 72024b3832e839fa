//! Compares this replica's clock with the database's, which all replicas share.
//!
//! A clock that is ahead would send scheduled messages early and end messages that are still valid. Above
//! [`LONGEST_SKEW`] this replica therefore leaves messages with times of their own to the other replicas, and forgets
//! nothing. Everything else goes on: messages that may leave now do not depend on the time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::clock::{Clock, TOLERATED_SKEW};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::progress::{Progress, Task};
use crate::store::{Store, StoreError};

/// A clock that differs by more than this is unreliable.
pub const LONGEST_SKEW: Duration = Duration::from_secs(60);
/// How often the clocks are compared.
const EVERY: Duration = Duration::from_secs(5);

/// How well the clocks agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Close,
    /// A fault, with little effect so far.
    Differs,
    Unreliable,
}

impl Agreement {
    fn of(difference: SignedDuration) -> Self {
        let apart = difference.unsigned_abs();
        if apart > LONGEST_SKEW {
            Self::Unreliable
        } else if apart > TOLERATED_SKEW {
            Self::Differs
        } else {
            Self::Close
        }
    }
}

/// The result of the last comparison.
pub struct ClockCheck {
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    agreement: Mutex<Agreement>,
}

impl fmt::Debug for ClockCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockCheck").field("agreement", &*self.agreement.lock()).finish_non_exhaustive()
    }
}

impl ClockCheck {
    /// The clock counts as reliable until the first comparison.
    pub fn new(store: Store, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { store, clock, metrics, agreement: Mutex::new(Agreement::Close) }
    }

    /// Runs until `stop`.
    ///
    /// Failure policy: fail static. While the database cannot be asked, the last comparison counts.
    pub async fn run(&self, progress: &Progress, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            match self.compare().await {
                Ok(()) => progress.did(Task::Clock, self.clock.now()),
                Err(error) => tracing::debug!(%error, "the database cannot be asked for its time"),
            }
        }
    }

    /// Compares the clocks now. A database without a clock of its own always agrees.
    pub async fn compare(&self) -> Result<(), StoreError> {
        let before = self.clock.now();
        if let Some(database) = self.store.clock().await? {
            self.learn(difference(before, database, self.clock.now()));
        }
        Ok(())
    }

    /// Whether this replica may act on times that others have set, such as when a message is scheduled for.
    pub fn is_reliable(&self) -> bool {
        *self.agreement.lock() != Agreement::Unreliable
    }

    /// Takes the result of a comparison: how far this replica's clock is ahead of the database's.
    pub fn learn(&self, ahead: SignedDuration) {
        let now = Agreement::of(ahead);
        self.metrics.clock(ahead.as_secs_f64(), now == Agreement::Unreliable);
        let before = std::mem::replace(&mut *self.agreement.lock(), now);
        if before == now {
            return;
        }
        let seconds = ahead.as_secs_f64();
        match now {
            Agreement::Close => tracing::info!(seconds, "this replica's clock agrees with the database's again"),
            Agreement::Differs => tracing::warn!(
                seconds,
                "this replica's clock is ahead of the database's (behind, if negative): expected at most 2 s; check the \
                 time service of both machines"
            ),
            Agreement::Unreliable => tracing::error!(
                seconds,
                "this replica's clock is ahead of the database's (behind, if negative) by more than a minute: until \
                 they agree, it dispatches no scheduled message, expires none, accepts none with a time, and forgets \
                 nothing; check the time service of both machines"
            ),
        }
    }
}

/// How far our clock is ahead of the database's, which was read between two looks at ours. Where the question took long
/// this is the least that it can be.
fn difference(before: Timestamp, database: Timestamp, after: Timestamp) -> SignedDuration {
    if database < before {
        before.duration_since(database)
    } else if database > after {
        after.duration_since(database)
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_slow_answer_is_no_difference() {
        let ahead = |before, database, after| difference(at(before), at(database), at(after)).as_secs();
        assert_eq!(ahead(0, 5, 10), 0);
        assert_eq!(ahead(0, 0, 0), 0);
        assert_eq!(ahead(180, 0, 190), 180);
        assert_eq!(ahead(0, 180, 10), -170);
    }

    #[test]
    fn a_clock_is_reliable_up_to_a_minute_either_way() {
        for (seconds, expected) in [
            (0, Agreement::Close),
            (2, Agreement::Close),
            (3, Agreement::Differs),
            (60, Agreement::Differs),
            (61, Agreement::Unreliable),
        ] {
            assert_eq!(Agreement::of(SignedDuration::from_secs(seconds)), expected, "{seconds}");
            assert_eq!(Agreement::of(SignedDuration::from_secs(-seconds)), expected, "-{seconds}");
        }
    }
}
