//! Promises about templates, on the real steps and a provider in memory whose list may lag. The process may crash
//! after any write, and is then run until it writes nothing.

mod adopted;
mod category;
mod model;
mod named;
mod retained;
mod review;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use crds::condition::{APPROVED, READY, RECONCILING, STALLED, SYNCED};
use crds::{MessageTemplate, MessageTemplateStatus, RevisionState};
use jiff::{SignedDuration, Timestamp};
use messaging::failure::{self, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::{Inexpressible, ReviewBegins, TemplateHandle, TemplateObservation};
use messaging::template::Approval;

use self::world::{ACCOUNT, Kept, OTHER, World, changed, first, lock, template};
use super::claims::Claims;
use super::compile::compile;
use super::plan::{AccountView, Observation, Step, plan};
use super::report;
use super::validate::validate;
use crate::reconcile::error::Failure;
use crate::reconcile::progress::Progress;

/// The template with these named in English.
pub(crate) fn naming(handles: &[&str]) -> MessageTemplate {
    let mut template = first();
    template.spec.localizations[0].adopt = handles.iter().map(|&handle| handle.to_owned()).collect();
    template
}

/// What a first reconcile of a template would do at an account that has these, and which of them it could not adopt.
pub(crate) fn first_plan(
    template: &MessageTemplate,
    account: &str,
    templates: Vec<TemplateObservation>,
) -> (Vec<String>, Vec<String>) {
    let desired = validate(template).unwrap();
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let seen = Observation {
        wanted: [account.to_owned()].into(),
        accounts: [(account.to_owned(), AccountView::Listed { at, templates })].into(),
        knows_senders: true,
        elsewhere: BTreeMap::new(),
        claims: Claims::default(),
        data_plane_follows: true,
        now: at,
    };
    let plan = plan(&desired, &[], &seen);
    let steps = plan.steps.iter().map(|step| format!("{step:?}")).collect();
    (steps, plan.refused.iter().map(ToString::to_string).collect())
}

fn desired_names(template: &MessageTemplate) -> BTreeSet<String> {
    validate(template).unwrap().languages.into_values().map(|(_, revision)| revision.name).collect()
}

fn conditions(progress: &Progress<MessageTemplateStatus>, outcome: &Result<(), Failure>) -> Vec<String> {
    let assessed = progress.assess(outcome.as_ref().copied(), &[SYNCED, APPROVED]);
    assessed.iter().map(|(name, a)| format!("{name}={} {}", a.state.as_str(), a.reason)).collect()
}

#[test]
fn a_crash_after_any_write_leaves_at_most_one_revision_and_nothing_behind() {
    let story: [(&str, MessageTemplate, &[&str]); 6] = [
        ("created", first(), &[ACCOUNT]),
        ("changed", changed(), &[ACCOUNT]),
        ("at another account too", changed(), &[ACCOUNT, OTHER]),
        ("rolled back", first(), &[ACCOUNT, OTHER]),
        (
            "in one language less",
            template(&[(
                "    - { language: de, body: \"Hallo {{1}}, dein Paket hat heute unser Lager verlassen.\" }\n",
                "",
            )]),
            &[ACCOUNT, OTHER],
        ),
        ("at one account less", first(), &[OTHER]),
    ];
    for (lag, creation_takes, review_begins) in [
        (0, 0, ReviewBegins::OnSubmit),
        (30, 0, ReviewBegins::OnSubmit),
        (30, 0, ReviewBegins::OnCreate),
        (60, 45, ReviewBegins::OnSubmit),
    ] {
        for crashing in 0..story.len() {
            for crash_after in 1.. {
                let mut world = World::new();
                world.lag = SignedDuration::from_secs(lag);
                world.creation_takes = SignedDuration::from_secs(creation_takes);
                world.review_begins = review_begins;
                let mut crashed = true;
                for (at, (chapter, template, wanted)) in story.iter().enumerate() {
                    if at == crashing {
                        *lock(&world.crash_after) = Some(crash_after);
                        world.run_until_quiet(template, wanted);
                        crashed = lock(&world.crash_after).is_none();
                    } else {
                        world.run_until_quiet(template, wanted);
                    }
                    for account in [ACCOUNT, OTHER] {
                        let names: BTreeSet<_> = world.names(account).into_iter().collect();
                        let expected =
                            if wanted.contains(&account) { desired_names(template) } else { BTreeSet::new() };
                        assert_eq!(
                            names, expected,
                            "{chapter}, crashed in {crashing} after write {crash_after}, lag {lag}, {review_begins:?}"
                        );
                    }
                }
                // The count was never reached: there are no further writes to crash after.
                if !crashed {
                    break;
                }
            }
        }
    }
}

#[test]
fn at_rest_nothing_is_written() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    let status = lock(&world.recorded).clone();
    world.writes();
    for _ in 0..3 {
        let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
        assert!(outcome.is_ok() && !progress.has_changed());
    }
    assert_eq!((world.writes(), &*lock(&world.recorded)), (vec![], &status));
}

