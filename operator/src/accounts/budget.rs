//! How often one account may be called: a rate with a burst (GCRA), and the provider's own `Retry-After`. Pure: time
//! is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Calls per second to one account: far below what providers allow, and far above what an account at rest needs.
const PER_SECOND: u32 = 20;
/// Calls that may leave at once after an idle period.
const BURST: u32 = 40;

/// The budget of one account.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// When the budget will be whole again; absent while it is whole.
    whole_at: Option<Instant>,
    /// The end of the pause that the provider's `Retry-After` asked for.
    closed_until: Option<Instant>,
    /// Nothing is counted, for tests that are about something else.
    #[cfg(test)]
    pub(crate) is_unlimited: bool,
}

impl Budget {
    /// Takes one call, and returns how long it must wait. When that is longer than `patience`, nothing is taken, and
    /// the error says how long to wait before the next try.
    pub fn take(&mut self, now: Instant, patience: Duration) -> Result<Duration, Duration> {
        #[cfg(test)]
        if self.is_unlimited {
            return Ok(Duration::ZERO);
        }
        let interval = Duration::from_secs(1) / PER_SECOND;
        let whole_at = self.whole_at.map_or(now, |whole_at| whole_at.max(now));
        // The call may leave once the debt is at most the burst.
        let by_rate = (whole_at + interval).saturating_duration_since(now + interval * BURST);
        let by_provider = self.closed_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let wait = by_rate.max(by_provider);
        if wait > patience {
            return Err(wait);
        }
        self.whole_at = Some(whole_at + interval);
        Ok(wait)
    }

    /// Takes calls that were made already.
    pub fn charge(&mut self, now: Instant, calls: u32) {
        let whole_at = self.whole_at.map_or(now, |whole_at| whole_at.max(now));
        self.whole_at = Some(whole_at + Duration::from_secs(1) / PER_SECOND * calls);
    }

    /// The provider asked for a pause.
    pub fn close(&mut self, now: Instant, pause: Duration) {
        self.closed_until = self.closed_until.max(Some(now + pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_AT_ALL: Duration = Duration::ZERO;

    #[test]
    fn a_burst_leaves_at_once_and_then_the_rate_holds() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let at_once = (0..1000).take_while(|_| budget.take(now, NOT_AT_ALL).is_ok()).count();
        assert_eq!(at_once, BURST as usize);
        let later = now + Duration::from_secs(1);
        let then = (0..1000).take_while(|_| budget.take(later, NOT_AT_ALL).is_ok()).count();
        assert_eq!(then, PER_SECOND as usize);
    }

    #[test]
    fn a_refused_call_takes_nothing_and_learns_when_to_try_again() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        while budget.take(now, NOT_AT_ALL).is_ok() {}
        let wait = budget.take(now, NOT_AT_ALL).unwrap_err();
        assert_eq!(budget.take(now, NOT_AT_ALL), Err(wait));
        assert_eq!(budget.take(now, Duration::from_secs(5)), Ok(wait));
    }

    #[test]
    fn a_list_of_many_pages_delays_what_follows_as_that_many_calls() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        budget.take(now, NOT_AT_ALL).unwrap();
        budget.charge(now, BURST + 18);
        assert_eq!(budget.take(now, NOT_AT_ALL), Err(Duration::from_secs(1)));
        assert_eq!(budget.take(now + Duration::from_secs(1), NOT_AT_ALL), Ok(Duration::ZERO));
    }

    #[test]
    fn the_longest_pause_that_the_provider_asked_for_holds() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        budget.close(now, Duration::from_secs(30));
        budget.close(now, Duration::from_secs(10));
        assert_eq!(budget.take(now, Duration::from_secs(5)), Err(Duration::from_secs(30)));
        assert_eq!(budget.take(now + Duration::from_secs(30), NOT_AT_ALL), Ok(Duration::ZERO));
    }
}
