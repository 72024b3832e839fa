use proptest::prelude::*;

use super::SuppressionReason::{Blocked, Manual, OptedOut, Unreachable};
use super::*;
use crate::clock::tests::at;

const STOP: Option<OptChange> = Some(OptChange::Stop);
const START: Option<OptChange> = Some(OptChange::Start);

fn empty() -> ContactState {
    ContactState::default()
}

fn cause(reason: SuppressionReason, seconds: i64) -> Suppression {
    Suppression { reason, at: at(seconds), detail: "a reason".into() }
}

fn reason(state: &ContactState, seconds: i64) -> Option<SuppressionReason> {
    state.suppression(at(seconds)).map(|suppression| suppression.reason)
}

fn lift(seconds: i64) -> Lift {
    Lift { at: at(seconds), by: "ann".into(), reason: "they asked for it".into() }
}

fn consent(status: ConsentStatus, seconds: i64) -> ConsentRecord {
    let evidence = Evidence { source: "form".into(), reference: None, at: None, note: None };
    ConsentRecord { status, recorded_at: at(seconds), evidence }
}

#[test]
fn a_stop_that_the_provider_dates_before_a_start_is_older_however_late_it_comes() {
    let started = empty().after_message(at(5), START, "start");
    let heard = started.heard_stop_said_at(at(2), "Stop");
    assert_eq!(reason(&heard, 6), None);
    let applied = heard.after_message(at(2), STOP, "Stop");
    assert_eq!((reason(&applied, 6), applied.heard), (None, None));
    let newer = empty().after_message(at(5), START, "start").heard_stop_said_at(at(7), "Stop");
    assert_eq!(reason(&newer, 8), Some(OptedOut));
}

#[test]
fn stop_suppresses_and_a_later_start_lifts_it() {
    let stopped = empty().after_message(at(1), STOP, " Stop ");
    let suppression = stopped.suppression(at(1)).expect("suppressed");
    assert_eq!((suppression.reason, suppression.at), (OptedOut, at(1)));
    assert_eq!(suppression.detail, "the contact sent \"Stop\"");
    assert_eq!(reason(&stopped.clone().after_message(at(2), None, ""), 2), Some(OptedOut));
    assert_eq!(reason(&stopped.after_message(at(3), START, "START"), 3), None);
}

#[test]
fn the_last_keyword_counts_in_whatever_order_keywords_are_applied() {
    let repeated = empty().after_message(at(1), STOP, "stop").after_message(at(5), STOP, "stop");
    assert_eq!(reason(&repeated.after_message(at(3), START, "start"), 9), Some(OptedOut), "a late start");
    let started = empty().after_message(at(5), START, "start");
    assert_eq!(reason(&started.after_message(at(3), STOP, "stop"), 9), None, "a late stop");
    let together = empty().after_message(at(5), START, "start").after_message(at(5), STOP, "stop");
    assert_eq!(reason(&together, 9), Some(OptedOut), "of two from the same moment, the stop");
}

#[test]
fn a_message_shows_that_the_contact_is_reachable_and_does_not_block() {
    for (cause_of, lifted) in [(Blocked, true), (Unreachable, true), (OptedOut, false), (Manual, false)] {
        let after = empty().suppressed(cause(cause_of, 0)).after_message(at(1), None, "hello");
        assert_eq!(reason(&after, 1).is_none(), lifted, "{cause_of:?}");
        let late = empty().suppressed(cause(cause_of, 9)).after_message(at(3), None, "hello");
        assert_eq!(reason(&late, 10), Some(cause_of), "an older message proves nothing");
    }
}

#[test]
fn of_a_message_to_another_number_of_the_pool_only_the_keyword_counts() {
    let blocked = empty().suppressed(cause(Blocked, 0));
    assert_eq!(blocked.clone().after_message_elsewhere(at(1), None, "hello"), blocked);
    let stopped = empty().heard_stop(&empty(), at(1), "Stop").after_message_elsewhere(at(1), STOP, "Stop");
    assert_eq!((reason(&stopped, 2), stopped.last_inbound_at, &stopped.heard), (Some(OptedOut), None, &None));
    assert_eq!(reason(&stopped.after_message_elsewhere(at(3), START, "START"), 3), None);
}

