//! What is decided, case by case.

use crds::{CodeAttempt, RegistrationAttempt, RegistrationStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::admin::{SenderObservation, Stage};

use crate::sender::registration::plan::{Asked, Code, Kind, NoCode, Step, plan};
use crate::testing::senders::online_sender;

fn hour(hours: i64) -> Timestamp {
    Timestamp::from_second(hours * 3600).unwrap()
}

fn sender(online: bool, stage: Stage) -> Option<SenderObservation> {
    Some(SenderObservation { online, stage, ..online_sender("XE1") })
}

fn verdict() -> Step {
    Step::AwaitVerdict { until: hour(100) + SignedDuration::from_secs(100) }
}

/// Registrations at these hours, with the last one's refusal.
fn attempts(hours: &[i64], refusal: Option<&str>) -> RegistrationStatus {
    let attempts = hours.iter().map(|&at| RegistrationAttempt { at: Time(hour(at)), generation: 1, refusal: None });
    let mut attempts: Vec<_> = attempts.collect();
    attempts.last_mut().unwrap().refusal = refusal.map(Into::into);
    RegistrationStatus { attempts, ..RegistrationStatus::default() }
}

/// Codes at these hours, all refused but perhaps the last one. Each is called after its hour.
fn codes(hours: &[i64], is_last_refused: bool) -> RegistrationStatus {
    let code = |&at: &i64| CodeAttempt { at: Time(hour(at)), digest: at.to_string(), refusal: Some("no".into()) };
    let mut codes: Vec<_> = hours.iter().map(code).collect();
    if !is_last_refused {
        codes.last_mut().unwrap().refusal = None;
    }
    RegistrationStatus { codes, ..RegistrationStatus::default() }
}

#[test]
fn each_state_of_a_registration_has_its_next_step() {
    let nothing = RegistrationStatus::default;
    let given = |digest: &str| Code::Given(vec![digest.to_owned(), "old".to_owned()]);
    let none = || Code::NotNamed;
    let awaits = || sender(false, Stage::AwaitsCode);
    let locked = RegistrationStatus { locked_until: Some(Time(hour(200))), ..nothing() };
    let was_online = RegistrationStatus { registered_at: Some(Time(hour(3))), ..nothing() };
    let exhausted = |kind, until| Step::Exhausted { kind, until: hour(until) };
    let refused = |until| Step::Refused { why: "no".into(), until: hour(until) };
    // At hour 100.
    for (why, known, seen, code, step) in [
        ("it is not there", nothing(), None, none(), Step::Register),
        ("it was registered long ago, in vain", attempts(&[1], None), None, none(), Step::Register),
        ("it was refused long ago", attempts(&[70], Some("no")), None, none(), Step::Register),
        ("it was refused", attempts(&[90], Some("no")), None, none(), refused(114)),
        ("two attempts", attempts(&[30, 40], None), None, none(), Step::Register),
        ("three attempts", attempts(&[30, 40, 50], None), None, none(), exhausted(Kind::Registrations, 102)),
        ("the first of three was 72 hours ago", attempts(&[28, 40, 50], None), None, none(), Step::Register),
        ("three of four", attempts(&[1, 30, 40, 50], None), None, none(), exhausted(Kind::Registrations, 102)),
        ("it is locked", locked.clone(), None, none(), exhausted(Kind::Registrations, 200)),
        ("it was online and is gone", was_online.clone(), None, none(), Step::Gone { since: hour(3) }),
        ("it is under way", nothing(), sender(false, Stage::UnderWay), none(), Step::AwaitProvider),
        ("it is offline for other reasons", nothing(), sender(false, Stage::Settled), none(), Step::Nothing),
        ("it is online", nothing(), sender(true, Stage::Settled), none(), Step::Registered),
        ("it was online", was_online, sender(true, Stage::Settled), none(), Step::Nothing),
        ("no Secret is named", nothing(), awaits(), none(), Step::AwaitCode(NoCode::NotNamed)),
        ("the Secret has no code", nothing(), awaits(), Code::Missing, Step::AwaitCode(NoCode::Missing)),
        ("that is no code", nothing(), awaits(), Code::Malformed, Step::AwaitCode(NoCode::Malformed)),
        ("a code", nothing(), awaits(), given("a"), Step::PassOn { digest: "a".into() }),
        ("another code", codes(&[50], true), awaits(), given("a"), Step::PassOn { digest: "a".into() }),
        (
            "the same code",
            codes(&[50, 51], true),
            awaits(),
            given("50"),
            Step::AwaitCode(NoCode::Tried { at: hour(50), why: "no".into() }),
        ),
        (
            "the same code under another key",
            codes(&[50], true),
            awaits(),
            Code::Given(vec!["a".into(), "50".into()]),
            Step::AwaitCode(NoCode::Tried { at: hour(50), why: "no".into() }),
        ),
        ("a code was passed on just now", codes(&[100], false), awaits(), given("a"), verdict()),
        ("a code was passed on, in vain", codes(&[99], false), awaits(), given("a"), Step::CodeRefused),
        ("five codes", codes(&[30, 40, 50, 60, 70], true), awaits(), given("a"), exhausted(Kind::Codes, 102)),
        (
            "the first of five was 72 hours ago",
            codes(&[28, 40, 50, 60, 70], true),
            awaits(),
            given("a"),
            Step::PassOn { digest: "a".into() },
        ),
        ("codes are locked", locked, awaits(), given("a"), exhausted(Kind::Codes, 200)),
    ] {
        let asked = Asked {
            is_wanted: true,
            is_kept_out: false,
            known: &known,
            code: &code,
            generation: 1,
            is_requested: false,
            now: hour(100),
        };
        assert_eq!(plan(&asked, seen.as_ref()), step, "{why}");
        assert_eq!(plan(&Asked { is_wanted: false, ..asked }, seen.as_ref()), Step::Nothing, "{why}, unwanted");
        assert_eq!(plan(&Asked { is_kept_out: true, ..asked }, seen.as_ref()), Step::Nothing, "{why}, kept out");
    }
}

#[test]
fn a_call_without_an_answer_is_waited_for_and_a_refusal_until_something_changes() {
    let now = hour(100);
    let asked = |known, generation, is_requested| {
        let code = &Code::NotNamed;
        let asked = Asked { is_wanted: true, is_kept_out: false, known, code, generation, is_requested, now };
        plan(&asked, None)
    };
    let open = attempts(&[100], None);
    let until = now + SignedDuration::from_mins(10);
    for (generation, is_requested) in [(1, false), (2, false), (1, true)] {
        assert_eq!(asked(&open, generation, is_requested), Step::AwaitSender { until });
    }
    let refused = attempts(&[100], Some("no"));
    assert!(matches!(asked(&refused, 1, false), Step::Refused { .. }));
    assert_eq!(asked(&refused, 2, false), Step::Register);
    assert_eq!(asked(&refused, 1, true), Step::Register);
    // What counts, counts also then.
    let thrice = attempts(&[98, 99, 100], Some("no"));
    assert_eq!(asked(&thrice, 2, true), Step::Exhausted { kind: Kind::Registrations, until: hour(170) });
}
