//! Promises about revisions that a deleted object left at the provider because of its policy `Retain`.

use std::collections::BTreeSet;

use crds::{MessageTemplateStatus, RevisionState};
use messaging::template::Approval;

use super::world::{ACCOUNT, World, changed, first, lock, template};
use super::{Step, desired_names};
use crate::template::apply::event;

const UID: &str = "7f7b6e1e-8f0e-4a52-9d2e-0c4a7d3a5b11";
const NEXT_UID: &str = "00000000-8f0e-4a52-9d2e-0c4a7d3a5b11";

/// An account with the approved revisions of an object that was deleted.
fn retained() -> World {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    *lock(&world.recorded) = MessageTemplateStatus::default();
    world.writes();
    world
}

#[test]
fn a_template_that_is_applied_again_uses_what_it_left_and_is_approved_at_once() {
    let mut world = retained();
    let again = template(&[(UID, NEXT_UID)]);
    let (mut progress, outcome) = world.done(&again, &[ACCOUNT]);
    assert!(outcome.is_ok());
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(progress.status.approval, Some(RevisionState::Approved));
    let handles: BTreeSet<_> =
        progress.status.locations.iter().filter_map(|l| l.serving.clone()?.handle).map(|h| h.to_string()).collect();
    assert_eq!(handles, ["HX1", "HX2"].map(str::to_owned).into());
    assert!(progress.take_notes().iter().any(|note| note.reason == event::ADOPTED));
    // It is told once.
    let (mut progress, _) = world.done(&again, &[ACCOUNT]);
    assert_eq!(progress.take_notes(), vec![]);
}

#[test]
fn a_change_is_submitted_under_the_new_uid_and_what_was_found_is_never_deleted() {
    let mut world = retained();
    let again = template(&[(UID, NEXT_UID)]);
    world.run_until_quiet(&again, &[ACCOUNT]);
    let changed_again = template(&[(UID, NEXT_UID), ("Hello {{1}}, your", "Dear {{1}}, your")]);
    world.run_until_quiet(&changed_again, &[ACCOUNT]);
    let names: BTreeSet<_> = world.names(ACCOUNT).into_iter().collect();
    assert!(names.is_superset(&desired_names(&first())), "{names:?}");
    assert_eq!(names.len(), 3);
    // And back: it is found once more.
    world.run_until_quiet(&again, &[ACCOUNT]);
    assert_eq!(world.names(ACCOUNT).len(), 2);
}

#[test]
fn what_another_text_left_is_not_used() {
    let world = retained();
    let (_, plan) = world.plan(&template(&[(UID, NEXT_UID), ("Hallo {{1}}", "Guten Tag {{1}}")]), &[ACCOUNT]);
    assert_eq!(plan.steps, [Step::Create { account: ACCOUNT.into(), language: "de".into() }]);
}

#[test]
fn what_was_left_is_used_in_whatever_state_it_is_and_nothing_is_submitted_twice() {
    let no = || "no".to_owned();
    for (approval, state, writes) in [
        (Approval::Pending, RevisionState::Pending, vec![]),
        (Approval::Rejected { reason: no() }, RevisionState::Rejected, vec![]),
        (Approval::Disabled { reason: no() }, RevisionState::Disabled, vec![]),
        (Approval::Unsubmitted, RevisionState::Pending, vec!["submit de at AC01"]),
    ] {
        let mut world = retained();
        world.review_language(ACCOUNT, "de", approval.clone());
        world.pass(&template(&[(UID, NEXT_UID)]), &[ACCOUNT]);
        let german = lock(&world.recorded).locations[0].newest.clone().unwrap();
        assert_eq!((german.state, world.writes()), (state, writes.into_iter().map(str::to_owned).collect()));
    }
}

#[test]
fn one_that_may_be_sent_comes_before_what_was_left_and_rejected() {
    let mut world = retained();
    world.review_language(ACCOUNT, "de", Approval::Rejected { reason: "no".into() });
    world.make(ACCOUNT, "HXde", &first(), "de");
    world.pass(&template(&[(UID, NEXT_UID)]), &[ACCOUNT]);
    let german = lock(&world.recorded).locations[0].newest.clone().unwrap();
    assert_eq!((german.handle.unwrap().as_str(), world.writes()), ("HXde", vec![]));
}

#[test]
fn another_objects_revision_stays_when_ours_are_deleted() {
    let mut world = retained();
    // Two objects, as in two clusters that share an account.
    let other = template(&[(UID, NEXT_UID), ("Hallo {{1}}", "Guten Tag {{1}}")]);
    world.run_until_quiet(&other, &[ACCOUNT]);
    assert_eq!(world.names(ACCOUNT).len(), 3);
    *lock(&world.recorded) = MessageTemplateStatus::default();
    world.run_until_quiet(&changed(), &[ACCOUNT]);
    let names: BTreeSet<_> = world.names(ACCOUNT).into_iter().collect();
    assert!(!names.is_disjoint(&desired_names(&other)), "{names:?}");
    assert_eq!(names.len(), 3);
}
