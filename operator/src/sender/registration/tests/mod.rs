//! Whatever happens in between, a number is registered and verified with as few attempts as WhatsApp allows, and then
//! it is silent.

mod decisions;
mod world;

use std::collections::BTreeSet;

use crds::annotation::{PAUSED, RECONCILE_REQUESTED_AT};
use crds::condition::reason;
use crds::{DeletionPolicy, RegistrationStatus, VerificationMethod};
use kube::ResourceExt;
use messaging::provider::admin::{CodeBy, Registered};

use self::world::{REGISTER, VERIFY, World, registration};
use super::plan::{KEPT, MOST_ATTEMPTS, MOST_CODES};
use crate::reconcile::error::Advice;
use crate::reconcile::events::reason as event;

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn a_number_is_registered_where_the_spec_asks_for_it_and_comes_online_with_the_code() {
    let mut world = World::without_registration();
    world.sends("123456");
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 0, "nobody asked for it");
    let (why, message) = world.offline();
    assert_eq!(why, reason::SENDER_NOT_FOUND);
    assert!(message.contains("spec.provider.twilio.registration"), "{message}");

    world.ask(Some(registration()));
    world.round().await;
    assert_eq!(world.offline().0, reason::REGISTERING);
    let registered = world.admin.registered();
    let inbound = registered[0].webhooks.inbound.clone().unwrap_or_default();
    assert!(inbound.contains("/webhooks/shop/support/"), "nothing that customers write is lost: {inbound}");
    assert_eq!((registered[0].profile.name.as_str(), registered[0].code_by), ("Shop", CodeBy::Sms));
    world.settle().await;
    let (why, message) = world.offline();
    assert_eq!(why, reason::AWAITS_CODE);
    assert!(message.contains("in a text message: put it into the key sms of the secret \"code\""), "{message}");
    assert!(matches!(world.failed, Some((Advice::Waiting { after: None }, ..))), "its Secret wakes it");

    world.write_down("123-456");
    world.settle().await;
    assert!(world.is_ready());
    assert_eq!((world.admin.calls(REGISTER), world.admin.told_codes()), (1, vec!["123456".to_owned()]));
    let about: Vec<_> = world.told.iter().filter(|told| **told != event::WEBHOOKS_CONFIGURED).collect();
    assert_eq!(about, [&event::REGISTRATION_BEGAN, &event::CODE_PASSED_ON, &event::NUMBER_REGISTERED]);
}

#[tokio::test]
async fn a_number_of_the_providers_own_needs_no_code_and_no_secret() {
    let mut world = World::new();
    world.ask(Some(crds::Registration { verification_code_secret_ref: None, ..registration() }));
    world.settle().await;
    assert!(world.is_ready());
    assert_eq!((world.admin.calls(REGISTER), world.admin.calls(VERIFY)), (1, 0));
}

#[tokio::test]
async fn who_names_no_secret_and_who_is_called_is_told_so() {
    let mut world = World::new();
    world.sends("123456");
    let by_voice = VerificationMethod::Voice;
    let spoken =
        crds::Registration { verification_method: by_voice, verification_code_secret_ref: None, ..registration() };
    world.ask(Some(spoken));
    world.settle().await;
    let (_, message) = world.offline();
    assert!(message.contains("in a call") && message.contains("registration.verificationCodeSecretRef"), "{message}");
    world.ask(Some(registration()));
    world.write_down("my code is 123456");
    world.settle().await;
    let (_, message) = world.offline();
    assert!(message.contains("expected 6 digits"), "{message}");
    assert_eq!(world.admin.calls(VERIFY), 0, "nothing is passed on that is no code");
}

/// A person reads what arrives and writes it down, until the number is online.
async fn until_online(world: &mut World, why: &str) {
    for code in ["100000", "200000", "300000", "400000"] {
        world.settle().await;
        if world.is_ready() {
            return;
        }
        world.sends(code);
        world.write_down(code);
    }
    world.settle().await;
    assert!(world.is_ready(), "{why}: {:?}", world.failed);
}

