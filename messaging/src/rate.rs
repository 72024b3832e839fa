//! How fast messages may go: the generic cell rate algorithm (GCRA), in whole nanoseconds.
//!
//! A bucket is one timestamp, the theoretical arrival time: when the bucket would be full again if nothing more came.
//! In any stretch of time `t` at most `burst + t / interval` messages pass.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Limits;

/// A rate with its burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between two messages in the long run; at least 1.
    interval: u64,
    /// Messages that may pass at once after a quiet time; at least 1.
    burst: u32,
}

impl Rate {
    /// To one recipient: one message in 6 seconds, 45 at once (Meta error 131056). Twilio tells of it as 63018.
    pub const PAIR: Self = Self { interval: 6_000_000_000, burst: 45 };

    /// So many messages a second. 0 counts as 1: what may send nothing is paused, not slow.
    pub fn per_second(messages: u32, burst: u32) -> Self {
        // Rounded up, so that the rate is never exceeded.
        Self { interval: 1_000_000_000_u64.div_ceil(u64::from(messages.max(1))), burst: burst.max(1) }
    }

    /// One message in each interval.
    pub fn every(interval: Duration, burst: u32) -> Self {
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1), burst: burst.max(1) }
    }

    /// Asks for one message at `now`. `bucket` is what the last [`Pace::Go`] gave; `None` is a bucket never used.
    ///
    /// A clock that is set back can't block for long: a bucket that lies further ahead than this rate could have
    /// filled it counts as just full.
    pub fn check(self, bucket: Option<Bucket>, now: Timestamp) -> Pace {
        let (now, interval) = (now.as_nanosecond(), i128::from(self.interval));
        let capacity = interval * i128::from(self.burst);
        let arrival = bucket.map_or(now, |bucket| bucket.0.as_nanosecond().clamp(now, now + capacity));
        let filled = arrival + interval;
        if filled - now <= capacity {
            Pace::Go(Bucket(timestamp(filled)))
        } else {
            Pace::RetryAt(timestamp(filled - capacity))
        }
    }
}

impl From<&Limits> for Rate {
    fn from(limits: &Limits) -> Self {
        Self::per_second(limits.messages_per_second, limits.burst)
    }
}

fn timestamp(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::MAX)
}

/// How full a rate's bucket is. Once its time has passed it is the same as none, and need not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(Timestamp);

impl Bucket {
    /// From when on it is the same as one never used.
    pub fn empty_at(self) -> Timestamp {
        self.0
    }
}

/// Whether a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It may; the bucket is this from now on.
    Go(Bucket),
    /// Not before this, and then surely if nothing else passes until then. The bucket stays as it was.
    RetryAt(Timestamp),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::after;
    use crate::clock::tests::at;

    /// Everything that passes of requests at these times, in nanoseconds.
    fn passing(rate: Rate, times: &[u64]) -> Vec<u64> {
        let mut bucket = None;
        let mut passed = Vec::new();
        for &time in times {
            match rate.check(bucket, after(at(0), Duration::from_nanos(time))) {
                Pace::Go(next) => {
                    bucket = Some(next);
                    passed.push(time);
                }
                Pace::RetryAt(_) => {}
            }
        }
        passed
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_each_interval() {
        let rate = Rate::per_second(10, 3);
        let ms = |ms: u64| ms * 1_000_000;
        assert_eq!(passing(rate, &[0, 0, 0, 0, ms(99), ms(100), ms(101), ms(200)]), [0, 0, 0, ms(100), ms(200)]);
    }

    #[test]
    fn a_refusal_says_when_it_will_pass() {
        let pair = Rate::PAIR;
        let mut bucket = None;
        for _ in 0..45 {
            let Pace::Go(next) = pair.check(bucket, at(0)) else { panic!("within the burst") };
            bucket = Some(next);
        }
        assert_eq!(pair.check(bucket, at(0)), Pace::RetryAt(at(6)));
        assert!(matches!(pair.check(bucket, at(6)), Pace::Go(_)));
        assert_eq!(bucket.expect("used").empty_at(), at(45 * 6));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_block_for_longer_than_the_burst_takes() {
        let rate = Rate::every(Duration::from_secs(6), 2);
        let Pace::Go(bucket) = rate.check(None, at(86_400)) else { panic!("the first passes") };
        assert_eq!(rate.check(Some(bucket), at(0)), Pace::RetryAt(at(6)));
    }

    #[test]
    fn no_setting_breaks_the_arithmetic() {
        for rate in [Rate::per_second(0, 0), Rate::per_second(u32::MAX, u32::MAX), Rate::every(Duration::MAX, u32::MAX)]
        {
            for now in [Timestamp::MIN, at(0), Timestamp::MAX] {
                assert!(matches!(rate.check(None, now), Pace::Go(_)));
                rate.check(Some(Bucket(Timestamp::MAX)), now);
                rate.check(Some(Bucket(Timestamp::MIN)), now);
            }
        }
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
            per_second in 1u32..2000,
            burst in 1u32..20,
            gaps in prop::collection::vec(0u64..20_000_000, 1..200),
        ) {
            let rate = Rate::per_second(per_second, burst);
            let times: Vec<u64> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
            let passed = passing(rate, &times);
            for (first, start) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let count = (last - first + 1) as u64;
                    prop_assert!(count <= u64::from(burst) + (end - start) / rate.interval);
                }
            }
        }

        #[test]
        fn what_is_refused_passes_at_the_time_that_it_was_told_and_no_earlier(
            per_second in 1u32..2000,
            burst in 1u32..20,
            gaps in prop::collection::vec(0u64..5_000_000, 1..100),
        ) {
            let rate = Rate::per_second(per_second, burst);
            let (mut now, mut bucket) = (at(0), None);
            for gap in gaps {
                now = after(now, Duration::from_nanos(gap));
                match rate.check(bucket, now) {
                    Pace::Go(next) => {
                        prop_assert!(Some(next) > bucket && next.empty_at() > now);
                        bucket = Some(next);
                    }
                    Pace::RetryAt(then) => {
                        prop_assert!(then > now);
                        prop_assert!(matches!(rate.check(bucket, then), Pace::Go(_)));
                        let before = then.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
                        prop_assert!(matches!(rate.check(bucket, before), Pace::RetryAt(_)));
                    }
                }
            }
        }
    }
}
