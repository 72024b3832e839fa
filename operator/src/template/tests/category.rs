//! Promises about WhatsApp's word on a template's category, which wins over the spec's.

use crds::{MessageTemplateStatus, TemplateCategory as Declared};
use messaging::template::{Approval, TemplateCategory};

use super::world::{ACCOUNT, OTHER, World, changed, first};
use crate::reconcile::progress::Progress;
use crate::template::apply::event;
use crate::template::compile::compile;

fn compiled(progress: &Progress<MessageTemplateStatus>) -> TemplateCategory {
    compile(&first().spec, &progress.status).unwrap().category
}

fn told(mut progress: Progress<MessageTemplateStatus>) -> Vec<String> {
    let notes = progress.take_notes().into_iter().filter(|note| note.reason == event::CATEGORY_CHANGED);
    notes.map(|note| note.text).collect()
}

#[test]
fn the_category_that_came_back_from_the_review_is_shown_told_once_and_compiled() {
    let mut world = World::new();
    let (progress, _) = world.done(&first(), &[ACCOUNT]);
    assert_eq!((progress.status.category, compiled(&progress)), (Some(Declared::Utility), TemplateCategory::Utility));
    assert_eq!(told(progress), Vec::<String>::new());

    world.approve_all();
    world.recategorize(ACCOUNT, "en_US", TemplateCategory::Marketing);
    world.recategorize(ACCOUNT, "de", TemplateCategory::Utility);
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    // One language of the template is enough: a message's language may change until it leaves.
    assert_eq!(
        (progress.status.category, compiled(&progress)),
        (Some(Declared::Marketing), TemplateCategory::Marketing)
    );
    let ready = &progress.assess(outcome.as_ref().copied(), &[])[crds::condition::READY];
    assert_eq!(ready.message, "approved in 2 languages, as MARKETING instead of UTILITY");
    assert_eq!(
        told(progress),
        [format!(
            "WhatsApp changed the category of en_US at {ACCOUNT} from UTILITY to MARKETING; what a message with the \
             template needs changes with it"
        )]
    );
    assert_eq!(told(world.done(&first(), &[ACCOUNT]).0), Vec::<String>::new());
}

#[test]
fn a_category_that_changes_long_after_the_approval_counts_from_then_on() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT, OTHER]);
    world.recategorize(OTHER, "de", TemplateCategory::Marketing);
    let (progress, _) = world.done(&first(), &[ACCOUNT, OTHER]);
    assert_eq!(
        (progress.status.category, compiled(&progress)),
        (Some(Declared::Marketing), TemplateCategory::Marketing)
    );
    assert_eq!(told(progress).len(), 1);

    world.recategorize(OTHER, "de", TemplateCategory::Utility);
    let (progress, _) = world.done(&first(), &[ACCOUNT, OTHER]);
    assert_eq!(compiled(&progress), TemplateCategory::Utility);
    assert_eq!(told(progress).len(), 1);
}

#[test]
fn a_revision_that_cannot_be_sent_does_not_decide_the_category() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.pass(&changed(), &[ACCOUNT]);
    world.review_language(ACCOUNT, "en_US", Approval::Rejected { reason: "INCORRECT_CATEGORY".into() });
    world.recategorize(ACCOUNT, "en_US", TemplateCategory::Marketing);
    let (progress, _) = world.done(&changed(), &[ACCOUNT]);
    assert_eq!(compiled(&progress), TemplateCategory::Utility);

    // Nor does it where nothing else serves in its language.
    let mut world = World::new();
    world.pass(&first(), &[ACCOUNT]);
    world.review_language(ACCOUNT, "de", Approval::Approved);
    world.review_language(ACCOUNT, "en_US", Approval::Rejected { reason: "INCORRECT_CATEGORY".into() });
    world.recategorize(ACCOUNT, "en_US", TemplateCategory::Marketing);
    let (progress, _) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(compiled(&progress), TemplateCategory::Utility);
}
