//! When to retry the delivery of an event to a tenant's application.
//!
//! The schedule is the one that Standard Webhooks suggests: a little over three days in all.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// The pause before each attempt, including the first, in seconds.
const SCHEDULE: [u64; 10] =
    [0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// No pause is longer: twice the longest of the schedule, for a receiver that asks for more.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 24 * HOUR);

/// Attempts before an event becomes a dead letter.
pub const MAX_ATTEMPTS: usize = SCHEDULE.len();

/// When to try next after `failed_attempts`; `None` when every attempt is used up.
///
/// `jitter` is random, at least 0 and below 1; it moves a pause by up to a fifth either way. A longer `Retry-After` is
/// honoured up to twice the schedule's pause, so that a receiver cannot park an event forever.
pub fn next_attempt_at(
    failed_attempts: u32,
    retry_after: Option<Duration>,
    jitter: f64,
    now: Timestamp,
) -> Option<Timestamp> {
    let base = Duration::from_secs(*SCHEDULE.get(usize::try_from(failed_attempts).ok()?)?);
    let spread = base.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    let asked = retry_after.unwrap_or(Duration::ZERO).min(base * 2);
    Some(after(now, spread.max(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::at;

    #[test]
    fn an_event_is_tried_ten_times_over_three_days() {
        let mut now = at(0);
        for failed in 0..10 {
            now = next_attempt_at(failed, None, 0.5, now).expect("not given up yet");
        }
        assert_eq!(now, at(5 + 300 + 1800 + (2 + 5 + 10 + 14 + 20 + 24) * 3600));
        assert_eq!(next_attempt_at(10, None, 0.5, now), None);
        assert_eq!(next_attempt_at(u32::MAX, None, 0.5, now), None);
    }

    #[test]
    fn jitter_moves_a_pause_by_a_fifth_either_way() {
        assert_eq!(next_attempt_at(1, None, 0.0, at(0)), Some(at(4)));
        assert_eq!(next_attempt_at(2, None, 0.0, at(0)), Some(at(240)));
        assert_eq!(next_attempt_at(2, None, 1.0, at(0)), Some(at(360)));
    }

    #[test]
    fn retry_after_is_honoured_up_to_twice_the_pause() {
        let asked = |seconds| next_attempt_at(2, Some(Duration::from_secs(seconds)), 0.5, at(0));
        assert_eq!(asked(1), Some(at(300)));
        assert_eq!(asked(400), Some(at(400)));
        assert_eq!(asked(86_400), Some(at(600)));
        for failed in 0..10 {
            let next = next_attempt_at(failed, Some(Duration::MAX), 1.0, at(0));
            assert!(next <= Some(after(at(0), LONGEST_PAUSE)), "{next:?}");
        }
    }
}
