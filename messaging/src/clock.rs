//! Where the time comes from: an argument, never a call.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How much the clocks of replicas may differ. A time service keeps them closer, and a wait of this length goes
/// unnoticed.
pub const TOLERATED_SKEW: Duration = Duration::from_secs(2);

/// A source of the current time. The binaries pass the system's clock; tests pass one that they drive.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The time that is `pause` after `at`, and the end of time where there is none.
pub fn after(at: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| at.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}

/// The time that is `pause` before `at`, and the beginning of time where there is none.
pub fn before(at: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| at.checked_sub(pause).ok()).unwrap_or(Timestamp::MIN)
}

/// Whether a time is further ahead than the longest pause that anybody sets: a clock that was ahead has set it.
pub fn is_overlong(at: Timestamp, longest: Duration, now: Timestamp) -> bool {
    at > after(after(now, longest), TOLERATED_SKEW)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A time in tests, in seconds after a fixed day.
    pub(crate) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
    }

    #[test]
    fn a_pause_beyond_the_calendar_ends_where_the_calendar_does() {
        assert_eq!(after(at(0), Duration::from_secs(5)), at(5));
        assert_eq!(after(at(0), Duration::MAX), Timestamp::MAX);
        assert_eq!(before(at(5), Duration::from_secs(5)), at(0));
        assert_eq!(before(at(0), Duration::MAX), Timestamp::MIN);
    }

    #[test]
    fn a_time_is_overlong_beyond_its_longest_pause_and_what_clocks_may_differ_by() {
        let longest = Duration::from_secs(60);
        assert!(!is_overlong(at(62), longest, at(0)) && is_overlong(at(63), longest, at(0)));
        assert!(!is_overlong(Timestamp::MAX, Duration::MAX, at(0)));
    }
}
