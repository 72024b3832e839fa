//! `Ready` and `Paused` mean that the data plane does it: corrects what a kind found by what the data plane runs.

use crds::condition::{READY, RECONCILING, STALLED, reason};

use crate::reconcile::conditions::{Assessment, Assessments, State};

/// Whether the data plane runs an object as it was last contributed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Live {
    /// Every live replica does.
    Everywhere,
    /// So many live replicas do, of all.
    On { ready: usize, total: usize },
    /// The newest config of the tenant could not be published. When a person must act, `stalled`.
    Unpublished { stalled: bool, message: String },
    /// Every live replica refused the tenant's config.
    Refused(String),
    /// Some live replicas refused it: the name of one and why, and so many run it, of all.
    RefusedBySome { pod: String, why: String, ready: usize, total: usize },
}

/// What the data plane's answer changes.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// The object was ready at this generation.
    pub was_ready: bool,
    /// The object has the annotation [`crds::annotation::PAUSED`].
    pub paused: bool,
}

/// What to report of an object, from what its kind found. `live` is `None` while it is unknown, right after a restart.
pub fn correct(mut assessed: Assessments, live: Option<&Live>, before: Before) -> Assessments {
    let is_ready = assessed.get(READY).is_some_and(|ready| ready.state == State::True);
    if !is_ready && !before.paused {
        return assessed;
    }
    let (stalled, reason, message) = match live {
        Some(Live::Everywhere) => return assessed,
        Some(Live::Unpublished { stalled: true, message }) => (true, reason::NOT_PUBLISHED, message.clone()),
        Some(Live::Refused(why)) => (
            true,
            reason::NOT_PUBLISHED,
            format!("every replica of the data plane refused this namespace's config, and runs the one before: {why}"),
        ),
        Some(Live::On { total: 0, .. }) => {
            (false, reason::NOT_PUBLISHED, "no replica of the data plane is alive".to_owned())
        }
        // Failure policy: a replica that refuses does not come round by itself, so what was ready no longer is.
        Some(Live::RefusedBySome { pod, why, ready, total }) => (
            false,
            reason::PUBLISHING,
            format!(
                "{ready} of {total} replicas of the data plane run it; {pod} refused this namespace's config, and runs the one before: {why}"
            ),
        ),
        // Replicas take a config over one after another. What was ready stays so meanwhile.
        _ if before.was_ready && !before.paused => return assessed,
        Some(Live::On { ready, total }) => {
            (false, reason::PUBLISHING, format!("{ready} of {total} replicas of the data plane run it"))
        }
        Some(Live::Unpublished { stalled: false, message }) => (false, reason::PUBLISHING, message.clone()),
        None => (false, reason::PUBLISHING, "it is not known yet what the data plane runs".to_owned()),
    };
    let is = |state| Assessment::new(state, reason, &message);
    if is_ready {
        assessed.insert(READY, is(State::False));
    }
    if stalled {
        // kstatus reads `Stalled` first.
        assessed.remove(RECONCILING);
        assessed.insert(STALLED, is(State::True));
    } else {
        assessed.insert(RECONCILING, is(State::True));
    }
    assessed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ready: State) -> Assessments {
        [(READY, Assessment::new(ready, reason::READY, ""))].into()
    }

    fn summary(assessed: &Assessments) -> Vec<String> {
        assessed.iter().map(|(name, a)| format!("{name}={} {}", a.state.as_str(), a.reason)).collect()
    }

    fn corrected(live: Option<&Live>, was_ready: bool) -> Vec<String> {
        summary(&correct(found(State::True), live, Before { was_ready, paused: false }))
    }

    #[test]
    fn an_object_becomes_ready_when_every_replica_runs_it() {
        let waiting = ["Ready=False Publishing", "Reconciling=True Publishing"];
        assert_eq!(corrected(None, false), waiting);
        assert_eq!(corrected(Some(&Live::On { ready: 1, total: 2 }), false), waiting);
        assert_eq!(corrected(Some(&Live::Unpublished { stalled: false, message: String::new() }), false), waiting);
        assert_eq!(corrected(Some(&Live::Everywhere), false), ["Ready=True Ready"]);
    }

    #[test]
    fn what_was_ready_stays_so_while_replicas_take_a_config_over() {
        let passing = Live::Unpublished { stalled: false, message: String::new() };
        for live in [None, Some(&Live::On { ready: 0, total: 2 }), Some(&passing)] {
            assert_eq!(corrected(live, true), ["Ready=True Ready"], "{live:?}");
        }
    }

    #[test]
    fn a_replica_that_refuses_a_config_is_told_with_its_reason_also_on_what_was_ready() {
        let refused = Live::RefusedBySome { pod: "b".into(), why: "senders.support: wrong".into(), ready: 1, total: 2 };
        for was_ready in [false, true] {
            let told = correct(found(State::True), Some(&refused), Before { was_ready, paused: false });
            assert_eq!(summary(&told), ["Ready=False Publishing", "Reconciling=True Publishing"]);
            let message = &told[READY].message;
            assert!(message.contains("1 of 2") && message.contains("b refused"), "{message}");
            assert!(message.ends_with("senders.support: wrong"), "{message}");
        }
    }

    #[test]
    fn what_the_data_plane_does_not_do_is_not_ready_however_long_it_was() {
        let stalled = ["Ready=False NotPublished", "Stalled=True NotPublished"];
        let too_large = Live::Unpublished { stalled: true, message: "too large".into() };
        for was_ready in [true, false] {
            assert_eq!(corrected(Some(&too_large), was_ready), stalled);
            assert_eq!(corrected(Some(&Live::Refused("senders.a: wrong".into())), was_ready), stalled);
            let absent = corrected(Some(&Live::On { ready: 0, total: 0 }), was_ready);
            assert_eq!(absent, ["Ready=False NotPublished", "Reconciling=True NotPublished"]);
        }
    }

    #[test]
    fn a_pause_is_said_only_once_every_replica_keeps_it() {
        let mut paused = found(State::True);
        paused.insert(RECONCILING, Assessment::new(State::True, reason::PAUSED, ""));
        let said =
            |live: Option<&Live>| summary(&correct(paused.clone(), live, Before { was_ready: true, paused: true }));
        assert_eq!(said(Some(&Live::Everywhere)), ["Ready=True Ready", "Reconciling=True Paused"]);
        let pausing = ["Ready=False Publishing", "Reconciling=True Publishing"];
        assert_eq!(said(Some(&Live::On { ready: 1, total: 2 })), pausing);
        let too_large = Live::Unpublished { stalled: true, message: "too large".into() };
        assert_eq!(said(Some(&too_large)), ["Ready=False NotPublished", "Stalled=True NotPublished"]);
    }

    #[test]
    fn what_is_not_ready_for_its_own_reasons_keeps_them() {
        let own = correct(found(State::False), None, Before { was_ready: false, paused: false });
        assert_eq!(summary(&own), ["Ready=False Ready"]);
    }
}
