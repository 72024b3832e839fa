use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::after;
use crate::clock::tests::at;
use crate::failure::{Failure, FailureClass};

fn attempt(n: u8) -> AttemptId {
    AttemptId::new(at(i64::from(n)), &[n; 10])
}

fn claimed(n: u8) -> LifecycleEvent {
    LifecycleEvent::Claimed { attempt: attempt(n) }
}

fn accepted(n: u8) -> LifecycleEvent {
    let (attempt, status) = (attempt(n), MessageStatus::Accepted);
    LifecycleEvent::Accepted { attempt, provider_message_id: format!("SM{n}"), status }
}

fn failed(n: u8, then: AfterFailure) -> LifecycleEvent {
    LifecycleEvent::AttemptFailed { attempt: attempt(n), then, reason: "as reported".into() }
}

fn retry(n: u8) -> LifecycleEvent {
    failed(n, AfterFailure::RetryAt(at(0)))
}

fn ambiguous(n: u8) -> LifecycleEvent {
    failed(n, AfterFailure::AwaitConfirmation { until: at(0) })
}

fn reported(n: u8, status: MessageStatus) -> LifecycleEvent {
    let provider_message_id = format!("SM{n}");
    LifecycleEvent::Reported { attempt: Some(attempt(n)), provider_message_id, status, failure: None }
}

fn not_delivered(n: u8) -> LifecycleEvent {
    LifecycleEvent::NotDelivered { attempt: attempt(n), reason: "as reported".into() }
}

fn run(events: &[LifecycleEvent]) -> MessageState {
    events.iter().fold(MessageState::queued(at(0)).0, |state, event| state.apply(event, at(1)).0)
}

fn status(events: &[LifecycleEvent]) -> MessageStatus {
    run(events).status
}

use MessageStatus::{
    Accepted, Canceled, Delivered, Failed, Queued, Read, Rejected, Sent, Submitted, Suppressed, Unconfirmed,
};

#[test]
fn a_message_that_goes_well_has_every_status_in_its_timeline() {
    let (mut state, first) = MessageState::queued(at(0));
    let mut timeline = vec![first];
    let events = [claimed(1), accepted(1), reported(1, Sent), reported(1, Delivered), reported(1, Read)];
    for (seconds, event) in (1..).zip(&events) {
        let (next, entry) = state.apply(event, at(seconds));
        state = next;
        timeline.extend(entry);
    }
    let story: Vec<_> = timeline.iter().map(|entry| entry.status).collect();
    assert_eq!(story, [Queued, Submitted, Accepted, Sent, Delivered, Read]);
    assert_eq!((timeline[5].at, timeline[5].attempt), (at(5), Some(attempt(1))));
    assert_eq!((state.attempts, state.provider_message_id.as_deref()), (1, Some("SM1")));
}

#[test]
fn an_answer_that_comes_after_its_callback_does_not_move_the_message_back() {
    assert_eq!(status(&[claimed(1), reported(1, Delivered), accepted(1)]), Delivered);
    assert_eq!(status(&[claimed(1), reported(1, Failed), accepted(1)]), Failed);
    assert_eq!(status(&[claimed(1), reported(1, Sent), retry(1)]), Sent, "what was sent is not tried again");
    assert_eq!(status(&[claimed(1), reported(1, Sent), ambiguous(1)]), Sent);
}

#[test]
fn evidence_for_its_attempt_settles_an_unconfirmed_message() {
    let lost = [claimed(1), ambiguous(1)];
    assert_eq!(status(&lost), Unconfirmed);
    for (evidence, settled) in [(Queued, Accepted), (Sent, Sent), (Failed, Failed), (Delivered, Delivered)] {
        assert_eq!(status(&[lost.as_slice(), &[reported(1, evidence)]].concat()), settled);
    }
    assert_eq!(status(&[lost.as_slice(), &[claimed(2)]].concat()), Unconfirmed, "no second call meanwhile");
    assert_eq!(status(&[lost.as_slice(), &[LifecycleEvent::Canceled]].concat()), Unconfirmed);
    let overdue = [lost.as_slice(), &[LifecycleEvent::ConfirmationOverdue]].concat();
    assert_eq!(status(&overdue), Failed);
    assert_eq!(status(&[overdue.as_slice(), &[reported(1, Read)]].concat()), Read, "late evidence of delivery counts");
    assert_eq!(status(&[overdue.as_slice(), &[reported(1, Sent)]].concat()), Failed);
}