#[test]
fn conditions_follow_the_review() {
    let mut world = World::new();
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(
        conditions(&progress, &outcome),
        [
            "Approved=Unknown UnderReview",
            "Ready=False UnderReview",
            "Reconciling=True UnderReview",
            "Synced=True Submitted"
        ]
    );
    assert_eq!(progress.status.approval, Some(RevisionState::Pending));

    world.review_language(ACCOUNT, "de", Approval::Approved);
    let (progress, _) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(progress.status.languages.as_ref().unwrap().summary, "1/2");

    world.approve_all();
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(
        conditions(&progress, &outcome),
        ["Approved=True Approved", "Ready=True Ready", "Synced=True Submitted"]
    );
    assert_eq!(progress.status.languages.as_ref().unwrap().summary, "2/2");

    world.review_language(ACCOUNT, "de", Approval::Paused { reason: "low quality".into() });
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    let paused = conditions(&progress, &outcome);
    assert!(paused.contains(&"Ready=False TemplatePaused".to_owned()), "{paused:?}");
    assert!(!paused.iter().any(|condition| condition.starts_with(STALLED)), "{paused:?}");
}

#[test]
fn a_rejection_is_reported_in_the_providers_words_and_waits_for_a_person() {
    let mut world = World::new();
    world.pass(&first(), &[ACCOUNT]);
    world.approve_all();
    world.review_language(ACCOUNT, "de", Approval::Rejected { reason: "INVALID_FORMAT. Too short.".into() });
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    let message = outcome.as_ref().unwrap_err().message();
    assert_eq!(
        message,
        format!(
            "WhatsApp rejected de at {ACCOUNT}: INVALID_FORMAT. Too short.; change the template, and the change is \
             submitted as a new revision"
        )
    );
    assert_eq!(
        conditions(&progress, &outcome),
        ["Approved=False Rejected", "Ready=False Rejected", "Stalled=True Rejected", "Synced=True Submitted"]
    );
    // The approved language can still be sent.
    let config = compile(&first().spec, &progress.status).unwrap();
    assert_eq!(config.localizations["en_US"].accounts[ACCOUNT].approval, Approval::Approved);

    // A change resolves it.
    let mended = template(&[("Hallo {{1}}", "Guten Tag {{1}}")]);
    world.run_until_quiet(&mended, &[ACCOUNT]);
    assert_eq!(world.names(ACCOUNT).into_iter().collect::<BTreeSet<_>>(), desired_names(&mended));
}

#[test]
fn a_pipeline_need_not_wait_for_the_review() {
    let mut world = World::new();
    let submitted = template(&[("readyWhen: Approved", "readyWhen: Submitted")]);
    let (progress, outcome) = world.done(&submitted, &[ACCOUNT]);
    let conditions = conditions(&progress, &outcome);
    assert!(conditions.contains(&format!("{READY}=True Ready")), "{conditions:?}");
    assert!(!conditions.iter().any(|condition| condition.starts_with(RECONCILING)), "{conditions:?}");
}