/// What holds whatever happened.
fn is_careful(world: &World, why: &str) {
    assert!(world.most_in_72_hours(REGISTER) <= MOST_ATTEMPTS, "{why}: {:?}", world.calls);
    assert!(world.most_in_72_hours(VERIFY) <= MOST_CODES, "{why}: {:?}", world.calls);
    let codes = world.admin.told_codes();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{why}: {codes:?}");
    assert!(world.admin.registered().len() <= 1, "{why}");
    let known = world.registration();
    assert!(known.attempts.len() >= world.admin.calls(REGISTER), "{why}: a call that is not counted");
    assert!(known.codes.len() >= world.admin.calls(VERIFY), "{why}: a code that is not counted");
}

#[tokio::test]
async fn a_crash_after_any_write_registers_once_and_passes_each_code_on_once_and_then_there_is_silence() {
    let mut crashes = 0;
    for (lags, nth) in [false, true].into_iter().flat_map(|lags| (0..15).map(move |nth| (lags, nth))) {
        let mut world = World::new();
        world.sends("999999");
        world.admin.fuse.light(nth);
        // What was written shows a while later.
        world.admin.hold_back_senders(lags);
        for _ in 0..5 {
            world.round().await;
        }
        world.admin.hold_back_senders(false);
        world.settle().await;
        // The first code is read wrongly.
        world.write_down("999990");
        let why = format!("with a crash after write {nth}, {lags}");
        until_online(&mut world, &why).await;
        is_careful(&world, &why);
        assert!(world.registration().registered_at.is_some(), "{why}");
        crashes += world.crashes;
    }
    // Without a crash there are fewer than 15 writes.
    assert!((20..30).contains(&crashes), "{crashes} crashes");
}

#[tokio::test]
async fn a_lost_answer_counts_and_is_not_made_up_for_by_another_call() {
    for operation in [REGISTER, VERIFY] {
        let mut world = World::new();
        world.sends("123456");
        world.write_down("123456");
        world.admin.lose_answer(operation);
        world.settle().await;
        assert!(world.is_ready(), "{operation}: {:?}", world.failed);
        assert_eq!((world.admin.calls(REGISTER), world.admin.calls(VERIFY)), (1, 1), "{operation}");
        let known = world.registration();
        assert_eq!((known.attempts.len(), known.codes.len()), (1, 1), "{operation}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_knows_the_outcome_of_is_waited_for_before_there_is_another() {
    let mut world = World::new();
    world.admin.fail_operation(REGISTER, 1);
    world.round().await;
    for _ in 0..9 {
        world.round().await;
    }
    assert_eq!(world.admin.calls(REGISTER), 1, "it may still show up");
    assert_eq!(world.offline().0, reason::REGISTERING);
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (2, true));
}

#[tokio::test]
async fn lists_that_lag_lead_to_no_second_attempt() {
    let mut world = World::new();
    world.sends("123456");
    world.write_down("123456");
    world.admin.hold_back_senders(true);
    for _ in 0..8 {
        world.round().await;
    }
    assert_eq!(world.admin.calls(REGISTER), 1, "it is there, and not shown");
    // The provider shows that it waits for a code, also after that was passed on.
    world.admin.hold_back_senders(true);
    for _ in 0..2 {
        world.round().await;
    }
    assert_eq!((world.admin.calls(VERIFY), world.is_ready()), (1, false));
    world.admin.hold_back_senders(false);
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.admin.calls(VERIFY), world.is_ready()), (1, 1, true));
    assert!(!world.told.contains(&event::CODE_REFUSED));
}

#[tokio::test]
async fn a_wrong_code_is_passed_on_once_and_told_and_the_next_one_is_passed_on() {
    let mut world = World::new();
    world.sends("123456");
    world.write_down("123465");
    world.settle().await;
    let (why, message) = world.offline();
    assert_eq!(why, reason::AWAITS_CODE);
    assert!(message.contains("put the newest one into the key sms") && message.contains("did not accept"), "{message}");
    assert_eq!(world.told.iter().filter(|told| **told == event::CODE_REFUSED).count(), 1);
    world.restart();
    world.settle().await;
    assert_eq!(world.admin.told_codes(), ["123465"]);
    world.write_down("123456");
    world.settle().await;
    assert!(world.is_ready());
    assert_eq!(world.admin.told_codes(), ["123465", "123456"]);
}

