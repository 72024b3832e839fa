//! The rates that a sender's messages count against: its own, and that of its provider account.
//!
//! The buckets are in the store, where all replicas share them, and a claim gets no more than they let pass. This
//! module remembers what the last claim found, so that no more is asked for than could pass.

use std::collections::HashMap;

use jiff::Timestamp;
use messaging::id::TenantId;
use messaging::rate::{Bucket, Rate};

use crate::config::Sender;
use crate::store::queue::RateOf;

/// Every rate that the sender's messages count against.
pub(in crate::dispatch) fn all(tenant: &TenantId, sender: &Sender<'_>) -> [RateOf; 2] {
    let Sender { name, config, provider, .. } = sender;
    [
        RateOf::of_account(&config.provider, provider.limits().account),
        RateOf::of_sender(tenant, name, Rate::from(&config.limits)),
    ]
}

/// How full each bucket was when it was last claimed from, and the rate that it was claimed by.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Buckets(HashMap<(TenantId, String), (Rate, Bucket)>);

impl Buckets {
    /// How many of the wanted messages may pass now; if none, when the next may. Takes nothing.
    pub(in crate::dispatch) fn room(&self, of: &RateOf, wanted: u32, now: Timestamp) -> Result<u32, Timestamp> {
        let taken = of.rate.take(self.0.get(&of.key()).map(|(_, bucket)| *bucket), wanted, now);
        match (taken.granted, taken.retry_at) {
            (0, Some(at)) => Err(at),
            (granted, _) => Ok(granted),
        }
    }

    /// Remembers a bucket as a claim left it.
    pub(in crate::dispatch) fn learn(&mut self, of: &RateOf, bucket: Option<Bucket>) {
        match bucket {
            Some(bucket) => drop(self.0.insert(of.key(), (of.rate, bucket))),
            None => drop(self.0.remove(&of.key())),
        }
    }

    /// Forgets empty buckets, which are the same as none, and mends buckets that a clock filled that was ahead. The
    /// next claim mends the store's.
    pub(in crate::dispatch) fn tidy(&mut self, now: Timestamp) {
        self.0.retain(|_, (rate, bucket)| {
            *bucket = rate.take(Some(*bucket), 0, now).bucket;
            bucket.empty_at() > now
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_says_when() {
        let mut buckets = Buckets::default();
        let rate = Rate::per_second(10, 3);
        let of = RateOf { tenant: TenantId::new("shop").unwrap(), bucket: "sender/support".into(), rate };
        for _ in 0..2 {
            assert_eq!(buckets.room(&of, 99, at(0)), Ok(3), "asking takes nothing");
        }
        buckets.learn(&of, Some(of.rate.take(None, 3, at(0)).bucket));
        assert_eq!(buckets.room(&of, 99, at(0)), Err(at(100)));
        assert_eq!(buckets.room(&of, 99, at(100)), Ok(1));
        buckets.tidy(at(299));
        assert_eq!(buckets.room(&of, 99, at(299)), Ok(2));
        buckets.tidy(at(300));
        assert!(buckets.0.is_empty());
    }

    #[test]
    fn a_bucket_that_a_clock_filled_that_was_ahead_has_room_again_when_a_full_one_would() {
        let mut buckets = Buckets::default();
        let of = RateOf {
            tenant: TenantId::new("shop").unwrap(),
            bucket: "sender/support".into(),
            rate: Rate::per_second(10, 3),
        };
        buckets.learn(&of, Some(of.rate.take(None, 3, at(180_000)).bucket));
        buckets.tidy(at(0));
        assert_eq!(buckets.room(&of, 99, at(0)), Err(at(100)));
        buckets.tidy(at(100));
        assert_eq!(buckets.room(&of, 99, at(100)), Ok(1));
    }
}
