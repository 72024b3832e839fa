//! How fast messages may be sent: the generic cell rate algorithm (GCRA), in whole nanoseconds.
//!
//! A bucket is one timestamp, the theoretical arrival time: when the whole burst is available again if nothing more
//! passes. In any period `t`, at most `burst + t / interval` messages pass.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::TOLERATED_SKEW;
use crate::config::Limits;

/// A rate with its burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between two messages in the long run; at least 1.
    interval: u64,
    /// Messages that may pass at once after a quiet period; at least 1.
    burst: u32,
}

impl Rate {
    /// This many messages a second. 0 counts as 1: a sender that may send nothing is paused, not slow.
    pub fn per_second(messages: u32, burst: u32) -> Self {
        // Rounded up, so that the rate is never exceeded.
        Self { interval: 1_000_000_000_u64.div_ceil(u64::from(messages.max(1))), burst: burst.max(1) }
    }

    /// One message in each interval.
    pub fn every(interval: Duration, burst: u32) -> Self {
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1), burst: burst.max(1) }
    }

    /// The time between two messages in the long run.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Asks for `wanted` messages at `now`, and takes as many as may pass, as if each were asked for in turn. `bucket`
    /// is from the last answer, also from one that granted nothing; `None` is an unused bucket.
    ///
    /// A bucket further ahead than this rate could have filled it was filled by a clock that was ahead. It counts as
    /// just full from `now` on, so that a clock that is set back blocks for no longer than a burst takes. A bucket that
    /// is too far ahead by at most [`TOLERATED_SKEW`] may come from another replica and stays as it is: otherwise the
    /// replica that is behind would take back what the other has counted.
    pub fn take(self, bucket: Option<Bucket>, wanted: u32, now: Timestamp) -> Taken {
        let (at, interval) = (now.as_nanosecond(), i128::from(self.interval));
        let capacity = interval * i128::from(self.burst);
        let skew = i128::try_from(TOLERATED_SKEW.as_nanos()).unwrap_or(i128::MAX);
        // The latest time that the bucket may reach.
        let brim = at + capacity;
        let mended = bucket.filter(|bucket| bucket.0.as_nanosecond() > brim + skew).map(|_| Bucket(timestamp(brim)));
        let known = mended.or(bucket);
        let arrival = known.map_or(at, |bucket| bucket.0.as_nanosecond().max(at));
        let room = u32::try_from((brim - arrival).max(0) / interval).unwrap_or(u32::MAX);
        let granted = wanted.min(room);
        let filled = arrival + interval * i128::from(granted);
        Taken {
            granted,
            // If nothing is taken, nothing changes, even if the clock is ahead for a moment.
            bucket: known.filter(|_| granted == 0).unwrap_or_else(|| Bucket(timestamp(filled))),
            is_mended: mended.is_some(),
            retry_at: (granted < wanted).then(|| timestamp(filled + interval - capacity)),
        }
    }
}

impl From<&Limits> for Rate {
    fn from(limits: &Limits) -> Self {
        match limits.interval_millis {
            Some(millis) => Self::every(Duration::from_millis(millis), limits.burst),
            None => Self::per_second(limits.messages_per_second, limits.burst),
        }
    }
}

fn timestamp(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::MAX)
}

/// How full a rate's bucket is. Once its time has passed it equals an unused bucket, and need not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(Timestamp);

impl Bucket {
    /// When it equals an unused bucket.
    pub fn empty_at(self) -> Timestamp {
        self.0
    }

    /// As an integer, for a store: nanoseconds since 1970. Times after the year 2262 are clamped.
    pub fn as_nanoseconds(self) -> i64 {
        let nanoseconds = self.0.as_nanosecond();
        i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
    }

    /// The inverse of [`Bucket::as_nanoseconds`].
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(timestamp(i128::from(nanoseconds)))
    }
}

/// The answer of [`Rate::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many messages may pass now. They count as passed.
    pub granted: u32,
    /// The bucket from now on; unchanged if nothing was granted and it is not mended.
    pub bucket: Bucket,
    /// Whether the bucket was filled by a clock that was ahead. Its new value must be kept even if nothing was granted:
    /// the old one would count as just full at every look.
    pub is_mended: bool,
    /// Present when fewer were granted than wanted: the earliest time for the next message, which passes then if
    /// nothing else does before.
    pub retry_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
