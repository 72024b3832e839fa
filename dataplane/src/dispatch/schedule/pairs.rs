//! How fast one sender may write to one recipient, by the provider's rate for such a pair.
//!
//! The state is in this replica's memory and bounded. Several replicas together may exceed the rate of a pair; the
//! provider then refuses, which is safe to retry.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::clock::after;
use messaging::rate::{Bucket, Rate};

use super::SenderKey;
use crate::store::message::Priority;

/// How many pairs are remembered at most, in some 5 MB. A pair is forgotten when its bucket is empty: 6 seconds after a
/// single message.
const CAPACITY: usize = 64 * 1024;

/// Nobody is told to come back later than this: whoever waits behind that many is turned away once more.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The buckets of all pairs that wrote lately.
#[derive(Debug)]
pub(in crate::dispatch) struct Pairs {
    /// By a keyed hash of sender and recipient, which is smaller than the names and keeps no phone number in memory. If
    /// two pairs collide, which is improbable, both are a little slower.
    pairs: HashMap<u64, Pair>,
    hasher: RandomState,
    capacity: usize,
    /// At this many pairs, those with an empty bucket are forgotten.
    tidy_at: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    bucket: Option<Bucket>,
    /// The provider reported that messages of the pair came too fast; none leaves before this.
    rests_until: Option<Timestamp>,
    /// The latest time at which a deferred message comes back, by priority.
    comes_back: [Option<Timestamp>; Priority::ALL.len()],
}

impl Default for Pairs {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Pairs {
    fn new(capacity: usize) -> Self {
        Self {
            pairs: HashMap::new(),
            hasher: RandomState::new(),
            capacity: capacity.max(1),
            tidy_at: 1024.min(capacity),
        }
    }

    /// Counts one message of the pair, or returns when to try again. Each deferred message gets a later time than the
    /// one before, so that a thousand messages to one recipient do not all come back together. A message does not queue
    /// behind less urgent ones.
    pub(in crate::dispatch) fn take(
        &mut self,
        sender: &SenderKey,
        to: &Address,
        priority: Priority,
        rate: Rate,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let key = self.hasher.hash_one((sender, to.canonical()));
        if !self.pairs.contains_key(&key) {
            self.make_room(now);
        }
        let pair = self.pairs.entry(key).or_default();
        let retry_at = match pair.rests_until(now) {
            Some(until) => until,
            None => {
                let taken = rate.take(pair.bucket, 1, now);
                pair.bucket = Some(taken.bucket);
                if taken.is_mended {
                    // These times come from the clock that was ahead.
                    pair.comes_back = <[_; _]>::default();
                }
                let Some(retry_at) = taken.retry_at else { return Ok(()) };
                retry_at
            }
        };
        let rank = priority as usize;
        let after_others = pair.comes_back[..=rank].iter().flatten().max().map(|at| after(*at, rate.interval()));
        let again_at = after_others.map_or(retry_at, |then| then.min(after(now, LONGEST_WAIT)).max(retry_at));
        pair.comes_back[rank] = Some(again_at);
        Err(again_at)
    }

    /// Lets no message of the pair leave before `until`.
    pub(in crate::dispatch) fn rest(&mut self, sender: &SenderKey, to: &Address, until: Timestamp, now: Timestamp) {
        let key = self.hasher.hash_one((sender, to.canonical()));
        if !self.pairs.contains_key(&key) {
            self.make_room(now);
        }
        let pair = self.pairs.entry(key).or_default();
        pair.rests_until = pair.rests_until.max(Some(until));
    }

    /// Forgets pairs that are not held back; if all are, the quarter that is held back least.
    fn make_room(&mut self, now: Timestamp) {
        if self.pairs.len() < self.tidy_at {
            return;
        }
        self.pairs.retain(|_, pair| pair.held_back_until() > Some(now));
        if self.pairs.len() >= self.capacity {
            // Failure policy: fail open. A pair that is forgotten too early may send one burst too many, which the
            // provider refuses. Holding up every sender would be worse.
            let mut times: Vec<_> = self.pairs.values().map(Pair::held_back_until).collect();
            let quarter = times.len() / 4;
            let (_, least, _) = times.select_nth_unstable(quarter);
            let least = *least;
            self.pairs.retain(|_, pair| pair.held_back_until() > least);
        }
        self.tidy_at = (self.pairs.len() * 2).clamp(1024.min(self.capacity), self.capacity);
    }
}

impl Pair {
    fn held_back_until(&self) -> Option<Timestamp> {
        let bucket = self.bucket.map(Bucket::empty_at);
        self.comes_back.iter().flatten().copied().chain(bucket).chain(self.rests_until).max()
    }

    fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        // A longer rest was begun by a clock that was ahead.
        self.rests_until.filter(|until| *until > now && *until <= after(now, LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use messaging::id::{SenderName, TenantId};

    use super::*;

    fn rate() -> Rate {
        Rate::every(Duration::from_secs(6), 45)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn sender(name: &str) -> SenderKey {
        (TenantId::new("shop").unwrap(), SenderName::new(name).unwrap())
    }

    fn recipient(n: usize) -> Address {
        format!("+4477009{n:05}").parse().unwrap()
    }

    const NEWS: Priority = Priority::Marketing;

    fn used_up(pairs: &mut Pairs) {
        for _ in 0..45 {
            assert_eq!(pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)), Ok(()));
        }
    }

    #[test]
    fn a_recipient_gets_a_burst_and_then_one_message_in_six_seconds_and_no_other_pair_waits() {
        let mut pairs = Pairs::default();
        used_up(&mut pairs);
        assert_eq!(pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)), Err(at(6)));
        assert_eq!(pairs.take(&sender("a"), &recipient(1), NEWS, rate(), at(0)), Ok(()));
        assert_eq!(pairs.take(&sender("b"), &recipient(0), NEWS, rate(), at(0)), Ok(()));
        assert_eq!(pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(6)), Ok(()));
    }

    #[test]
    fn one_subscriber_is_one_pair_in_every_spelling() {
        let mut pairs = Pairs::default();
        let [dialled, reported]: [Address; 2] = ["+5531980000001", "+553180000001"].map(|n| n.parse().unwrap());
        for _ in 0..45 {
            assert_eq!(pairs.take(&sender("a"), &dialled, NEWS, rate(), at(0)), Ok(()));
        }
        assert_eq!(pairs.take(&sender("a"), &reported, NEWS, rate(), at(0)), Err(at(6)));
    }

    #[test]
    fn each_deferred_message_comes_back_at_its_own_time_and_then_passes() {
        let mut pairs = Pairs::default();
        used_up(&mut pairs);
        let deferred: Vec<_> =
            (0..100).map(|_| pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)).unwrap_err()).collect();
        assert_eq!(deferred, (1..=100).map(|n| at(n * 6)).collect::<Vec<_>>());
        for then in deferred {
            assert_eq!(pairs.take(&sender("a"), &recipient(0), NEWS, rate(), then), Ok(()));
        }
    }

    #[test]
    fn a_one_time_password_does_not_come_back_after_the_campaign() {
        let mut pairs = Pairs::default();
        used_up(&mut pairs);
        for _ in 0..50 {
            pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)).unwrap_err();
        }
        let password =
            |pairs: &mut Pairs| pairs.take(&sender("a"), &recipient(0), Priority::Authentication, rate(), at(0));
        assert_eq!(password(&mut pairs), Err(at(6)));
        assert_eq!(password(&mut pairs), Err(at(12)));
        assert_eq!(
            pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)),
            Err(at(51 * 6)),
            "after all before it"
        );
    }

    #[test]
    fn memory_is_bounded_and_the_pairs_held_back_longest_are_remembered() {
        let mut pairs = Pairs::new(1000);
        used_up(&mut pairs);
        for n in 1..20_000 {
            assert_eq!(pairs.take(&sender("a"), &recipient(n), NEWS, rate(), at(0)), Ok(()));
            assert!(pairs.pairs.len() <= 1000);
        }
        assert_eq!(pairs.take(&sender("a"), &recipient(0), NEWS, rate(), at(0)), Err(at(6)));
    }

    #[test]
    fn a_clock_that_was_ahead_holds_up_no_pair_once_it_is_right() {
        let mut pairs = Pairs::default();
        let mut take = |now| pairs.take(&sender("a"), &recipient(0), NEWS, rate(), now);
        let day = 24 * 60 * 60;
        for _ in 0..45 {
            assert_eq!(take(at(day)), Ok(()));
        }
        assert_eq!(take(at(day)), Err(at(day + 6)));
        assert_eq!(take(at(0)), Err(at(6)));
        assert_eq!(take(at(6)), Ok(()));
    }

    #[test]
    fn a_pair_that_is_no_longer_held_back_is_forgotten() {
        let mut pairs = Pairs::default();
        for second in 0..2000 {
            for n in 0..20 {
                let to = recipient(usize::try_from(second).unwrap() * 20 + n);
                assert_eq!(pairs.take(&sender("a"), &to, NEWS, rate(), at(second)), Ok(()));
            }
        }
        assert!(pairs.pairs.len() <= 1024, "{}", pairs.pairs.len());
    }

    #[test]
    fn a_pair_that_the_provider_holds_back_rests_and_no_other_does() {
        let mut pairs = Pairs::default();
        let support = sender("support");
        pairs.rest(&support, &recipient(1), at(60), at(0));
        assert_eq!(pairs.take(&support, &recipient(1), Priority::Authentication, rate(), at(1)), Err(at(60)));
        assert_eq!(pairs.take(&support, &recipient(2), Priority::Utility, rate(), at(1)), Ok(()));
        assert_eq!(pairs.take(&sender("sales"), &recipient(1), Priority::Utility, rate(), at(1)), Ok(()));
        assert_eq!(pairs.take(&support, &recipient(1), Priority::Utility, rate(), at(70)), Ok(()));
    }
}