#[test]
fn the_last_approved_revision_serves_with_its_own_text_until_every_account_approved_the_next() {
    let mut world = World::new();
    let both = [ACCOUNT, OTHER];
    world.run_until_quiet(&first(), &both);
    let more = template(&[
        (
            "    - { key: \"1\", example: Ava }\n",
            "    - { key: \"1\", example: Ava }\n    - { key: \"2\", example: today }\n",
        ),
        ("warehouse today.", "warehouse {{2}} at noon."),
        ("hat heute unser", "hat {{2}} unser"),
    ]);
    world.pass(&more, &both);
    world.review_language(ACCOUNT, "en_US", Approval::Approved);
    let (progress, _) = world.done(&more, &both);
    let config = compile(&more.spec, &progress.status).unwrap();
    assert_eq!(config.variables, ["1"]);
    let english = &config.localizations["en_US"];
    assert!(english.content.body.ends_with("warehouse today."), "{}", english.content.body);
    assert_eq!(english.accounts.values().map(|a| &a.approval).collect::<Vec<_>>(), [&Approval::Approved; 2]);
    assert_eq!(world.names(ACCOUNT).len(), 4);

    world.run_until_quiet(&more, &both);
    let config = compile(&more.spec, &lock(&world.recorded)).unwrap();
    assert_eq!(config.variables, ["1", "2"]);
    assert!(config.localizations["en_US"].content.body.ends_with("at noon."));
    assert_eq!(world.names(ACCOUNT).len(), 2);
}

#[test]
fn nothing_that_a_replica_may_still_send_with_is_deleted() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.pass(&changed(), &[ACCOUNT]);
    world.approve_all();
    world.data_plane_follows = false;
    for _ in 0..3 {
        world.pass(&changed(), &[ACCOUNT]);
    }
    assert_eq!(world.names(ACCOUNT).len(), 3);
    assert!(world.plan(&changed(), &[ACCOUNT]).1.look_again_at.is_some());
    world.data_plane_follows = true;
    world.pass(&changed(), &[ACCOUNT]);
    assert_eq!(world.names(ACCOUNT).len(), 2);
}

#[test]
fn other_peoples_templates_are_left_alone() {
    let mut world = World::new();
    let theirs = TemplateObservation {
        handle: TemplateHandle::new("HXtheirs"),
        name: "toys_parcel_sent_0000000000_en_us_0000000000".into(),
        language: "en_US".into(),
        approval: Approval::Rejected { reason: "no".into() },
        category: None,
        content: Err(Inexpressible("is of no interest".into())),
    };
    lock(&world.accounts).entry(ACCOUNT.into()).or_default().push(Kept { since: Timestamp::MIN, template: theirs });
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.run_until_quiet(&changed(), &[ACCOUNT]);
    assert!(world.names(ACCOUNT).contains(&"toys_parcel_sent_0000000000_en_us_0000000000".to_owned()));
}

#[test]
fn an_account_that_cannot_be_listed_stays_as_recorded_and_does_not_hold_up_the_others() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT, OTHER]);
    let desired = validate(&changed()).unwrap();
    let known = lock(&world.recorded).locations.clone();
    let mut seen = world.observe(&[ACCOUNT, OTHER]);
    seen.accounts.insert(OTHER.into(), AccountView::Unavailable);
    let plan = plan(&desired, &known, &seen);
    assert_eq!(plan.steps, [Step::Create { account: ACCOUNT.into(), language: "en_US".into() }]);
    let at_other = |locations: &[crds::TemplateLocationStatus]| {
        locations.iter().filter(|location| location.account == OTHER).cloned().collect::<Vec<_>>()
    };
    assert_eq!(at_other(&plan.locations), at_other(&known));
}

#[test]
fn an_account_without_credentials_is_given_up_and_reported() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT, OTHER]);
    let desired = validate(&first()).unwrap();
    let known = lock(&world.recorded).locations.clone();
    let mut seen = world.observe(&[ACCOUNT]);
    seen.accounts.insert(OTHER.into(), AccountView::Lost);
    let plan = plan(&desired, &known, &seen);
    assert_eq!((plan.lost.len(), plan.steps.len()), (2, 0));
    assert!(plan.locations.iter().all(|location| location.account == ACCOUNT));
}

#[test]
fn a_creation_whose_answer_was_lost_is_found_again_and_a_refused_one_is_tried_again_at_once() {
    let error = |class, http_status| ProviderError {
        failure: failure::Failure::new(class, "no"),
        http_status,
        retry_after: None,
    };
    let mut world = World::new();
    *lock(&world.fail_next) = Some(error(FailureClass::Ambiguous, None));
    let (_, outcome) = world.done(&first(), &[ACCOUNT]);
    assert!(outcome.is_err());
    // The other language was not tried after the failure, so it need not wait.
    let (_, plan) = world.plan(&first(), &[ACCOUNT]);
    assert_eq!(plan.steps, [Step::Create { account: ACCOUNT.into(), language: "en_US".into() }]);
    assert!(plan.look_again_at.is_some());

    let mut world = World::new();
    *lock(&world.fail_next) = Some(error(FailureClass::Retry, Some(429)));
    world.pass(&first(), &[ACCOUNT]);
    assert_eq!(world.plan(&first(), &[ACCOUNT]).1.steps.len(), 2);
}

