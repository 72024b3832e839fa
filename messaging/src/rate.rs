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
    /// So many messages a second. 0 counts as 1: what may send nothing is paused, not slow.
    pub fn per_second(messages: u32, burst: u32) -> Self {
        // Rounded up, so that the rate is never exceeded.
        Self { interval: 1_000_000_000_u64.div_ceil(u64::from(messages.max(1))), burst: burst.max(1) }
    }

    /// One message in each interval.
    pub fn every(interval: Duration, burst: u32) -> Self {
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1), burst: burst.max(1) }
    }

    /// The time from one message to the next in the long run.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Asks for one message at `now`. `bucket` is what the last [`Pace::Go`] gave; `None` is a bucket never used.
    pub fn check(self, bucket: Option<Bucket>, now: Timestamp) -> Pace {
        match self.take(bucket, 1, now) {
            Taken { retry_at: Some(at), .. } => Pace::RetryAt(at),
            Taken { bucket, .. } => Pace::Go(bucket),
        }
    }

    /// Asks for `wanted` messages at `now`, and takes as many of them as may pass: the same as asking for one so often,
    /// in one step. `bucket` is what the last answer gave; `None` is a bucket never used.
    ///
    /// A clock that is set back can't block for long: a bucket that lies further ahead than this rate could have
    /// filled it counts as just full.
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
            // Nothing taken, nothing changed: also not by a clock that is wrong for a moment.
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

/// How full a rate's bucket is. Once its time has passed it is the same as none, and need not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(Timestamp);

impl Bucket {
    /// From when on it is the same as one never used.
    pub fn empty_at(self) -> Timestamp {
        self.0
    }

    /// As an integer, for a store: nanoseconds since 1970. What lies beyond the year 2262 counts as lying there.
    pub fn as_nanoseconds(self) -> i64 {
        let nanoseconds = self.0.as_nanosecond();
        i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
    }

    /// What [`Bucket::as_nanoseconds`] gave.
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(timestamp(i128::from(nanoseconds)))
    }
}

/// What [`Rate::take`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many messages may pass now, and count as passed.
    pub granted: u32,
    /// The bucket from now on; as it was if nothing was granted.
    pub bucket: Bucket,
    /// When fewer were granted than wanted: not before this may another pass, and then surely if nothing else passes
    /// until then.
    pub retry_at: Option<Timestamp>,
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
mod tests;