#[test]
fn only_a_definite_refusal_of_the_newest_attempt_returns_a_message_to_the_queue() {
    assert_eq!(status(&[claimed(1), retry(1)]), Queued);
    assert_eq!(status(&[claimed(1), failed(1, AfterFailure::StopSender { until: at(9) })]), Queued);
    assert_eq!(status(&[claimed(1), ambiguous(1), retry(1)]), Queued, "a late answer settles it too");
    assert_eq!(status(&[claimed(1), retry(1), claimed(2), retry(1)]), Submitted);
    assert_eq!(status(&[claimed(1), accepted(1), retry(1)]), Accepted);
    let state = run(&[claimed(1), retry(1), claimed(2), accepted(2)]);
    assert_eq!((state.attempts, state.provider_message_id.as_deref()), (2, Some("SM2")));
}

#[test]
fn a_message_whose_newest_attempt_was_not_delivered_returns_to_the_queue() {
    let out: [&[LifecycleEvent]; 4] = [
        &[claimed(1)],
        &[claimed(1), ambiguous(1)],
        &[claimed(1), accepted(1)],
        &[claimed(1), accepted(1), reported(1, Sent)],
    ];
    for before in out {
        assert_eq!(status(&[before, &[not_delivered(1)]].concat()), Queued, "{before:?}");
        assert_eq!(status(&[before, &[not_delivered(1), claimed(2), not_delivered(1)]].concat()), Submitted);
    }
    for over in [reported(1, Delivered), reported(1, Failed), failed(1, AfterFailure::Reject)] {
        assert!(status(&[claimed(1), over, not_delivered(1)]).is_terminal());
    }
    assert_eq!(status(&[claimed(1), not_delivered(1), reported(1, Delivered), claimed(2)]), Delivered);
}

#[test]
fn a_refusal_for_good_ends_the_message_with_its_reason() {
    for (then, end) in [
        (AfterFailure::Suppress, Suppressed),
        (AfterFailure::StopTemplate { until: at(1) }, Rejected),
        (AfterFailure::Reject, Rejected),
        (AfterFailure::Expire, MessageStatus::Expired),
    ] {
        let (state, entry) = run(&[claimed(1)]).apply(&failed(1, then), at(2));
        assert_eq!(state.status, end);
        assert_eq!(entry.expect("a change").reason.as_deref(), Some("as reported"));
    }
}

#[test]
fn a_failure_that_is_reported_gives_the_providers_reason() {
    let failure = Failure::new(FailureClass::Fallback, "outside the window").with_code("63016");
    let provider_message_id = "SM1".to_owned();
    let event = LifecycleEvent::Reported { attempt: None, provider_message_id, status: Failed, failure: Some(failure) };
    let (state, entry) = run(&[claimed(1), accepted(1)]).apply(&event, at(2));
    assert_eq!(state.status, Failed);
    assert_eq!(entry.expect("a change").reason.as_deref(), Some("provider error 63016: outside the window"));
    let (_, entry) = run(&[claimed(1)]).apply(&reported(1, Canceled), at(2));
    assert_eq!(
        entry.expect("a change").reason.as_deref(),
        Some("the provider reported it as canceled and gave no reason")
    );
}

