//! Where the time comes from: an argument, never a call.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time. The binaries pass the system's clock; tests pass one that they drive.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The time that is `pause` after `at`, and the end of time where there is none.
pub fn after(at: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| at.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A time in tests, in seconds after a fixed day.
    pub(crate) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
    }

    #[test]
    fn a_pause_beyond_the_calendar_ends_at_the_end_of_time() {
        assert_eq!(after(at(0), Duration::from_secs(5)), at(5));
        assert_eq!(after(at(0), Duration::MAX), Timestamp::MAX);
    }
}