#[tokio::test]
async fn what_the_provider_refuses_to_take_as_a_code_is_told_with_its_words() {
    let mut world = World::new();
    world.sends("123456");
    world.settle().await;
    world.admin.refuse_registrations(Some("the code has expired"));
    world.write_down("123456");
    world.settle().await;
    let (why, message) = world.offline();
    assert!(why == reason::AWAITS_CODE && message.contains("the code has expired"), "{message}");
    assert_eq!(world.admin.calls(VERIFY), 1);
}

#[tokio::test]
async fn however_much_the_provider_says_little_of_it_is_kept() {
    let mut world = World::new();
    world.admin.refuse_registrations(Some(Box::leak("no ".repeat(1000).into_boxed_str())));
    world.settle().await;
    let refusal = world.registration().attempts[0].refusal.clone().unwrap_or_default();
    assert!((1..=300).contains(&refusal.chars().count()), "{refusal}");
}

#[tokio::test]
async fn no_more_codes_are_passed_on_than_whatsapp_allows_and_the_right_one_later() {
    let mut world = World::new();
    world.sends("123456");
    world.settle().await;
    for wrong in 0..MOST_CODES {
        world.write_down(&format!("{wrong:06}"));
        world.settle().await;
    }
    world.write_down("123456");
    world.settle().await;
    let (why, message) = world.offline();
    assert_eq!(why, reason::ATTEMPTS_EXHAUSTED);
    assert!(message.contains("it goes on by itself at"), "{message}");
    assert_eq!(world.admin.calls(VERIFY), MOST_CODES);
    for _ in 0..4 {
        world.wait(DAY);
        world.settle().await;
    }
    is_careful(&world, "in the end");
    assert!(world.is_ready());
}

#[tokio::test]
async fn a_number_is_not_registered_more_often_than_whatsapp_allows_and_later_by_itself() {
    let mut world = World::new();
    world.admin.fail_operation(REGISTER, MOST_ATTEMPTS);
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), MOST_ATTEMPTS);
    let (why, message) = world.offline();
    assert_eq!(why, reason::ATTEMPTS_EXHAUSTED);
    assert!(message.contains("it goes on by itself at"), "{message}");
    assert!(matches!(world.failed, Some((Advice::Waiting { after: Some(_) }, ..))));
    world.wait(3 * DAY);
    world.settle().await;
    is_careful(&world, "in the end");
    assert!(world.is_ready());
}

#[tokio::test]
async fn what_the_provider_refuses_is_stalled_and_tried_again_when_something_changes_or_a_day_later() {
    let mut world = World::new();
    world.admin.refuse_registrations(Some("profile.name is not allowed"));
    world.settle().await;
    let Some((advice, why, message)) = world.failed.clone() else { panic!("it failed") };
    assert_eq!((advice, why), (Advice::Stalled, reason::PROVIDER_REFUSED));
    assert!(message.contains("profile.name is not allowed; correct spec.provider.twilio.registration"), "{message}");
    world.restart();
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 1, "nothing has changed");
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 2, "the spec has changed");
    world.admin.refuse_registrations(None);
    world.change(|sender| drop(sender.annotations_mut().insert(RECONCILE_REQUESTED_AT.to_owned(), "now".to_owned())));
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (3, true), "somebody asked for it");

    let mut world = World::new();
    world.admin.refuse_registrations(Some("no"));
    world.settle().await;
    world.admin.refuse_registrations(None);
    world.wait(DAY);
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (2, true), "a day later");
}

#[tokio::test]
async fn a_number_that_somebody_else_has_is_stalled_with_what_to_do() {
    let mut world = World::new();
    world.admin.answer_registrations(Some(Registered::IsTaken));
    world.settle().await;
    let Some((advice, _, message)) = world.failed.clone() else { panic!("it failed") };
    assert!(advice == Advice::Stalled && message.contains("release it there"), "{message}");
    // It is this account's after all.
    world.admin.add_sender(&world.number.clone(), "XE9");
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (1, true));
}

