//! Promises about templates that the spec names.

use crds::condition::SYNCED;
use crds::{MessageTemplate, RevisionState};
use messaging::provider::admin::{Inexpressible, TemplateHandle};
use messaging::template::{Approval, TemplateCategory};

use super::world::{ACCOUNT, OTHER, World, changed, first, lock, template};
use super::{AccountView, plan, validate};
use crate::reconcile::error::{Advice, Failure};

/// The template with these named in English, separated by commas.
fn naming(handles: &str) -> MessageTemplate {
    super::naming(&handles.split(',').collect::<Vec<_>>())
}

/// An account where somebody made both languages.
fn made() -> World {
    let world = World::new();
    for (handle, language) in [("HXen", "en_US"), ("HXde", "de")] {
        world.make(ACCOUNT, handle, &first(), language);
    }
    world
}

fn refusal(world: &mut World, template: &MessageTemplate, wanted: &[&str]) -> Failure {
    let (_, outcome) = world.done(template, wanted);
    let failure = outcome.expect_err("it can't be adopted");
    assert_eq!((failure.advice(), failure.condition()), (Advice::Stalled, Some(SYNCED)));
    failure
}

#[test]
fn one_of_another_type_in_any_state_is_used_when_the_spec_names_it() {
    for (approval, state, writes) in [
        (Approval::Approved, RevisionState::Approved, 0),
        (Approval::Rejected { reason: "no".into() }, RevisionState::Rejected, 0),
        (Approval::Unsubmitted, RevisionState::Pending, 1),
    ] {
        let mut world = made();
        world.tamper("HXen", |t| {
            t.content.as_mut().unwrap().unusual_type = Some("twilio/card".into());
            t.name = "toys_letter_sent_0123456789_en_us_0123456789".into();
            t.approval = approval.clone();
        });
        let (progress, _) = world.done(&naming("HXen"), &[ACCOUNT]);
        let english = &progress.status.locations[1];
        let newest = english.newest.as_ref().unwrap();
        assert_eq!((newest.handle.as_ref().unwrap().as_str(), newest.state), ("HXen", state));
        assert_eq!(world.writes().len(), writes);
    }
}

#[test]
fn one_that_was_named_stays_in_use_when_the_spec_names_it_no_more() {
    let mut world = made();
    world.tamper("HXen", |t| t.content.as_mut().unwrap().unusual_type = Some("twilio/card".into()));
    world.run_until_quiet(&naming("HXen"), &[ACCOUNT]);
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!((world.writes(), world.handles(ACCOUNT).len()), (vec![], 2));
}

#[test]
fn one_that_cannot_be_used_is_refused_with_the_field_the_fault_and_the_remedy_and_nothing_is_submitted() {
    type Change = fn(&World);
    let cases: [(&str, &str, Change, &[&str]); 7] = [
        (
            "another text",
            "HXen",
            |w| w.tamper("HXen", |t| t.content.as_mut().unwrap().text.body = "Hello.".into()),
            &["spec.localizations[0].adopt[0]: HXen at AC", "body has", "declare what it says, or remove it"],
        ),
        ("another language", "HXde", |_| {}, &["its language is de instead of en_US", "remove it"]),
        (
            "another category",
            "HXen",
            |w| w.tamper("HXen", |t| t.category = Some(TemplateCategory::Marketing)),
            &["its category is MARKETING instead of UTILITY"],
        ),
        (
            "nothing that can be declared",
            "HXen",
            |w| w.tamper("HXen", |t| t.content = Err(Inexpressible("has media in whatsapp/card".into()))),
            &["cannot be declared: it has media in whatsapp/card"],
        ),
        ("no template", "HXnone", |_| {}, &["HXnone does not exist at AC", "correct it, or remove it"]),
        (
            "another object's",
            "HXen",
            |w| drop(lock(&w.claims).taken.insert(TemplateHandle::new("HXen"), "the MessageTemplate \"x\"".into())),
            &["HXen at AC", "is used by the MessageTemplate \"x\", which comes first", "remove it from one"],
        ),
        (
            "a second one",
            "HXen,HXen2",
            |w| w.make(ACCOUNT, "HXen2", &first(), "en_US"),
            &["spec.localizations[0].adopt[1]: HXen2 is at AC", "like HXen"],
        ),
    ];
    for (what, handles, change, expected) in cases {
        let mut world = made();
        change(&world);
        let failure = refusal(&mut world, &naming(handles), &[ACCOUNT]);
        let message = failure.message();
        for part in expected {
            assert!(message.contains(part), "{what}: {message}");
        }
        let reason = if what == "another object's" { "Conflict" } else { "InvalidSpec" };
        assert_eq!((failure.reason(), world.writes()), (reason, vec![]), "{what}");
    }
}

