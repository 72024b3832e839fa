//! Promises about templates that somebody else made, and that say the same.

use std::collections::BTreeSet;

use crds::annotation::DELETE_ADOPTED;
use crds::{MessageTemplate, MessageTemplateStatus, RevisionOrigin, RevisionState};
use jiff::SignedDuration;
use messaging::provider::admin::{Inexpressible, TemplateHandle};
use messaging::template::{Approval, TemplateButton, TemplateCategory};

use super::Step;
use super::world::{ACCOUNT, OTHER, World, changed, first, lock, template};
use crate::template::apply::event;

/// An account where somebody made both languages.
fn made() -> World {
    let world = World::new();
    for (handle, language) in [("HXen", "en_US"), ("HXde", "de")] {
        world.make(ACCOUNT, handle, &first(), language);
    }
    world
}

fn handed_over(mut template: MessageTemplate) -> MessageTemplate {
    template.metadata.annotations = Some([(DELETE_ADOPTED.to_owned(), "true".to_owned())].into());
    template
}

fn serving(world: &World) -> BTreeSet<String> {
    let recorded = lock(&world.recorded);
    let serving = recorded.locations.iter().filter_map(|location| location.serving.clone()?.handle);
    serving.map(|handle| handle.to_string()).collect()
}

fn set(handles: &[&str]) -> BTreeSet<String> {
    handles.iter().map(|&handle| handle.to_owned()).collect()
}

#[test]
fn an_equal_template_is_used_without_a_review_and_the_status_says_that_it_was_adopted() {
    let mut world = made();
    let (mut progress, outcome) = world.done(&first(), &[ACCOUNT]);
    assert!(outcome.is_ok());
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(progress.status.approval, Some(RevisionState::Approved));
    assert_eq!(serving(&world), set(&["HXen", "HXde"]));
    let newest = progress.status.locations.iter().filter_map(|location| location.newest.as_ref());
    assert!(newest.clone().count() == 2 && newest.into_iter().all(|n| n.origin == Some(RevisionOrigin::Adopted)));
    let notes = progress.take_notes();
    let text = &notes.iter().find(|note| note.reason == event::ADOPTED).unwrap().text;
    assert!(text.contains("en_US is HXen at AC") && text.contains("never deleted"), "{text}");
    // It is told once.
    let (mut progress, _) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(progress.take_notes(), vec![]);
}

#[test]
fn one_that_differs_in_anything_is_not_used() {
    let none = Vec::<Step>::new();
    let create = vec![Step::Create { account: ACCOUNT.into(), language: "en_US".into() }];
    type Change = fn(&mut messaging::provider::admin::TemplateObservation);
    let changes: [(&str, Change); 14] = [
        ("language", |t| t.language = "en_GB".into()),
        ("category", |t| t.category = Some(TemplateCategory::Marketing)),
        ("no category", |t| t.category = None),
        ("body", |t| t.content.as_mut().unwrap().text.body.push('!')),
        ("header", |t| t.content.as_mut().unwrap().text.header = Some("News".into())),
        ("footer", |t| t.content.as_mut().unwrap().text.footer = Some("Bye".into())),
        ("buttons", |t| {
            let button = TemplateButton::QuickReply { title: "Yes".into(), id: "yes".into() };
            t.content.as_mut().unwrap().text.buttons.push(button);
        }),
        ("type", |t| t.content.as_mut().unwrap().unusual_type = Some("twilio/card".into())),
        ("not expressible", |t| t.content = Err(Inexpressible("has media".into()))),
        ("unsubmitted", |t| t.approval = Approval::Unsubmitted),
        ("rejected", |t| t.approval = Approval::Rejected { reason: "no".into() }),
        ("disabled", |t| t.approval = Approval::Disabled { reason: "no".into() }),
        ("unknown", |t| t.approval = Approval::Unknown { word: "odd".into() }),
        // Its object may live in another cluster, and delete it.
        ("an operator's", |t| t.name = "toys_letter_sent_0123456789_en_us_0123456789".into()),
    ];
    for (what, change) in changes {
        let world = made();
        world.tamper("HXen", change);
        assert_eq!(world.plan(&first(), &[ACCOUNT]).1.steps, create, "{what}");
    }
    let alike: [(&str, Change); 3] = [
        ("sample values", |t| t.content.as_mut().unwrap().examples.clear()),
        ("under review", |t| t.approval = Approval::Pending),
        ("paused", |t| t.approval = Approval::Paused { reason: "low quality".into() }),
    ];
    for (what, change) in alike {
        let world = made();
        world.tamper("HXen", change);
        assert_eq!(world.plan(&first(), &[ACCOUNT]).1.steps, none, "{what}");
    }
}