#[tokio::test]
async fn once_the_provider_speaks_of_too_many_attempts_nothing_is_tried_for_72_hours() {
    let mut world = World::new();
    world.admin.answer_registrations(Some(Registered::TooOften));
    world.settle().await;
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.offline().0.as_str()), (1, reason::ATTEMPTS_EXHAUSTED));
    world.admin.answer_registrations(None);
    world.wait(3 * DAY);
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (2, true));

    let mut world = World::new();
    world.sends("123456");
    world.admin.lock_codes();
    for code in ["000000", "111111"] {
        world.write_down(code);
        world.settle().await;
    }
    assert_eq!((world.admin.calls(VERIFY), world.offline().0.as_str()), (1, reason::ATTEMPTS_EXHAUSTED));
    let refusal = world.registration().codes[0].refusal.clone();
    assert_eq!(refusal.as_deref(), Some("the provider said that there were too many attempts"));
}

#[tokio::test]
async fn credentials_that_may_not_register_cost_no_attempt_and_the_permission_is_named() {
    let mut world = World::new();
    world.admin.refuse(REGISTER);
    world.round().await;
    let Some((advice, why, message)) = world.failed.clone() else { panic!("it failed") };
    assert_eq!((advice, why), (Advice::Stalled, reason::PROVIDER_REFUSED));
    assert!(message.contains("authToken") && message.contains("the permission to register"), "{message}");
    assert_eq!(world.registration().attempts.len(), 0);
    world.admin.refuse_nothing();
    world.settle().await;
    assert!(world.is_ready());
}

#[tokio::test]
async fn credentials_that_may_not_pass_a_code_on_cost_no_code() {
    let mut world = World::new();
    world.sends("123456");
    world.settle().await;
    world.write_down("123456");
    world.admin.refuse(VERIFY);
    world.round().await;
    let Some((_, _, message)) = world.failed.clone() else { panic!("it failed") };
    assert!(message.contains("authToken"), "{message}");
    assert_eq!(world.registration().codes.len(), 0);
    world.admin.refuse_nothing();
    world.settle().await;
    assert!(world.is_ready());
}

#[tokio::test]
async fn a_registration_that_somebody_began_in_the_console_is_finished_where_the_spec_asks_for_it() {
    let mut world = World::without_registration();
    let number = world.number.clone();
    world.sends("123456");
    world.write_down("123456");
    world.admin.begin_in_console(&number, "XE7");
    world.settle().await;
    let (why, message) = world.offline();
    assert_eq!((why.as_str(), world.admin.calls(VERIFY)), (reason::AWAITS_CODE, 0));
    assert!(
        message.contains("enter it in the provider's console, or") && message.contains("registration"),
        "{message}"
    );
    assert_eq!(world.admin.calls("configure_webhooks"), 0, "nothing is changed in the midst of it");
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.admin.calls(VERIFY), world.is_ready()), (0, 1, true));
}

#[tokio::test]
async fn a_number_that_was_online_is_not_registered_again_unless_that_is_declared_anew() {
    let mut world = World::new();
    world.settle().await;
    world.admin.remove_sender(&world.number.clone());
    world.settle().await;
    let (why, message) = world.offline();
    assert_eq!((why.as_str(), world.admin.calls(REGISTER)), (reason::SENDER_NOT_FOUND, 1));
    assert!(message.contains("declare it again"), "{message}");
    world.ask(None);
    world.settle().await;
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!((world.admin.calls(REGISTER), world.is_ready()), (2, true));
}

#[tokio::test]
async fn a_paused_sender_and_one_whose_number_another_object_has_register_nothing() {
    let mut world = World::new();
    world.change(|sender| drop(sender.annotations_mut().insert(PAUSED.to_owned(), "true".to_owned())));
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 0);
    let mut world = World::without_registration();
    world.add("other");
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 0, "the first one does not ask for it");
}