#[test]
fn a_stop_that_is_heard_suppresses_until_it_takes_effect_and_leaves_no_trace() {
    let heard = empty().heard_stop(&empty(), at(2), "Stop");
    assert_eq!(heard.suppression(at(2)), empty().after_message(at(2), STOP, "Stop").suppression(at(2)));
    assert_eq!(heard.clone().after_message(at(2), STOP, "Stop"), empty().after_message(at(2), STOP, "Stop"));
    assert_eq!(reason(&heard.clone().after_message(at(1), None, ""), 3), Some(OptedOut), "an older message");
    assert_eq!(reason(&heard.clone().after_message(at(3), None, ""), 3), Some(OptedOut), "a newer one");
    assert_eq!(reason(&heard.clone().after_message(at(3), START, "START"), 3), None);
    assert_eq!(reason(&heard.clone().lifted(lift(3)), 3), Some(OptedOut), "only the contact takes it back");
    assert_eq!(reason(&heard.clone().without_heard(), 3), None);
    let again = heard.heard_stop(&empty(), at(5), "stop").after_message(at(2), STOP, "Stop").after_message(
        at(3),
        START,
        "START",
    );
    assert_eq!(reason(&again, 6), Some(OptedOut), "the second stop has still to take effect");
    assert_eq!(reason(&empty().join(again), 6), Some(OptedOut));
}

#[test]
fn a_stop_that_comes_after_a_start_counts_although_its_clock_was_behind() {
    let started = empty().after_message(at(5), START, "start");
    let heard = started.heard_stop(&empty(), at(2), "Stop");
    assert_eq!(reason(&heard, 6), Some(OptedOut));
    let applied = heard.after_message(at(2), STOP, "Stop");
    assert_eq!((reason(&applied, 6), applied.heard.is_none()), (Some(OptedOut), true));
    assert_eq!(reason(&applied.after_message(at(7), START, "start"), 8), None);

    let elsewhere = empty().after_message(at(5), START, "start");
    let heard = empty().heard_stop(&elsewhere, at(2), "Stop").after_message(at(2), STOP, "Stop");
    assert_eq!(reason(&heard.join(elsewhere), 6), Some(OptedOut), "the start came from another address");
}

#[test]
fn no_keyword_undoes_what_the_tenant_did() {
    let by_hand = empty().suppressed(cause(Manual, 0));
    let after = by_hand.after_message(at(1), STOP, "STOP").after_message(at(2), START, "START");
    assert_eq!(reason(&after, 2), Some(Manual));
    assert_eq!(reason(&after.lifted(lift(3)), 3), None);
}

#[test]
fn the_tenant_lifts_every_suppression_but_an_opt_out() {
    for (cause_of, lifted) in [(Manual, true), (Blocked, true), (Unreachable, true), (OptedOut, false)] {
        let state = empty().suppressed(cause(cause_of, 3)).lifted(lift(3));
        assert_eq!(reason(&state, 4).is_none(), lifted, "{cause_of:?}");
        assert_eq!(reason(&state.suppressed(cause(cause_of, 5)), 6), Some(cause_of), "a later cause");
    }
    let stopped_before = empty().lifted(lift(5)).after_message(at(4), STOP, "stop");
    assert_eq!(reason(&stopped_before, 6), Some(OptedOut), "a stop that is applied late");
}

#[test]
fn a_lift_is_kept_with_who_decided_and_why_and_in_the_form_that_the_version_before_reads() {
    let kept = serde_json::to_value(empty().lifted(lift(3))).expect("writes");
    let (by, reason) = ("ann", "they asked for it");
    assert_eq!(kept, serde_json::json!({ "liftedAt": at(3), "lifted": { "at": at(3), "by": by, "reason": reason } }));
    let before: ContactState = serde_json::from_value(serde_json::json!({ "liftedAt": at(3) })).expect("reads");
    assert_eq!(before.lift().map(|lift| lift.at), Some(at(3)));
}