#[test]
fn policy_and_the_tenant_stop_only_what_is_still_queued() {
    let refusal =
        Refusal::new(crate::refusal::RefusalCode::Suppressed, "/to", "to: +44… is suppressed", "another contact");
    let refused = LifecycleEvent::Refused { refusal };
    assert_eq!(status(std::slice::from_ref(&refused)), Suppressed);
    assert_eq!(status(&[LifecycleEvent::Canceled, claimed(1)]), Canceled);
    for event in [refused, LifecycleEvent::Canceled] {
        assert_eq!(status(&[claimed(1), event.clone()]), Submitted);
        assert!(status(&[claimed(1), retry(1), event, claimed(2)]).is_terminal());
    }
}

#[test]
fn a_report_on_an_earlier_attempt_counts_only_if_it_was_taken_after_all() {
    let second = [claimed(1), retry(1), claimed(2)];
    assert_eq!(status(&[second.as_slice(), &[reported(1, Failed)]].concat()), Submitted);
    assert_eq!(status(&[second.as_slice(), &[reported(1, Sent)]].concat()), Sent);
    assert_eq!(status(&[claimed(1), retry(1), reported(1, Sent), claimed(2)]), Sent, "so it is not sent again");
}

#[test]
fn what_we_ended_ourselves_is_undone_only_by_proof_that_it_arrived() {
    for late in [Accepted, Sent, Failed, Canceled] {
        assert_eq!(status(&[claimed(1), failed(1, AfterFailure::Reject), reported(1, late)]), Rejected);
    }
    assert_eq!(status(&[claimed(1), failed(1, AfterFailure::Reject), reported(1, Delivered)]), Delivered);
}

fn any_status() -> impl Strategy<Value = MessageStatus> {
    prop::sample::select(&MessageStatus::ALL[..])
}

/// Any event about the first three attempts, sensible or not.
fn any_event() -> impl Strategy<Value = LifecycleEvent> {
    let n = || 1u8..4;
    prop_oneof![
        n().prop_map(claimed),
        n().prop_map(accepted),
        n().prop_map(retry),
        n().prop_map(ambiguous),
        n().prop_map(not_delivered),
        n().prop_map(|n| failed(n, AfterFailure::Reject)),
        (n(), any_status()).prop_map(|(n, status)| reported(n, status)),
        Just(LifecycleEvent::Canceled),
        Just(LifecycleEvent::ConfirmationOverdue),
    ]
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_of_the_same_reports_ends_the_same(
        (once, shuffled) in prop::collection::vec(any_status(), 1..6)
            .prop_map(|statuses| statuses.into_iter().map(|s| reported(1, s)).chain([accepted(1)]).collect::<Vec<_>>())
            .prop_flat_map(|events| (Just(events.clone()), Just([events.clone(), events].concat()).prop_shuffle())),
        is_lost in any::<bool>(),
    ) {
        let begin = if is_lost { vec![claimed(1), ambiguous(1)] } else { vec![claimed(1)] };
        let end = |events: &[LifecycleEvent]| run(&[begin.as_slice(), events].concat());
        prop_assert_eq!(end(&once), end(&shuffled));
    }

    #[test]
    fn a_terminal_status_is_only_ever_refined_by_proof_of_delivery(events in prop::collection::vec(any_event(), 0..40)) {
        let mut state = MessageState::queued(at(0)).0;
        for event in events {
            let (next, entry) = state.apply(&event, at(1));
            prop_assert_eq!(entry.is_some(), next.status != state.status);
            if state.status.is_terminal() && next.status != state.status {
                prop_assert!(matches!(next.status, Delivered | Read) && next.status > state.status);
            }
            let returned = next.status == Queued && state.status != Queued;
            let was_not_delivered = matches!(event, LifecycleEvent::NotDelivered { .. });
            prop_assert!(!returned || was_not_delivered || matches!(state.status, Submitted | Unconfirmed));
            prop_assert!(!returned || !state.status.is_terminal());
            state = next;
        }
    }

    #[test]
    fn there_is_no_further_attempt_after_evidence_that_one_was_taken_unless_it_was_not_delivered(events in prop::collection::vec(any_event(), 0..40)) {
        let mut state = MessageState::queued(at(0)).0;
        let mut taken_at = None;
        for event in events {
            state = state.apply(&event, at(1)).0;
            if state.status == Queued && matches!(event, LifecycleEvent::NotDelivered { .. }) {
                taken_at = None;
            }
            if state.status >= Accepted {
                taken_at.get_or_insert(state.attempts);
            }
            prop_assert!(taken_at.is_none_or(|attempts| attempts == state.attempts));
        }
    }

    #[test]
    fn applying_an_event_again_changes_nothing(events in prop::collection::vec(any_event(), 0..40)) {
        let mut state = MessageState::queued(at(0)).0;
        for event in events {
            state = state.apply(&event, at(1)).0;
            let (again, entry) = state.apply(&event, at(2));
            prop_assert_eq!((&again, entry), (&state, None));
        }
    }
}

