//! How long to wait before another try of an object. The delay grows, is jittered, and starts anew after a success or a
//! change of the spec. A process that starts goes on where the object's status shows that the one before was.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The delay before try number `attempt` (counted from 1): doubled each time up to five minutes, then reduced
/// by up to half, so that objects which failed together are not tried again together. `random` is in 0..=1.
pub fn delay(attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// How many tries failed for so long, about.
fn attempts_within(lasting: Duration) -> u32 {
    let firsts = lasting.as_secs() / FIRST.as_secs();
    (firsts + 1).ilog2()
}

/// An interval, give or take a tenth. `random` is in 0..=1.
pub fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0))
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    generation: i64,
    attempts: u32,
    since: Instant,
}

/// How an object fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How often in a row at this generation.
    pub attempts: u32,
    /// For how long.
    pub lasting: Duration,
}

/// How often each object failed in a row, by uid.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<String, Failing>>);

impl Attempts {
    /// Counts a failure. `shown_for` is for how long the status has shown it, for an object of which this process has
    /// seen none.
    pub fn failed(&self, uid: &str, generation: i64, now: Instant, shown_for: Duration) -> Failures {
        let mut objects = self.0.lock();
        let anew = Failing { generation, attempts: 0, since: now };
        let since = now.checked_sub(shown_for).unwrap_or(now);
        let known = Failing { generation, attempts: attempts_within(shown_for), since };
        let failing = objects.entry(uid.to_owned()).or_insert(known);
        if failing.generation != generation {
            // The spec changed, so the old failures say nothing about it.
            *failing = anew;
        }
        failing.attempts = failing.attempts.saturating_add(1);
        Failures { attempts: failing.attempts, lasting: now.saturating_duration_since(failing.since) }
    }

    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_are_spread() {
        assert_eq!(delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(u32::MAX, 1.0), LONGEST);
        assert_eq!(jittered(Duration::from_secs(100), 0.5), Duration::from_secs(100));
        assert_eq!(jittered(Duration::from_secs(100), 0.0), Duration::from_secs(90));
    }

    #[test]
    fn a_changed_spec_or_a_success_starts_anew() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let later = start + Duration::from_secs(90);
        let failed = |uid, generation, now| {
            let Failures { attempts, lasting } = attempts.failed(uid, generation, now, Duration::ZERO);
            (attempts, lasting.as_secs())
        };
        assert_eq!([failed("a", 1, start), failed("a", 1, later), failed("b", 1, later)], [(1, 0), (2, 90), (1, 0)]);
        assert_eq!(failed("a", 2, later), (1, 0));
        attempts.forget("b");
        assert_eq!(failed("b", 1, later), (1, 0));
    }

    #[test]
    fn another_process_goes_on_with_the_delays_that_an_object_has_earned() {
        let of = |shown_for: u64| {
            let now = Instant::now();
            let failed = Attempts::default().failed("a", 1, now, Duration::from_secs(shown_for));
            assert!(failed.lasting.as_secs() == shown_for || failed.lasting.is_zero(), "{failed:?}");
            delay(failed.attempts, 1.0).as_secs()
        };
        assert_eq!([0, 1, 3, 7, 63, 600, 86_400].map(of), [1, 2, 4, 8, 64, 300, 300]);
        let (attempts, now) = (Attempts::default(), Instant::now());
        attempts.failed("a", 1, now, Duration::ZERO);
        let second = attempts.failed("a", 1, now, Duration::from_secs(600));
        assert_eq!(second, Failures { attempts: 2, lasting: Duration::ZERO }, "what this process saw itself counts");
    }
}
