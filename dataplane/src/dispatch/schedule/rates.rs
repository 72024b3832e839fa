//! The rates that a sender's messages count against: its own, and that of its provider account.
//!
//! The buckets are this replica's own and in memory: after a restart they are empty, and two replicas together may
//! reach twice a rate; the provider's own limit then answers with a 429, which is safe to retry.

use std::collections::HashMap;

use jiff::Timestamp;
use messaging::config::SenderConfig;
use messaging::id::{SenderName, TenantId};
use messaging::rate::{Bucket, Rate};

/// A rate, and which bucket it fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dispatch) struct RateOf {
    pub(in crate::dispatch) tenant: TenantId,
    /// Such as `sender/support` or `account/AC…`, unique within the tenant.
    pub(in crate::dispatch) bucket: String,
    pub(in crate::dispatch) rate: Rate,
}

impl RateOf {
    /// Every rate that the sender's messages count against.
    pub(in crate::dispatch) fn all(tenant: &TenantId, sender: &SenderName, config: &SenderConfig) -> [Self; 2] {
        let of = |bucket, rate| Self { tenant: tenant.clone(), bucket, rate };
        [
            of(format!("account/{}", config.provider.account_key()), Rate::of_account(&config.provider)),
            of(format!("sender/{sender}"), Rate::from(&config.limits)),
        ]
    }

    /// Names the bucket among all tenants'.
    pub(in crate::dispatch) fn key(&self) -> (TenantId, String) {
        (self.tenant.clone(), self.bucket.clone())
    }
}

/// How full each bucket is.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Buckets(HashMap<(TenantId, String), Bucket>);

impl Buckets {
    /// How many messages, of so many, may pass now; if none, when the next may. Takes nothing.
    pub(in crate::dispatch) fn room(&self, of: &RateOf, wanted: u32, now: Timestamp) -> Result<u32, Timestamp> {
        let taken = of.rate.take(self.0.get(&of.key()).copied(), wanted, now);
        match (taken.granted, taken.retry_at) {
            (0, Some(at)) => Err(at),
            (granted, _) => Ok(granted),
        }
    }

    /// So many messages pass.
    pub(in crate::dispatch) fn take(&mut self, of: &RateOf, count: u32, now: Timestamp) {
        let bucket = of.rate.take(self.0.get(&of.key()).copied(), count, now).bucket;
        self.0.insert(of.key(), bucket);
    }

    /// Forgets the buckets that are the same as none.
    pub(in crate::dispatch) fn tidy(&mut self, now: Timestamp) {
        self.0.retain(|_, bucket| bucket.empty_at() > now);
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
        buckets.take(&of, 3, at(0));
        assert_eq!(buckets.room(&of, 99, at(0)), Err(at(100)));
        assert_eq!(buckets.room(&of, 99, at(100)), Ok(1));
        buckets.tidy(at(299));
        assert_eq!(buckets.room(&of, 99, at(299)), Ok(2));
        buckets.tidy(at(300));
        assert!(buckets.0.is_empty());
    }
}