#[test]
fn one_of_another_account_is_told_where_it_is() {
    let world = made();
    world.make(OTHER, "HXother", &first(), "en_US");
    let desired = validate(&naming("HXother")).unwrap();
    let mut seen = world.observe(&[ACCOUNT]);
    seen.elsewhere = [(TemplateHandle::new("HXother"), OTHER.to_owned())].into();
    let refused = plan(&desired, &[], &seen).refused;
    let message = refused[0].to_string();
    assert!(
        message.contains(&format!("HXother is a template of {OTHER}, to which none of spec.senderRefs")),
        "{message}"
    );
}

#[test]
fn while_an_account_cannot_be_asked_a_named_one_may_be_there_and_nothing_is_submitted() {
    let world = World::new();
    let desired = validate(&naming("HXother")).unwrap();
    let mut seen = world.observe(&[ACCOUNT, OTHER]);
    seen.accounts.insert(OTHER.into(), AccountView::Unavailable);
    let held = plan(&desired, &[], &seen);
    assert_eq!(held.refused, vec![]);
    assert!(held.steps.iter().all(|step| !matches!(step, super::Step::Create { language, .. } if language == "en_US")));
    // The same while a sender that the spec names is not known.
    let mut seen = world.observe(&[ACCOUNT]);
    seen.knows_senders = false;
    assert_eq!(plan(&desired, &[], &seen).refused, vec![]);
}

#[test]
fn an_account_without_a_named_one_gets_one_submitted() {
    let mut world = made();
    world.run_until_quiet(&naming("HXen"), &[ACCOUNT, OTHER]);
    assert_eq!((world.handles(ACCOUNT).len(), world.handles(OTHER).len()), (2, 2));
}

#[test]
fn a_change_of_the_text_alone_is_refused_and_the_approved_one_goes_on() {
    let mut world = made();
    world.run_until_quiet(&naming("HXen"), &[ACCOUNT]);
    let mut edited = changed();
    edited.spec.localizations[0].adopt = vec!["HXen".into()];
    let message = refusal(&mut world, &edited, &[ACCOUNT]).message();
    assert!(message.contains("\"Hello {{1}}, your") && message.contains("instead of \"Dear {{1}}, your"), "{message}");
    assert_eq!(world.writes(), Vec::<String>::new());
    let english = lock(&world.recorded).locations[1].clone();
    assert_eq!(english.serving.unwrap().handle.unwrap().as_str(), "HXen");
    // Without the id, the change is submitted.
    world.run_until_quiet(&changed(), &[ACCOUNT]);
    assert_eq!(lock(&world.recorded).locations[1].clone().serving.unwrap().handle.unwrap().as_str(), "HX1");
}

#[test]
fn one_that_is_named_is_used_although_we_created_one_before_which_then_goes() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.make(ACCOUNT, "HXen", &first(), "en_US");
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(world.handles(ACCOUNT).len(), 3);
    world.run_until_quiet(&naming("HXen"), &[ACCOUNT]);
    assert_eq!(world.handles(ACCOUNT).len(), 2);
    assert!(world.handles(ACCOUNT).contains("HXen"));
}

#[test]
fn one_template_cannot_be_named_in_two_languages() {
    let mut twice = template(&[]);
    for localization in &mut twice.spec.localizations {
        localization.adopt = vec!["HXen".into()];
    }
    let message = validate(&twice).unwrap_err().to_string();
    assert_eq!(
        message,
        "spec.localizations[1].adopt[0]: HXen is already in spec.localizations[0].adopt[0]; name each template once, in its language"
    );
}