#[test]
fn a_later_consent_lifts_an_opt_out_and_nothing_else() {
    for (cause_of, lifted) in [(OptedOut, true), (Manual, false), (Blocked, false), (Unreachable, false)] {
        let granted = empty().consented(consent(ConsentStatus::Granted, 5)).suppressed(cause(cause_of, 4));
        assert_eq!(reason(&granted, 6).is_none(), lifted, "{cause_of:?}");
    }
    for (status, stopped) in [(ConsentStatus::Granted, 6), (ConsentStatus::Revoked, 4)] {
        let state = empty().consented(consent(status, 5)).suppressed(cause(OptedOut, stopped));
        assert_eq!(reason(&state, 7), Some(OptedOut), "{status:?}");
    }
}

#[test]
fn causes_that_heal_lapse_and_the_others_do_not() {
    let day = 24 * 60 * 60;
    for (cause_of, days) in [(Unreachable, Some(7)), (Blocked, Some(30)), (OptedOut, None), (Manual, None)] {
        let state = empty().suppressed(cause(cause_of, 0));
        let ends = days.map_or(i64::from(u16::MAX) * 60, |days| days * day);
        assert_eq!(reason(&state, ends - 1), Some(cause_of));
        assert_eq!(reason(&state, ends).is_none(), days.is_some(), "{cause_of:?}");
        assert_eq!(reason(&state.suppressed(cause(cause_of, ends)), ends), Some(cause_of), "it may happen again");
    }
}

#[test]
fn a_cause_from_a_clock_that_was_ahead_does_not_outlast_its_time() {
    let ahead = empty().suppressed(cause(Unreachable, 10 * 365 * 24 * 60 * 60));
    assert_eq!(reason(&ahead, 0), None);
}

#[test]
fn a_message_that_is_applied_late_does_not_close_the_window() {
    let after = empty().after_message(at(9), None, "").after_message(at(3), None, "");
    assert_eq!(after.last_inbound_at, Some(at(9)));
}

#[test]
fn who_gets_a_number_inherits_suppression_and_neither_consent_nor_window() {
    let granted = consent(ConsentStatus::Granted, 2);
    let before = empty().after_message(at(1), None, "").consented(granted).suppressed(cause(Manual, 3));
    let next = before.clone().after_message(at(12), STOP, "stop").of_period(Some(at(10)), None);
    assert_eq!((next.consent.is_none(), next.last_inbound_at), (true, Some(at(12))));
    assert_eq!(reason(&before.clone().of_period(Some(at(10)), None), 11), Some(Manual));
    assert_eq!(reason(&next.after_message(at(13), START, "start").lifted(lift(14)), 15), None);
    let owner = before.after_message(at(12), None, "").of_period(None, Some(at(10)));
    assert!(owner.consent.is_some(), "what the former holder permitted stays theirs");
    assert_eq!(owner.last_inbound_at, None, "and nobody else's window is");
}

#[test]
fn a_pool_knows_what_any_of_its_senders_was_refused_and_nothing_that_another_was_permitted() {
    let own = empty().after_message(at(1), None, "");
    let with = |other: ContactState| own.clone().join(other.for_the_pool());
    assert_eq!(reason(&with(empty().after_message(at(2), STOP, "stop")), 9), Some(OptedOut));
    assert_eq!(reason(&with(empty().suppressed(cause(Blocked, 2))), 9), Some(Blocked));
    let other = empty().after_message(at(5), None, "").consented(consent(ConsentStatus::Granted, 5));
    assert_eq!(with(other.clone()), own, "neither window nor consent");
    assert!(with(other.consented(consent(ConsentStatus::Revoked, 6))).consent.is_some(), "a revocation");
    let stopped = own.clone().after_message(at(2), STOP, "stop");
    let freed = stopped.join(empty().after_message(at(3), START, "start").for_the_pool());
    assert_eq!(reason(&freed, 9), None, "a start");
}

#[test]
fn a_start_frees_only_who_sent_it() {
    let stopped = empty().after_message(at(1), STOP, "stop");
    let number = stopped.clone().after_message(at(12), START, "start");
    assert_eq!(reason(&number.clone().of_period(Some(at(10)), None), 13), None);
    assert_eq!(reason(&number.of_period(None, Some(at(10))), 13), Some(OptedOut));
    assert_eq!(reason(&stopped.clone().passed_on(at(10)), 13), Some(OptedOut));
    let lifted = stopped.after_message(at(2), START, "start");
    assert_eq!(reason(&lifted.clone().passed_on(at(10)), 13), None, "what was lifted before stays lifted");
    assert_eq!(reason(&lifted.of_period(Some(at(10)), None), 13), None);
}

