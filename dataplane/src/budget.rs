//! Limits how often a provider account is asked what became of its messages. These queries are repair, and must not use
//! up the calls that the account needs for sending.
//!
//! Each replica has a budget of its own in memory, so the rate grows with the number of replicas.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;
use messaging::rate::{Bucket, Rate};
use parking_lot::Mutex;

/// Queries to one account: per second in the long run, and at once. Twilio serves hundreds of calls at a time, and does
/// not publish a limit.
const PER_SECOND: u32 = 5;
const AT_ONCE: u32 = 20;

/// One rate for each account.
#[derive(Debug)]
pub struct Budget {
    rate: Rate,
    /// The time between two queries that were turned away, so that they do not come back together.
    spacing: Duration,
    accounts: Mutex<HashMap<String, AccountBudget>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct AccountBudget {
    bucket: Option<Bucket>,
    /// When the last query that was turned away may come back.
    turned_away_until: Option<Timestamp>,
}

/// No query may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// When to try again; a query that is turned away later gets a later time.
    pub again_at: Timestamp,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(PER_SECOND, AT_ONCE)
    }
}

impl Budget {
    pub fn new(per_second: u32, at_once: u32) -> Self {
        Self {
            rate: Rate::per_second(per_second, at_once),
            spacing: Duration::from_secs(1) / per_second.max(1),
            accounts: Mutex::default(),
        }
    }

    /// Takes one query to the account out of the budget.
    pub fn take(&self, account: &str, now: Timestamp) -> Result<(), Exhausted> {
        let mut accounts = self.accounts.lock();
        if !accounts.contains_key(account) {
            // Idle accounts are forgotten when a new one comes, and not with every query.
            accounts.retain(|_, account| account.is_busy(now));
        }
        let state = accounts.entry(account.to_owned()).or_default();
        let taken = self.rate.take(state.bucket, 1, now);
        state.bucket = Some(taken.bucket);
        if taken.is_mended {
            // It comes from the clock that was ahead.
            state.turned_away_until = None;
        }
        let Some(earliest) = taken.retry_at else { return Ok(()) };
        let behind = state.turned_away_until.map(|last| after(last, self.spacing));
        let again_at = behind.map_or(earliest, |behind| behind.max(earliest));
        state.turned_away_until = Some(again_at);
        Err(Exhausted { again_at })
    }
}

impl AccountBudget {
    fn is_busy(&self, now: Timestamp) -> bool {
        self.bucket.is_some_and(|bucket| bucket.empty_at() > now) || self.turned_away_until.is_some_and(|at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let budget = Budget::new(5, 2);
        assert_eq!([budget.take("AC1", at(0)), budget.take("AC1", at(0))], [Ok(()), Ok(())]);
        assert_eq!(budget.take("AC1", at(0)), Err(Exhausted { again_at: at(200) }));
        assert_eq!(budget.take("AC1", at(200)), Ok(()));
    }

    #[test]
    fn one_account_never_spends_the_budget_of_another() {
        let budget = Budget::new(5, 1);
        assert_eq!(budget.take("AC1", at(0)), Ok(()));
        assert!(budget.take("AC1", at(0)).is_err());
        assert_eq!(budget.take("AC2", at(0)), Ok(()));
    }

    #[test]
    fn queries_turned_away_together_come_back_one_by_one_and_are_let_through() {
        let budget = Budget::new(5, 1);
        assert_eq!(budget.take("AC1", at(0)), Ok(()));
        let times: Vec<Timestamp> = (0..50).map(|_| budget.take("AC1", at(0)).unwrap_err().again_at).collect();
        assert_eq!((times[0], times[1], times[49]), (at(200), at(400), at(10_000)));
        assert!(times.iter().all(|&again_at| budget.take("AC1", again_at).is_ok()), "each has its own time");
    }

    #[test]
    fn a_clock_that_was_ahead_holds_up_no_account_once_it_is_right() {
        let budget = Budget::new(5, 1);
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(budget.take("AC1", at(day)), Ok(()));
        assert_eq!(budget.take("AC1", at(day)), Err(Exhausted { again_at: at(day + 200) }));
        assert_eq!(budget.take("AC1", at(0)), Err(Exhausted { again_at: at(200) }));
        assert_eq!(budget.take("AC1", at(200)), Ok(()));
    }

    #[test]
    fn idle_accounts_are_forgotten() {
        let budget = Budget::new(5, 1);
        for n in 0..100 {
            assert_eq!(budget.take(&format!("AC{n}"), at(0)), Ok(()));
        }
        assert_eq!(budget.take("AC-new", at(1000)), Ok(()));
        assert_eq!(budget.accounts.lock().len(), 1);
    }
}
