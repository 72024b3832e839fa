//! When a sender counts as removed, and what becomes of its queued messages.
//!
//! Replicas look at their configs and remember, in the store that they share, since when a sender has been absent from
//! them. It is removed when it has been absent for the whole grace, without a gap, as far as anybody has seen:
//!
//! - A replica that has it ends the absence, also when others do not have it.
//! - A config that cannot be read says nothing about its tenant's senders, and a replica that knows of no tenant at all
//!   only prolongs absences that have begun.
//! - An absence that nobody has looked at for [`LONGEST_GAP`] begins anew, so that a time in which no replica ran does not
//!   count.

use jiff::{SignedDuration, Timestamp};
use messaging::clock::before;
use messaging::config::Retention;
use messaging::id::{SenderName, TenantId};
use messaging::lifecycle::{LifecycleEvent, MessageStatus};

use super::Operation;
use super::lifecycle::{self, Evidence};
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::{Reason, SinkId, Sinks};
use crate::store::senders::{Absence, CancelOfRemoved, KnownSender, NoteSender, Seen};
use crate::store::tables::senders::SenderRow;

/// Replicas look more often than this.
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(1);

/// What an absence becomes when the sender is seen so.
fn absence(before: Option<Absence>, seen: &Seen, now: Timestamp) -> Option<Absence> {
    // Replicas' clocks differ a little. An end in the far future was set by a clock that was ahead.
    let unbroken = before.filter(|absence| now.duration_since(absence.until).abs() <= LONGEST_GAP);
    match (seen, unbroken) {
        (Seen::Configured { .. }, _) => None,
        (Seen::Absent | Seen::Unsure, Some(unbroken)) => Some(Absence { until: unbroken.until.max(now), ..unbroken }),
        (Seen::Absent, None) => Some(Absence { since: now, until: now }),
        (Seen::Unsure, None) => None,
    }
}

impl SenderRow {
    fn absence(&self) -> Option<Absence> {
        Some(Absence { since: self.absent_since?, until: self.absent_until? })
    }

    fn retention(&self) -> Option<Retention> {
        Some(Retention { bodies_seconds: self.bodies_seconds?, metadata_seconds: self.metadata_seconds? })
    }

    /// The row once the sender is seen so.
    fn seen(&self, seen: &Seen, now: Timestamp) -> Self {
        let (retention, sinks) = match seen {
            Seen::Configured { retention, sinks } => (Some(retention.clone()), Some(sinks.clone())),
            Seen::Absent | Seen::Unsure => (self.retention(), self.sinks.clone()),
        };
        let absence = absence(self.absence(), seen, now);
        Self {
            bodies_seconds: retention.as_ref().map(|retention| retention.bodies_seconds),
            metadata_seconds: retention.as_ref().map(|retention| retention.metadata_seconds),
            absent_since: absence.map(|absence| absence.since),
            absent_until: absence.map(|absence| absence.until),
            sinks,
        }
    }

    pub(crate) fn known(&self, tenant: TenantId, sender: SenderName) -> KnownSender {
        let (retention, sinks) = (self.retention(), self.sinks.clone());
        KnownSender { tenant, sender, retention, sinks, absence: self.absence() }
    }
}

impl Sinks {
    /// The sinks themselves.
    pub(super) fn of(&self, rows: &mut Rows, tenant: &TenantId, sender: &SenderName) -> Result<Vec<SinkId>, Halt> {
        match self {
            Self::Configured(sinks) => Ok(sinks.clone()),
            Self::LastKnown => {
                let row = rows.senders.get(&(tenant.clone(), sender.clone()))?;
                Ok(row.and_then(|row| row.sinks.clone()).unwrap_or_default())
            }
        }
    }
}

impl Command for NoteSender {
    type Answer = ();
}

impl Operation for NoteSender {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<(), Halt> {
        let key = (self.tenant.clone(), self.sender.clone());
        let row = rows.senders.get(&key)?.cloned();
        let seen = row.clone().unwrap_or_default().seen(&self.seen, self.now);
        // One that is forgotten and that no config has stays forgotten.
        if row.is_some() || matches!(self.seen, Seen::Configured { .. }) {
            rows.senders.put(key, seen);
        }
        Ok(())
    }
}

impl Command for CancelOfRemoved {
    type Answer = bool;
}

impl Operation for CancelOfRemoved {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<bool, Halt> {
        let Self { tenant, id, grace, now } = self;
        let Some(mut known) = lifecycle::look(rows, tenant, *id, None)? else { return Ok(false) };
        let sender = known.row.message.route.sender.clone();
        let sender = rows.senders.get(&(tenant.clone(), sender))?;
        let is_removed = sender.and_then(SenderRow::absence).is_some_and(|absence| absence.is_removal(*grace));
        // A younger message was accepted by a replica that had the sender in its config.
        let waited = known.row.message.created_at <= before(*now, *grace);
        if !is_removed || !waited || known.status() != MessageStatus::Queued {
            return Ok(false);
        }
        let canceled = Evidence::event(LifecycleEvent::Canceled, *now);
        let text = "its sender was removed from the config and was not put back in time";
        known.advance(rows, &Evidence { reason: Some(Reason::new(None, text)), ..canceled }, &[])?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 60 * minutes).unwrap()
    }

    fn configured() -> Seen {
        Seen::Configured { retention: Retention::default(), sinks: Vec::new() }
    }

    /// The absence after these looks.
    fn after(looks: impl IntoIterator<Item = (i64, Seen)>) -> Option<Absence> {
        looks.into_iter().fold(None, |before, (minutes, seen)| absence(before, &seen, at(minutes)))
    }

    fn is_removed(looks: impl IntoIterator<Item = (i64, Seen)>) -> bool {
        after(looks).is_some_and(|absence| absence.is_removal(DAY))
    }

    #[test]
    fn a_sender_is_removed_once_it_was_absent_for_the_whole_grace() {
        let absent = |until: i64| (0..=until).step_by(10).map(|minutes| (minutes, Seen::Absent));
        assert!(!is_removed(absent(1430)));
        assert!(is_removed(absent(1440)));
    }

    #[test]
    fn one_replica_that_has_it_is_enough_to_keep_it() {
        let looks = (0..3000).map(|minutes| (minutes, if minutes % 50 == 0 { configured() } else { Seen::Absent }));
        assert!(!is_removed(looks));
    }

    #[test]
    fn a_time_that_nobody_has_seen_does_not_count() {
        let looks = [(0, Seen::Absent), (10, Seen::Absent), (3000, Seen::Absent)];
        assert_eq!(after(looks), Some(Absence { since: at(3000), until: at(3000) }));
        assert_eq!(after([(3000, Seen::Absent), (10, Seen::Absent)]), Some(Absence { since: at(10), until: at(10) }));
    }

    #[test]
    fn a_replica_without_any_tenant_begins_no_absence_and_prolongs_one() {
        assert_eq!(after((0..3000).map(|minutes| (minutes, Seen::Unsure))), None);
        let begun = [(0, Seen::Absent)].into_iter().chain((1..=1440).map(|minutes| (minutes, Seen::Unsure)));
        assert!(is_removed(begun));
    }
}