#[test]
fn of_several_equal_ones_the_approved_one_is_used_and_the_recorded_one_is_kept() {
    let mut world = made();
    world.tamper("HXen", |t| t.approval = Approval::Pending);
    world.make(ACCOUNT, "HXen2", &first(), "en_US");
    world.pass(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HXen2", "HXde"]));
    world.tamper("HXen", |t| t.approval = Approval::Approved);
    world.pass(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HXen2", "HXde"]));
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[test]
fn what_was_adopted_is_found_again_after_the_status_was_lost() {
    let mut world = made();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    let status = std::mem::take(&mut *lock(&world.recorded));
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!((world.writes(), &*lock(&world.recorded)), (vec![], &status));
}

#[test]
fn a_category_that_whatsapp_changes_later_and_a_text_that_cannot_be_read_any_more_change_nothing() {
    let mut world = made();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.tamper("HXen", |t| t.category = Some(TemplateCategory::Marketing));
    world.tamper("HXde", |t| t.content = Err(Inexpressible("has a field of a later year".into())));
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!((world.writes(), serving(&world)), (vec![], set(&["HXen", "HXde"])));
}

#[test]
fn an_adopted_revision_serves_until_its_successor_is_approved_and_stays_at_the_provider() {
    let mut world = made();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.pass(&changed(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HXen", "HXde"]));
    world.approve_all();
    world.run_until_quiet(&changed(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HX1", "HXde"]));
    assert_eq!(world.handles(ACCOUNT), set(&["HX1", "HXen", "HXde"]));
    // And back: it is used once more, and what we created goes.
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HXen", "HXde"]));
    assert_eq!(world.handles(ACCOUNT), set(&["HXen", "HXde"]));
}

#[test]
fn what_was_handed_over_is_deleted_once_no_replica_sends_with_it_and_no_other_object_uses_it() {
    let mut world = made();
    let (before, after) = (handed_over(first()), handed_over(changed()));
    world.run_until_quiet(&before, &[ACCOUNT]);
    world.data_plane_follows = false;
    world.pass(&after, &[ACCOUNT]);
    world.approve_all();
    for _ in 0..3 {
        world.pass(&after, &[ACCOUNT]);
        assert!(world.handles(ACCOUNT).contains("HXen"));
        assert!(world.plan(&after, &[ACCOUNT]).1.look_again_at.is_some());
    }
    let shared = BTreeSet::from([TemplateHandle::new("HXen")]);
    world.data_plane_follows = true;
    lock(&world.claims).shared = shared;
    assert_eq!(world.plan(&after, &[ACCOUNT]).1.steps, vec![]);
    lock(&world.claims).shared.clear();
    world.run_until_quiet(&after, &[ACCOUNT]);
    assert_eq!(world.handles(ACCOUNT), set(&["HX1", "HXde"]));
    let recorded = lock(&world.recorded);
    assert!(recorded.locations.iter().all(|location| location.retiring.is_empty()), "{recorded:#?}");
}

#[test]
fn a_crash_after_any_write_deletes_nothing_that_was_not_handed_over_and_leaves_nothing_that_was() {
    let one_language = template(&[(
        "    - { language: de, body: \"Hallo {{1}}, dein Paket hat heute unser Lager verlassen.\" }\n",
        "",
    )]);
    let nothing_more = BTreeSet::new();
    for is_handed_over in [false, true] {
        let given = |template: MessageTemplate| if is_handed_over { handed_over(template) } else { template };
        let story: [(&str, MessageTemplate, &[&str]); 5] = [
            ("adopted", given(first()), &[ACCOUNT]),
            ("changed", given(changed()), &[ACCOUNT]),
            ("at another account too", given(first()), &[ACCOUNT, OTHER]),
            ("in one language less", given(one_language.clone()), &[ACCOUNT, OTHER]),
            ("elsewhere", given(one_language.clone()), &[OTHER]),
        ];
        for lag in [0, 30] {
            for crashing in 0..story.len() {
                for crash_after in 1.. {
                    let mut world = made();
                    world.lag = SignedDuration::from_secs(lag);
                    let mut crashed = true;
                    for (at, (_, template, wanted)) in story.iter().enumerate() {
                        if at == crashing {
                            *lock(&world.crash_after) = Some(crash_after);
                        }
                        world.run_until_quiet(template, wanted);
                        if at == crashing {
                            crashed = lock(&world.crash_after).is_none();
                            *lock(&world.crash_after) = None;
                        }
                    }
                    let theirs: BTreeSet<_> = world.handles(ACCOUNT);
                    let expected = if is_handed_over { nothing_more.clone() } else { set(&["HXen", "HXde"]) };
                    assert_eq!(theirs, expected, "crashed in {crashing} after write {crash_after}, lag {lag}");
                    assert_eq!(world.handles(OTHER).len(), 1);
                    if !crashed {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn one_that_another_object_has_is_left_to_it_and_the_condition_says_so() {
    let mut world = made();
    lock(&world.claims).taken =
        [(TemplateHandle::new("HXen"), "the MessageTemplate \"letter-sent\"".to_owned())].into();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HX1", "HXde"]));
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    let assessed = progress.assess(outcome.as_ref().copied(), &[]);
    let message = &assessed[crds::condition::SYNCED].message;
    assert!(
        message.contains("HXen at AC") && message.contains("is used by the MessageTemplate \"letter-sent\""),
        "{message}"
    );
    // It is not taken over later, because that would be a change without a reason.
    lock(&world.claims).taken.clear();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HX1", "HXde"]));
}

#[test]
fn one_that_turns_out_to_be_another_objects_serves_until_a_revision_of_ones_own_is_approved() {
    let mut world = made();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    // Two objects took it up at once, and each now sees the other's status.
    lock(&world.claims).taken =
        [(TemplateHandle::new("HXen"), "the MessageTemplate \"letter-sent\"".to_owned())].into();
    world.pass(&first(), &[ACCOUNT]);
    assert_eq!(world.writes(), ["create en_US at AC01", "submit en_US at AC01"]);
    assert_eq!(serving(&world), set(&["HXen", "HXde"]));
    world.approve_all();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(serving(&world), set(&["HX1", "HXde"]));
    assert_eq!(world.handles(ACCOUNT), set(&["HX1", "HXen", "HXde"]));
}

#[test]
fn a_status_of_a_version_that_recorded_no_origin_is_completed_without_a_write_at_the_provider() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.writes();
    let strip = |status: &mut MessageTemplateStatus| {
        for location in &mut status.locations {
            [&mut location.serving, &mut location.newest].into_iter().flatten().for_each(|r| r.origin = None);
        }
    };
    strip(&mut lock(&world.recorded));
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(world.writes(), Vec::<String>::new());
    let recorded = lock(&world.recorded);
    let mut newest = recorded.locations.iter().filter_map(|location| location.newest.as_ref());
    assert!(newest.all(|newest| newest.origin == Some(RevisionOrigin::Created)));
}