/// What the provider does with one call, and how we learn about it.
#[derive(Debug, Clone, Copy)]
enum Call {
    Taken,
    TakenAnswerLost,
    /// We die after the call, before its outcome is stored.
    TakenThenCrash,
    RefusedForNow,
    RefusedThenCrash,
    NeverArrivedAnswerLost,
}

fn any_call() -> impl Strategy<Value = Call> {
    use Call::{NeverArrivedAnswerLost, RefusedForNow, RefusedThenCrash, Taken, TakenAnswerLost, TakenThenCrash};
    prop::sample::select(vec![
        Taken,
        TakenAnswerLost,
        TakenThenCrash,
        RefusedForNow,
        RefusedThenCrash,
        NeverArrivedAnswerLost,
    ])
}

proptest! {
    /// The dispatcher may die at any point; the provider loses answers, and repeats and delays its reports.
    #[test]
    fn a_message_is_taken_at_most_once_and_ends_exactly_once_whatever_crashes(
        calls in prop::collection::vec(any_call(), 1..8),
        fate in prop::sample::select(vec![Failed, Delivered, Read]),
        reports_come in any::<bool>(),
        repeats in 1usize..4,
    ) {
        let mut stored = MessageState::queued(at(0)).0;
        let (mut now, mut taken, mut terminal) = (at(0), Vec::new(), 0);
        let mut store = |stored: &mut MessageState, event: &LifecycleEvent, now: Timestamp| {
            // Stored once or, after a crash in between, decided and stored again.
            for _ in 0..repeats {
                let (next, entry) = stored.apply(event, now);
                terminal += u32::from(entry.is_some_and(|e| e.status.is_terminal() && !stored.status.is_terminal()));
                *stored = next;
            }
        };
        for (n, call) in (1u8..).zip(calls) {
            now = after(now, Duration::from_secs(1));
            if stored.status != Queued {
                break;
            }
            store(&mut stored, &claimed(n), now);
            match call {
                Call::Taken => { taken.push(n); store(&mut stored, &accepted(n), now); }
                Call::TakenAnswerLost | Call::TakenThenCrash => { taken.push(n); store(&mut stored, &ambiguous(n), now); }
                Call::RefusedForNow => store(&mut stored, &retry(n), now),
                Call::RefusedThenCrash | Call::NeverArrivedAnswerLost => store(&mut stored, &ambiguous(n), now),
            }
        }
        prop_assert!(taken.len() <= 1, "taken {taken:?}");
        if reports_come {
            for &n in &taken {
                for status in [fate, Sent, Accepted] {
                    store(&mut stored, &reported(n, status), now);
                }
                prop_assert_eq!(stored.status, fate);
            }
        }
        // What remains is ended by its deadline, or by the tenant.
        store(&mut stored, &LifecycleEvent::ConfirmationOverdue, now);
        store(&mut stored, &LifecycleEvent::Canceled, now);
        if taken.is_empty() || reports_come || stored.status.is_terminal() {
            prop_assert!(stored.status.is_terminal());
            prop_assert_eq!(terminal, 1);
        } else {
            prop_assert_eq!(stored.status, Accepted, "taken, and no report came yet");
        }
    }
}
