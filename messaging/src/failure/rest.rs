//! How long a sender rests from starting conversations, after the provider's limit on them was met.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// The first rest. It doubles each time the limit is met soon after a rest.
const FIRST: Duration = Duration::from_secs(60);
/// The longest rest: what the end of a limit that lasts a day goes unnoticed.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A rest from starting conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// The rest that follows a report that the limit was met. What was under way when a rest began is reported while it lasts,
/// and does not lengthen it.
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
    fn a_rest_that_a_clock_ahead_began_does_not_last() {
        assert_eq!(next_rest(Some(rest(86_400, 86_460)), at(0)), rest(0, 60));
    }
}
