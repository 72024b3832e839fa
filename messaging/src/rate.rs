//! How fast messages may be sent: the generic cell rate algorithm (GCRA), in whole nanoseconds.
//!
//! A bucket is one timestamp, the theoretical arrival time: when the whole burst is available again if nothing more
//! passes. In any period `t`, at most `burst + t / interval` messages pass.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

    /// Asks for one message at `now`. `bucket` is from the last [`Pace::Go`]; `None` is an unused bucket.
    pub fn check(self, bucket: Option<Bucket>, now: Timestamp) -> Pace {
        match self.take(bucket, 1, now) {
            Taken { retry_at: Some(at), .. } => Pace::RetryAt(at),
            Taken { bucket, .. } => Pace::Go(bucket),
        }
    }

    /// Asks for `wanted` messages at `now`, and takes as many as may pass, as if each were asked for in turn. `bucket`
    /// is from the last answer; `None` is an unused bucket.
    ///
    /// A clock that is set back cannot block for long: a bucket further ahead than this rate could have filled it
    /// counts as just full.
    pub fn take(self, bucket: Option<Bucket>, wanted: u32, now: Timestamp) -> Taken {
        let (at, interval) = (now.as_nanosecond(), i128::from(self.interval));
        // The latest time that the bucket may reach.
        let brim = at + interval * i128::from(self.burst);
        let arrival = bucket.map_or(at, |bucket| bucket.0.as_nanosecond().clamp(at, brim));
        let room = u32::try_from((brim - arrival) / interval).unwrap_or(u32::MAX);
        let granted = wanted.min(room);
        let filled = arrival + interval * i128::from(granted);
        Taken {
            granted,
            // If nothing is taken, nothing changes, even if the clock is wrong for a moment.
            bucket: bucket.filter(|_| granted == 0).unwrap_or_else(|| Bucket(timestamp(filled))),
            retry_at: (granted < wanted).then(|| timestamp(at + filled + interval - brim)),
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
    /// The bucket from now on; unchanged if nothing was granted.
    pub bucket: Bucket,
    /// Present when fewer were granted than wanted: the earliest time for the next message, which passes then if
    /// nothing else does before.
    pub retry_at: Option<Timestamp>,
}

/// Whether a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It may; this is the bucket from now on.
    Go(Bucket),
    /// Not before this time; it passes then if nothing else does before. The bucket is unchanged.
    RetryAt(Timestamp),
}

#[cfg(test)]
mod tests;