#[test]
fn a_state_that_the_version_before_wrote_is_read_and_the_other_way_round() {
    let before = r#"{"lastInboundAt":"2026-09-21T14:13:21Z","suppression":{"reason":"optedOut","at":"2026-09-21T14:13:21Z","detail":"the contact sent \"Stop\""}}"#;
    let state: ContactState = serde_json::from_str(before).unwrap();
    assert_eq!(state, empty().after_message("2026-09-21T14:13:21Z".parse().unwrap(), STOP, "Stop"));
    let written: serde_json::Value = serde_json::to_value(&state).unwrap();
    assert_eq!(written["suppression"], serde_json::from_str::<serde_json::Value>(before).unwrap()["suppression"]);
    let started = state.after_message("2026-09-21T14:14:00Z".parse().unwrap(), START, "START");
    assert_eq!(serde_json::to_value(&started).unwrap().get("suppression"), None, "it is in force for neither");
}

#[derive(Debug, Clone)]
enum Fact {
    Wrote(i64, Option<OptChange>),
    Suppressed(SuppressionReason, i64),
    Consented(ConsentStatus, i64),
    Lifted(i64),
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let change = prop_oneof![Just(None), Just(STOP), Just(START)];
    let why = prop_oneof![Just(OptedOut), Just(Manual), Just(Blocked), Just(Unreachable)];
    let status = prop_oneof![Just(ConsentStatus::Granted), Just(ConsentStatus::Revoked)];
    let fact = prop_oneof![
        4 => (0..20_i64, change).prop_map(|(at, change)| Fact::Wrote(at, change)),
        1 => (why, 0..20_i64).prop_map(|(reason, at)| Fact::Suppressed(reason, at)),
        1 => (status, 0..20_i64).prop_map(|(status, at)| Fact::Consented(status, at)),
        1 => (0..20_i64).prop_map(Fact::Lifted),
    ];
    prop::collection::vec(fact, 0..12)
}

fn learn(state: ContactState, fact: &Fact) -> ContactState {
    match fact {
        Fact::Wrote(seconds, change) => state.after_message(at(*seconds), *change, "word"),
        Fact::Suppressed(reason, seconds) => state.suppressed(cause(*reason, *seconds)),
        Fact::Consented(status, seconds) => state.consented(consent(*status, *seconds)),
        Fact::Lifted(seconds) => state.lifted(lift(*seconds)),
    }
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_the_same_facts_leaves_the_same_state(
        (facts, again) in facts().prop_flat_map(|facts| {
            let doubled = [facts.clone(), facts.clone()].concat();
            (Just(facts), Just(doubled).prop_shuffle())
        })
    ) {
        let once = facts.iter().fold(empty(), learn);
        prop_assert_eq!(again.iter().fold(empty(), learn), once);
    }

    #[test]
    fn the_last_word_of_a_contact_decides(words in prop::collection::btree_map(0..50_i64, any::<bool>(), 1..8)
        .prop_flat_map(|words| {
            let order: Vec<_> = words.clone().into_iter().collect();
            (Just(words), Just(order).prop_shuffle())
        }))
    {
        let (words, order) = words;
        let state = order.iter().fold(empty(), |state, (seconds, stop)| {
            state.after_message(at(*seconds), if *stop { STOP } else { START }, "word")
        });
        let last = words.last_key_value().map(|(_, stop)| *stop);
        prop_assert_eq!(reason(&state, 60), last.unwrap_or(false).then_some(OptedOut));
    }

    #[test]
    fn what_two_addresses_know_is_what_their_person_said(first in facts(), second in facts()) {
        let (a, b) = (first.iter().fold(empty(), learn), second.iter().fold(empty(), learn));
        let together = first.iter().chain(&second).fold(empty(), learn);
        prop_assert_eq!(&a.clone().join(b.clone()), &together);
        prop_assert_eq!(b.join(a), together);
    }

    #[test]
    fn a_state_survives_the_store(facts in facts()) {
        let state = facts.iter().fold(empty(), learn);
        let text = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<ContactState>(&text).unwrap(), state);
    }
}
