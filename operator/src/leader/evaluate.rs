//! Decides who leads from what was seen of the Lease: pure, and by our own clock only.
//!
//! The times in a Lease are the holder's, and its clock may be wrong, so they are compared only with their earlier
//! values. A Lease that did not change for its whole duration, counted from when *we* saw its last change, has lapsed.

use std::time::Duration;

use tokio::time::Instant;

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Absent or empty after a leader stepped down.
    pub holder: Option<String>,
    /// The time of the last renewal by the holder's clock, as text.
    pub renewed: String,
    /// How long the Lease lasts after a renewal.
    pub duration: Duration,
    /// How often the holder changed.
    pub transitions: i32,
}

/// A Lease, and the time of its last change by our clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub record: Record,
    pub unchanged_since: Instant,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// No replica leads: try to.
    Acquire,
    /// We lead: renew the Lease.
    Renew,
    /// Another replica leads.
    Standby,
    /// We led, and no longer do.
    Lost,
}

/// Decides for the process `me`. `leading` says whether it led until now.
pub fn evaluate(observed: Option<&Observed>, me: &str, leading: bool, now: Instant) -> Decision {
    let Some(Observed { record, unchanged_since }) = observed else {
        // The Lease was deleted, or never existed. A leader that finds it gone can't know which other replica saw the
        // gap, so it competes again only after a restart.
        return if leading { Decision::Lost } else { Decision::Acquire };
    };
    match record.holder.as_deref().filter(|holder| !holder.is_empty()) {
        Some(holder) if holder == me => Decision::Renew,
        _ if leading => Decision::Lost,
        None => Decision::Acquire,
        Some(_) if now.saturating_duration_since(*unchanged_since) >= record.duration => Decision::Acquire,
        Some(_) => Decision::Standby,
    }
}

/// Records a Lease, and keeps the time of its last change.
pub fn observe(before: Option<Observed>, record: Record, now: Instant) -> Observed {
    match before {
        Some(before) if before.record == record => before,
        _ => Observed { record, unchanged_since: now },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(holder: &str, renewed: &str) -> Record {
        Record {
            holder: (!holder.is_empty()).then(|| holder.to_owned()),
            renewed: renewed.to_owned(),
            duration: Duration::from_secs(15),
            transitions: 1,
        }
    }

    #[test]
    fn every_case_of_the_table() {
        let start = Instant::now();
        let seen = |holder| Some(Observed { record: record(holder, "t1"), unchanged_since: start });
        let (soon, late) = (start + Duration::from_secs(14), start + Duration::from_secs(15));
        for (why, observed, leading, now, decision) in [
            ("there is no lease yet", None, false, soon, Decision::Acquire),
            ("it vanished while we led", None, true, soon, Decision::Lost),
            ("we hold it", seen("me"), true, late, Decision::Renew),
            ("the last leader stepped down", seen(""), false, soon, Decision::Acquire),
            ("another replica renewed lately", seen("other"), false, soon, Decision::Standby),
            ("another replica stopped renewing", seen("other"), false, late, Decision::Acquire),
            ("another replica took it from us", seen("other"), true, soon, Decision::Lost),
            ("it was taken and given up while we led", seen(""), true, soon, Decision::Lost),
        ] {
            assert_eq!(evaluate(observed.as_ref(), "me", leading, now), decision, "{why}");
        }
    }

    #[test]
    fn the_time_that_the_holder_writes_is_not_compared_with_ours() {
        let start = Instant::now();
        // A holder that renews, with a clock that is years behind.
        let first = observe(None, record("other", "2001-01-01T00:00:00Z"), start);
        let later = start + Duration::from_secs(14);
        let second = observe(Some(first), record("other", "2001-01-01T00:00:14Z"), later);
        assert_eq!(evaluate(Some(&second), "me", false, later + Duration::from_secs(14)), Decision::Standby);
    }

    proptest! {
        /// Two candidates and a versioned Lease. Whatever the order of their steps, at most one leads at a time: a
        /// leader that cannot renew ends itself before the Lease lapses.
        #[test]
        fn at_most_one_leads(steps in proptest::collection::vec((0..2usize, 0..6u64, any::<bool>()), 1..60)) {
            let deadline = Duration::from_secs(10);
            let mut now = Instant::now();
            let mut lease: (u64, Option<Record>) = (0, None);
            let mut seen: [Option<Observed>; 2] = [None, None];
            let mut leading_until: [Option<Instant>; 2] = [None, None];
            for (step, (who, seconds, reaches_the_server)) in steps.into_iter().enumerate() {
                now += Duration::from_secs(seconds);
                // A leader that could not renew until its deadline has ended itself.
                for until in &mut leading_until {
                    *until = until.filter(|until| now < *until);
                }
                if !reaches_the_server {
                    continue;
                }
                let me = ["a", "b"][who];
                let (version, current) = lease.clone();
                seen[who] = current.map(|record| observe(seen[who].take(), record, now));
                let decision = evaluate(seen[who].as_ref(), me, leading_until[who].is_some(), now);
                match decision {
                    Decision::Acquire | Decision::Renew if lease.0 == version => {
                        lease = (version + 1, Some(record(me, &step.to_string())));
                        leading_until[who] = Some(now + deadline);
                    }
                    Decision::Lost => leading_until[who] = None,
                    _ => {}
                }
                prop_assert!(leading_until.iter().flatten().count() <= 1, "both lead after step {step}");
            }
        }
    }
}