#[tokio::test]
async fn a_leader_that_was_replaced_in_the_midst_of_a_call_leads_to_no_second_one() {
    for operation in [REGISTER, VERIFY] {
        let mut world = World::new();
        world.sends("123456");
        if operation == VERIFY {
            world.settle().await;
        }
        world.write_down("123456");
        let seen = world.object();
        world.admin.hold_up(operation);
        let successor = world.another_process();
        let first = async { drop(world.process.reconcile(&seen).await) };
        let second = async {
            world.admin.is_held_up().await;
            // It begins with what its watch shows, old or new.
            for object in [seen.clone(), world.object()] {
                drop(successor.reconcile(&object).await);
            }
            world.admin.go_on();
        };
        tokio::join!(first, second);
        assert_eq!(world.admin.calls(operation), 1, "{operation}");
        world.settle().await;
        assert!(world.is_ready(), "{operation}");
        is_careful(&world, operation);
    }
}

#[tokio::test]
async fn nobody_reads_a_code_from_a_status_an_event_or_an_error() {
    let mut world = World::new();
    world.sends("271828");
    for code in ["765432", "271828"] {
        world.write_down(code);
        world.settle().await;
    }
    assert!(world.is_ready());
    assert!(world.shown.contains("digest"), "it looks at the status");
    for code in ["765432", "271828"] {
        assert!(!world.shown.contains(code), "{code}");
    }
}

#[tokio::test]
async fn at_rest_nothing_is_written_also_after_a_restart() {
    let mut world = World::new();
    world.settle().await;
    let writes = world.admin.fuse.burnt();
    for _ in 0..5 {
        world.wait(DAY);
        world.round().await;
    }
    world.restart();
    world.round().await;
    assert_eq!(world.admin.fuse.burnt(), writes);
}

#[tokio::test]
async fn a_number_is_not_given_up_when_its_object_goes() {
    let mut world = World::new();
    world.settle().await;
    world.change(|sender| sender.spec.deletion_policy = DeletionPolicy::Delete);
    world.delete("support");
    world.settle_gone().await;
    assert_eq!(world.admin.registered().len(), 1);
    assert!(world.admin.has_sender(&world.number));
}

#[tokio::test]
async fn attempts_count_also_where_the_registration_is_taken_out_of_the_spec_and_declared_again() {
    let mut world = World::new();
    world.admin.fail_operation(REGISTER, MOST_ATTEMPTS);
    world.settle().await;
    let before = world.registration();
    world.ask(None);
    world.settle().await;
    assert_eq!(world.registration(), before);
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), MOST_ATTEMPTS);

    let mut world = World::new();
    world.admin.answer_registrations(Some(Registered::TooOften));
    world.settle().await;
    world.ask(None);
    world.settle().await;
    world.ask(Some(registration()));
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 1, "the number is locked");
    world.ask(None);
    world.wait(3 * DAY);
    world.settle().await;
    assert_eq!(world.registration(), RegistrationStatus::default(), "nothing is remembered that no longer counts");
}

#[tokio::test]
async fn what_was_tried_long_ago_is_forgotten() {
    let mut world = World::new();
    world.sends("123456");
    for n in 0..2 * KEPT {
        world.write_down(&format!("{n:06}"));
        world.settle().await;
        world.wait(DAY);
    }
    assert_eq!(world.registration().codes.len(), KEPT);
}

#[tokio::test]
async fn a_number_that_was_online_before_is_no_news() {
    let mut world = World::without_registration();
    world.admin.add_sender(&world.number.clone(), "XE1");
    world.ask(Some(registration()));
    world.settle().await;
    assert!(world.is_ready() && !world.told.contains(&event::NUMBER_REGISTERED), "{:?}", world.told);
}

#[tokio::test]
async fn a_person_who_asks_is_answered_once() {
    let mut world = World::new();
    world.admin.refuse_registrations(Some("profile.name is not allowed"));
    world.change(|sender| drop(sender.annotations_mut().insert(RECONCILE_REQUESTED_AT.to_owned(), "now".to_owned())));
    world.settle().await;
    assert_eq!(world.admin.calls(REGISTER), 1);
}
