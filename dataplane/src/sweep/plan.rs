//! Decides which span of a log is read and which of its entries are recorded. Pure.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::before;
use messaging::provider::InboundEntry;

/// How to sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepOptions {
    /// The replica's name, under which it claims.
    pub owner: String,
    /// How long after one sweep of an account the next begins. Each costs at least one call for each sender.
    pub every: Duration,
    /// How long one sweep may take. A crashed replica's accounts are swept again after this.
    pub lease: Duration,
    /// How long a message is left to its webhook, which carries more than the log. Providers repeat an unanswered
    /// webhook for a few minutes.
    pub grace: Duration,
    /// How much of the last span is read again, because an entry may appear in the log late.
    pub overlap: Duration,
    /// How far the first sweep of an account looks back.
    pub first_look_back: Duration,
    /// How far any sweep looks back, however long nothing was swept.
    pub longest_look_back: Duration,
}

impl SweepOptions {
    pub fn new(owner: impl Into<String>) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            owner: owner.into(),
            every: Duration::from_secs(15 * 60),
            lease: Duration::from_secs(15 * 60),
            grace: Duration::from_secs(5 * 60),
            overlap: Duration::from_secs(10 * 60),
            // Earlier messages are history: no one waits for them to arrive.
            first_look_back: Duration::from_secs(15 * 60),
            longest_look_back: DAY * 7,
        }
    }
}

/// Retention takes a while, so messages that it is about to forget are no longer looked for.
const FORGOTTEN_SOON: Duration = Duration::from_secs(60 * 60);

/// The part of a log that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) since: Timestamp,
    /// Newer messages are left to their webhooks and to the next sweep.
    pub(super) until: Timestamp,
}

impl Span {
    /// `swept_until` is how far the log was read before. A span may be empty.
    pub(super) fn plan(swept_until: Option<Timestamp>, options: &SweepOptions, now: Timestamp) -> Self {
        let since = match swept_until {
            None => before(now, options.first_look_back),
            Some(swept_until) => before(swept_until, options.overlap),
        };
        Self { since: since.max(before(now, options.longest_look_back)), until: before(now, options.grace) }
    }

    /// Whether a gap between the last span and this one is never looked at.
    pub(super) fn leaves_a_gap(&self, swept_until: Option<Timestamp>) -> bool {
        swept_until.is_some_and(|swept_until| swept_until < self.since)
    }

    /// The part that a sender's retention has certainly not forgotten. A message whose key is forgotten would look like
    /// one that no webhook brought.
    pub(super) fn within(self, metadata: Duration, now: Timestamp) -> Self {
        let remembered = before(now, metadata.saturating_sub(FORGOTTEN_SOON));
        Self { since: self.since.max(remembered), ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since >= self.until
    }

    /// The entries of a page that are inside the span. So is one without a date: better found twice than never.
    pub(super) fn covered(&self, page: Vec<InboundEntry>) -> Vec<InboundEntry> {
        let is_covered = |at: Timestamp| self.since <= at && at <= self.until;
        page.into_iter().filter(|entry| entry.created_at.is_none_or(is_covered)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn plan(swept_until: Option<i64>) -> Span {
        Span::plan(swept_until.map(at), &SweepOptions::new("test"), at(0))
    }

    #[test]
    fn the_first_sweep_looks_back_a_little_and_each_later_one_over_the_end_of_the_last() {
        for (swept_until, since) in [
            (None, -15 * MINUTE),
            (Some(-20 * MINUTE), -30 * MINUTE),
            // After a while without a sweep.
            (Some(-3 * DAY), -3 * DAY - 10 * MINUTE),
            (Some(-70 * DAY), -7 * DAY),
        ] {
            let span = plan(swept_until);
            assert_eq!(span, Span { since: at(since), until: at(-5 * MINUTE) }, "{swept_until:?}");
            assert!(!span.is_empty());
            assert_eq!(span.leaves_a_gap(swept_until.map(at)), swept_until == Some(-70 * DAY), "{swept_until:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_nothing_to_read_and_skips_nothing() {
        assert!(plan(Some(HOUR)).is_empty());
    }

    #[test]
    fn sweeps_one_after_the_other_leave_nothing_out() {
        let options = SweepOptions::new("test");
        let mut cursor = None;
        for n in 0..50 {
            let span = Span::plan(cursor, &options, at(n * 15 * MINUTE));
            assert!(cursor.is_none_or(|cursor| span.since < cursor), "they overlap");
            cursor = Some(span.until);
        }
    }

    #[test]
    fn what_retention_forgets_is_not_found_again() {
        let since =
            |metadata: i64| plan(Some(-2 * DAY)).within(Duration::from_secs(metadata.unsigned_abs()), at(0)).since;
        assert_eq!(since(400 * DAY), at(-2 * DAY - 10 * MINUTE));
        assert_eq!(since(DAY), at(-23 * HOUR));
        assert!(plan(None).within(Duration::from_secs(60), at(0)).is_empty());
    }

    #[test]
    fn only_what_is_neither_too_young_nor_too_old_is_covered() {
        let entry = |id: &str, created_at: Option<i64>| InboundEntry {
            provider_message_id: id.into(),
            created_at: created_at.map(at),
            url: String::new(),
            body: String::new(),
            is_incomplete: false,
        };
        let page = vec![
            entry("SM-young", Some(-5 * MINUTE + 1)),
            entry("SM-newest", Some(-5 * MINUTE)),
            entry("SM-undated", None),
            entry("SM-oldest", Some(-DAY)),
            entry("SM-old", Some(-DAY - 1)),
        ];
        let covered = plan(Some(-DAY + 10 * MINUTE)).covered(page);
        let ids: Vec<&str> = covered.iter().map(|entry| entry.provider_message_id.as_str()).collect();
        assert_eq!(ids, ["SM-newest", "SM-undated", "SM-oldest"]);
    }
}
