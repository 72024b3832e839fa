//! Conditions: the findings of a reconcile, merged with the previous conditions.
//!
//! Only this module stamps `observedGeneration` and `lastTransitionTime`, so neither can be forgotten, and an object at
//! rest keeps its conditions unchanged.

use std::collections::BTreeMap;

use crds::condition::{READY, RECONCILING, STALLED};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::reconcile::redact;

/// The reason of a condition that was not checked, because an earlier step failed.
pub const NOT_OBSERVED: &str = "NotObserved";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    True,
    False,
    Unknown,
    /// The condition does not apply any more, and goes.
    Absent,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
            Self::Absent => "Absent",
        }
    }
}

/// What one reconcile says about one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    pub state: State,
    pub reason: &'static str,
    pub message: String,
}

impl Assessment {
    /// Redacts and shortens the message, wherever it comes from.
    pub fn new(state: State, reason: &'static str, message: &str) -> Self {
        Self { state, reason, message: redact::note(message) }
    }
}

/// What one reconcile says, by condition type.
pub type Assessments = BTreeMap<&'static str, Assessment>;

/// The conditions to report. Assessed ones are stamped, also those that apply only at times and so are not `owned`; the
/// rest of ours stay unchanged, as do those of other writers.
/// `Reconciling` and `Stalled` are present only while they are true.
pub fn merge(
    owned: &[&'static str],
    before: &[Condition],
    assessed: &Assessments,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let always = || [READY, RECONCILING, STALLED].into_iter().chain(owned.iter().copied());
    let at_times = || assessed.keys().copied().filter(|name| !always().any(|known| known == *name));
    let ours = || always().chain(at_times());
    let mut merged: Vec<Condition> = ours()
        .filter_map(|name| {
            let old = before.iter().find(|condition| condition.type_ == name);
            match assessed.get(name) {
                Some(Assessment { state: State::Absent, .. }) => None,
                Some(assessment) => Some(stamp(name, assessment, old, generation, now)),
                None if name == RECONCILING || name == STALLED => None,
                None => old.cloned(),
            }
        })
        .collect();
    merged.extend(before.iter().filter(|condition| !ours().any(|name| name == condition.type_)).cloned());
    merged
}

fn stamp(name: &str, assessment: &Assessment, old: Option<&Condition>, generation: i64, now: Timestamp) -> Condition {
    let Assessment { state, reason, message } = assessment;
    let since = old.filter(|old| old.status == state.as_str()).map(|old| old.last_transition_time.clone());
    Condition {
        type_: name.to_owned(),
        status: state.as_str().to_owned(),
        reason: (*reason).to_owned(),
        message: message.clone(),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or(Time(now)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNED: &[&str] = &["Online"];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn assessed(all: &[(&'static str, State)]) -> Assessments {
        all.iter().map(|&(name, state)| (name, Assessment::new(state, "Reason", "message"))).collect()
    }

    #[test]
    fn the_time_of_a_condition_changes_only_with_its_status() {
        let first = merge(OWNED, &[], &assessed(&[(READY, State::False)]), 1, at(10));
        let second = merge(OWNED, &first, &assessed(&[(READY, State::False)]), 2, at(20));
        assert_eq!((second[0].last_transition_time.0, second[0].observed_generation), (at(10), Some(2)));
        let third = merge(OWNED, &second, &assessed(&[(READY, State::True)]), 2, at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn reconciling_and_stalled_disappear_when_they_are_over_and_the_rest_stays() {
        let mut first = merge(
            OWNED,
            &[],
            &assessed(&[(READY, State::False), (STALLED, State::True), ("Online", State::True)]),
            1,
            at(1),
        );
        first.push(Condition { type_: "SomebodyElses".into(), ..first[0].clone() });
        let second = merge(OWNED, &first, &assessed(&[(READY, State::True)]), 1, at(2));
        let types: Vec<&str> = second.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, [READY, "Online", "SomebodyElses"]);
    }

    #[test]
    fn a_condition_that_applies_at_times_is_shown_kept_and_withdrawn() {
        let shown = |conditions: &[Condition]| conditions.iter().any(|c| c.type_ == "AtTimes" && c.status == "True");
        let first = merge(OWNED, &[], &assessed(&[(READY, State::True), ("AtTimes", State::True)]), 1, at(1));
        let second = merge(OWNED, &first, &assessed(&[(READY, State::True)]), 1, at(2));
        let third = merge(OWNED, &second, &assessed(&[(READY, State::True), ("AtTimes", State::Absent)]), 1, at(3));
        assert_eq!((shown(&first), shown(&second), shown(&third)), (true, true, false));
        assert_eq!(third.len(), 1);
    }

    fn any_state() -> impl Strategy<Value = State> {
        prop_oneof![Just(State::True), Just(State::False), Just(State::Unknown)]
    }

    proptest! {
        #[test]
        fn the_same_assessments_again_change_nothing(ready in any_state(), online in proptest::option::of(any_state()), stalled: bool) {
            let mut all = vec![(READY, ready)];
            all.extend(online.map(|state| ("Online", state)));
            all.extend(stalled.then_some((STALLED, State::True)));
            let once = merge(OWNED, &[], &assessed(&all), 3, at(1));
            prop_assert_eq!(merge(OWNED, &once, &assessed(&all), 3, at(2)), once);
        }
    }
}