#[test]
fn a_revision_that_was_deleted_at_the_provider_is_created_again() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    lock(&world.accounts).clear();
    world.now += SignedDuration::from_hours(1);
    world.writes();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    assert_eq!(world.writes().len(), 4);
}

#[test]
fn a_paused_template_is_observed_and_not_changed() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    world.paused = true;
    world.writes();
    let (progress, outcome) = world.done(&changed(), &[ACCOUNT]);
    let conditions = conditions(&progress, &outcome);
    for expected in ["Reconciling=True Paused", "Ready=False Paused", "Synced=False Paused"] {
        assert!(conditions.contains(&expected.to_owned()), "{conditions:?}");
    }
    let synced = &progress.assess(outcome.as_ref().copied(), &[])[SYNCED];
    assert_eq!(synced.message, format!("not submitted while the template is paused: en_US at {ACCOUNT}"));
    assert_eq!(world.writes(), Vec::<String>::new());
    // The serving revision keeps serving.
    let config = compile(&changed().spec, &progress.status).unwrap();
    assert_eq!(config.localizations["en_US"].accounts[ACCOUNT].approval, Approval::Approved);

    world.paused = false;
    world.run_until_quiet(&changed(), &[ACCOUNT]);
    assert_eq!(world.names(ACCOUNT).into_iter().collect::<BTreeSet<_>>(), desired_names(&changed()));
}

#[test]
fn a_config_always_has_its_fallback_language() {
    let mut world = World::new();
    let late = template(&[("readyWhen: Approved", "readyWhen: Submitted")]);
    // Only one language was created before the provider failed.
    let (desired, plan) = world.plan(&late, &[ACCOUNT]);
    let locations = plan.locations.into_iter().filter(|location| location.language == "de").collect();
    let mut status = MessageTemplateStatus::default();
    report::record(&mut status, &desired, locations);
    assert_eq!(compile(&late.spec, &status), None, "nothing has a handle yet");
    world.run_until_quiet(&late, &[ACCOUNT]);
    let mut status = lock(&world.recorded).clone();
    status.locations.retain(|location| location.language == "de");
    let config = compile(&late.spec, &status).unwrap();
    assert_eq!(config.fallback_language, "de");
}

#[test]
fn a_revision_does_not_stop_serving_while_another_account_reviews_a_newer_one() {
    let mut world = World::new();
    world.run_until_quiet(&first(), &[ACCOUNT]);
    let mut status = lock(&world.recorded).clone();
    let serving = status.locations.iter().find(|location| location.language == "en_US").unwrap().clone();
    // An account that sorts before it has only a newer revision, which takes another value and is under review.
    let mut reviewed = crds::TemplateLocationStatus { account: "AC0".to_owned(), serving: None, ..serving };
    let newest = reviewed.newest.as_mut().unwrap();
    let mut contents = status.revisions.iter().find(|contents| contents.name == newest.name).unwrap().clone();
    (newest.name, newest.state) = ("newer".to_owned(), crds::RevisionState::Pending);
    (contents.name, contents.content.body) = ("newer".to_owned(), "Hello {{1}}, {{2}} is on its way.".to_owned());
    status.locations.insert(0, reviewed);
    status.revisions.push(contents);
    let config = compile(&first().spec, &status).unwrap();
    assert_eq!(config.localizations["en_US"].accounts[ACCOUNT].approval, Approval::Approved);
}

#[test]
fn the_linters_findings_are_reported_with_their_fields() {
    let wrong = template(&[("Hallo {{1}}, dein", "Hallo {{1}} und {{3}}, dein")]);
    let error = validate(&wrong).unwrap_err().to_string();
    assert!(
        error.starts_with("spec.localizations[1].body: {{3}} has no entry in spec.variables (known: 1)"),
        "{error}"
    );
}
