//! The buckets of rates, which all replicas fill together: read, drawn on by what is claimed, and written back in the
//! transaction that claims.

use std::collections::HashMap;

use jiff::Timestamp;
use messaging::rate::{Bucket, Taken};

use crate::store::StoreError;
use crate::store::database::{Change, Connection, Lookup};
use crate::store::queue::{RateOf, Share};
use crate::store::tables::Record;
use crate::store::tables::rate_buckets::{self, BucketRow};

/// Rates, and how full the bucket of each is.
pub(super) struct Rates<'a> {
    rates: &'a [RateOf],
    /// `None`: nothing was ever taken from it.
    buckets: Vec<Option<Bucket>>,
}

impl<'a> Rates<'a> {
    pub(super) async fn read(connection: &mut dyn Connection, rates: &'a [RateOf]) -> Result<Self, StoreError> {
        if rates.is_empty() {
            return Ok(Self { rates, buckets: Vec::new() });
        }
        let mut keys: Vec<_> = rates.iter().map(|of| BucketRow::key(&of.key())).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = connection.find(vec![Lookup { finder: &rate_buckets::BY_KEY, keys }]).await?;
        let mut known = HashMap::new();
        for row in found.iter().flatten() {
            let (key, BucketRow { empty_at }) = BucketRow::read(row)?;
            known.insert(key, Bucket::from_nanoseconds(empty_at));
        }
        let buckets = rates.iter().map(|of| known.get(&of.key()).copied()).collect();
        Ok(Self { rates, buckets })
    }

    /// How many messages of each share may pass, the earlier shares first. What they find less than that is not given
    /// to later shares: the next claim gives it.
    pub(super) fn grant(&self, shares: &[Share], now: Timestamp) -> Vec<u32> {
        let mut buckets = self.buckets.clone();
        let mut granted = Vec::with_capacity(shares.len());
        for Share { limit, draws_on, .. } in shares {
            let room = draws_on.iter().map(|&index| self.take(&buckets, index, *limit, now).granted);
            let count = room.fold(*limit, u32::min);
            for &index in draws_on {
                buckets[index] = Some(self.take(&buckets, index, count, now).bucket);
            }
            granted.push(count);
        }
        granted
    }

    /// Writes what the shares found, which is not more than they were granted, and the buckets that are mended, also
    /// where nothing was granted. Answers how full the buckets are now.
    pub(super) async fn write(
        self,
        connection: &mut dyn Connection,
        shares: &[Share],
        found: &[usize],
        now: Timestamp,
    ) -> Result<Vec<Option<Bucket>>, StoreError> {
        let mut counts = vec![0_u32; self.rates.len()];
        for (Share { draws_on, .. }, found) in shares.iter().zip(found) {
            for &index in draws_on {
                counts[index] = counts[index].saturating_add(u32::try_from(*found).unwrap_or(u32::MAX));
            }
        }
        let mut buckets = self.buckets.clone();
        let (mut inserts, mut updates) = (Vec::new(), Vec::new());
        for (index, of) in self.rates.iter().enumerate() {
            let Taken { bucket, is_mended, .. } = self.take(&self.buckets, index, counts[index], now);
            if counts[index] == 0 && !is_mended {
                continue;
            }
            let row = BucketRow { empty_at: bucket.as_nanoseconds() }.values(&of.key())?;
            if self.buckets[index].is_some() {
                updates.push(row);
            } else {
                inserts.push(row);
            }
            buckets[index] = Some(bucket);
        }
        let changes: Vec<_> =
            [Change::Insert(&rate_buckets::TABLE, inserts), Change::Update(&rate_buckets::TABLE, updates)]
                .into_iter()
                .filter(|change| match change {
                    Change::Insert(_, rows) | Change::Update(_, rows) => !rows.is_empty(),
                    Change::Delete(..) | Change::Run(..) => true,
                })
                .collect();
        if !changes.is_empty() {
            connection.change(changes).await?;
        }
        Ok(buckets)
    }

    fn take(&self, buckets: &[Option<Bucket>], index: usize, wanted: u32, now: Timestamp) -> Taken {
        self.rates[index].rate.take(buckets[index], wanted, now)
    }
}
