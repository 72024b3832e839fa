//! How long to wait before another try of an object. The delay grows, is jittered, and starts anew after a success or a
//! change of the spec.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The delay before try number `attempt` (counted from 1): doubled each time up to five minutes, then reduced
/// by up to half, so that objects which failed together are not tried again together. `random` is in 0..=1.
pub fn delay(attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// An interval, give or take a tenth. `random` is in 0..=1.
pub fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0))
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    generation: i64,
    attempts: u32,
}

/// How often each object failed in a row, by uid.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<String, Failing>>);

impl Attempts {
    /// Counts a failure, and returns how many there were in a row at this generation.
    pub fn failed(&self, uid: &str, generation: i64) -> u32 {
        let mut objects = self.0.lock();
        let failing = objects.entry(uid.to_owned()).or_insert(Failing { generation, attempts: 0 });
        if failing.generation != generation {
            // The spec changed, so the old failures say nothing about it.
            *failing = Failing { generation, attempts: 0 };
        }
        failing.attempts = failing.attempts.saturating_add(1);
        failing.attempts
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
        let attempts = Attempts::default();
        assert_eq!([attempts.failed("a", 1), attempts.failed("a", 1), attempts.failed("b", 1)], [1, 2, 1]);
        assert_eq!(attempts.failed("a", 2), 1);
        attempts.forget("b");
        assert_eq!(attempts.failed("b", 1), 1);
    }
}
