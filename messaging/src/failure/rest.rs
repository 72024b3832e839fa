//! How long a sender rests from starting conversations after the provider's limit on them was met, how it begins again,
//! and how long a template rests that the provider does not take.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// The first rest. It doubles each time the limit is met soon after a rest.
const FIRST: Duration = Duration::from_secs(60);
/// The longest rest: what the end of a limit that lasts a day goes unnoticed.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The longest rest of a template, which ends sooner when the config shows it approved again. Without that it is tried
/// again after this time: a message is lost for each try.
pub const LONGEST_OF_TEMPLATE: Duration = Duration::from_secs(60 * 60);
/// After a rest one conversation is started in a first step of this length, two in the second, and so on: a status
/// needs some seconds to tell whether the limit still holds.
const STEP: Duration = Duration::from_secs(10);
/// After so many steps conversations are started freely again.
const STEPS: u32 = 10;
/// For how long after a rest the conversations that are started count.
pub const RESTART: Duration = STEP.saturating_mul(STEPS);

/// A rest from starting conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// The rest that follows a report that the limit was met. What was under way when a rest began is reported while it
/// lasts, and does not lengthen it.
pub fn next_rest(last: Option<Rest>, reported_at: Timestamp) -> Rest {
    // A longer rest was begun by a clock that was ahead.
    let last = last.filter(|last| last.until <= after(reported_at, LONGEST) && last.since <= last.until);
    let Some(last) = last else { return Rest { since: reported_at, until: after(reported_at, FIRST) } };
    if reported_at < last.until {
        return last;
    }
    let length = last.until.duration_since(last.since).try_into().unwrap_or(FIRST);
    let is_soon = reported_at <= after(last.until, length.saturating_mul(2));
    let length = if is_soon { length.saturating_mul(2).clamp(FIRST, LONGEST) } else { FIRST };
    Rest { since: reported_at, until: after(reported_at, length) }
}

/// Whether another conversation may be started after a rest that ended at `ended_at`, or when to ask again. `started`
/// counts those that were started since.
pub fn may_start(ended_at: Timestamp, started: u32, now: Timestamp) -> Result<(), Timestamp> {
    let since: Duration = now.duration_since(ended_at).try_into().unwrap_or_default();
    let step = u32::try_from(since.as_secs() / STEP.as_secs()).unwrap_or(u32::MAX);
    if step >= STEPS || started < (2 << step) - 1 {
        return Ok(());
    }
    Err(after(ended_at, STEP.saturating_mul(step + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::at;

    fn rest(since: i64, until: i64) -> Rest {
        Rest { since: at(since), until: at(until) }
    }

    #[test]
    fn a_limit_that_is_met_again_soon_makes_for_a_longer_rest_and_what_was_under_way_does_not() {
        assert_eq!(next_rest(None, at(0)), rest(0, 60));
        assert_eq!(next_rest(Some(rest(0, 60)), at(59)), rest(0, 60), "it was under way");
        assert_eq!(next_rest(Some(rest(0, 60)), at(60)), rest(60, 180));
        assert_eq!(next_rest(Some(rest(0, 60)), at(181)), rest(181, 241), "not soon");
        assert_eq!(next_rest(Some(rest(0, 3600)), at(3700)), rest(3700, 7300), "an hour is the longest");
    }

    #[test]
    fn after_a_rest_conversations_begin_slowly_and_twice_as_fast_with_each_step() {
        assert_eq!((may_start(at(0), 0, at(0)), may_start(at(0), 1, at(9))), (Ok(()), Err(at(10))));
        assert_eq!((may_start(at(0), 2, at(10)), may_start(at(0), 3, at(19))), (Ok(()), Err(at(20))));
        assert_eq!(may_start(at(0), 1022, at(99)), Ok(()));
        assert_eq!(may_start(at(0), u32::MAX, at(100)), Ok(()), "as before");
    }

    #[test]
    fn a_rest_that_a_clock_ahead_began_does_not_last() {
        assert_eq!(next_rest(Some(rest(86_400, 86_460)), at(0)), rest(0, 60));
    }
}
