//! The queue: one holder at a time, one unresolved attempt at a time, and nothing lost with its holder.

use dataplane::rules::queue::RenewClaim;
use dataplane::store::Store;
use dataplane::store::contact::PutSuppression;
use dataplane::store::queue::{
    AttemptResult, Began, ClaimUnsettled, DeferClaim, EndMessage, ExpireMessage, Fenced, Settle, Settled, Settlement,
    Unsettled,
};
use futures::future::join_all;
use messaging::contact::{Suppression, SuppressionReason};
use messaging::failure::{Failure, FailureClass};
use messaging::lifecycle::MessageStatus::{
    Accepted, Delivered, Expired, Failed, Queued, Rejected, Submitted, Unconfirmed,
};

use super::*;

promises!(
    a_message_is_held_by_one_at_a_time_and_comes_back_when_the_lease_ends,
    an_expired_holder_can_only_tell_that_the_provider_took_it,
    what_the_provider_took_is_known_after_its_attempt_became_unconfirmed,
    an_answer_that_was_asked_for_before_the_provider_took_it_ends_nothing,
    an_attempt_that_is_not_repeated_in_time_ends_as_expired,
    a_renewed_lease_lasts,
    a_claim_by_an_unreliable_clock_leaves_what_is_scheduled_and_what_seems_to_have_expired,
    each_of_many_claimants_gets_messages_of_its_own,
    lanes_say_what_waits_and_until_when,
    a_deferred_message_waits_and_its_claim_is_void,
    no_second_attempt_is_begun_while_the_first_is_unresolved,
    an_attempt_that_nobody_finished_is_seen_by_the_next_holder,
    an_attempt_is_not_begun_on_what_was_decided_before_the_contact_changed,
    a_refused_attempt_goes_back_into_the_queue_and_tells_why,
    a_message_that_policy_ends_is_over,
    an_ended_attempt_suppresses_its_recipient,
    what_was_found_out_settles_a_message_and_adopts_what_waited,
    a_message_that_was_not_delivered_gets_another_attempt,
    reports_of_an_attempt_that_was_not_delivered_change_nothing_unless_it_was_after_all,
    a_report_that_is_faster_than_the_answer_counts_and_the_answer_does_not,
    a_report_that_comes_before_its_message_is_known_counts_once_it_is,
    what_the_providers_log_says_was_not_delivered_gets_another_attempt,
    who_lost_the_claim_settles_nothing,
    messages_whose_validity_is_over_are_found_and_ended_whoever_holds_them,
);

async fn a_message_is_held_by_one_at_a_time_and_comes_back_when_the_lease_ends(store: &Store) {
    accept(store, new_message(0)).await;
    let first = claim_one(store, 0).await;
    assert!(claim_some(store, 59, 10).await.is_empty());
    let second = claim_one(store, 60).await;
    assert!(second.fence > first.fence);
    assert_eq!(second.message, first.message);
    assert_eq!(second.due_at, at(0), "its waiting is counted from when it became due");
}

async fn an_expired_holder_can_only_tell_that_the_provider_took_it(store: &Store) {
    let (first, attempt_id) = submitted(store, 0).await;
    let second = claim_one(store, 60).await;
    let busy = AttemptResult::Retry { at: at(61), reason: reason("too many requests") };
    let ended = AttemptResult::Ended { status: Rejected, reason: reason("invalid") };
    for result in [busy, ended] {
        assert_eq!(finish(store, &first, attempt_id, 61, result).await, Fenced::LeaseLost);
    }
    assert_eq!(store.write(RenewClaim { claim: first.reference(), until: at(200) }).await.unwrap(), Fenced::LeaseLost);
    let defer = DeferClaim { claim: first.reference(), until: at(200) };
    assert_eq!(store.write(defer).await.unwrap(), Fenced::LeaseLost);
    assert_eq!(begin(store, &first, attempt(61), 61).await, Began::LeaseLost);
    assert_eq!(status(store, first.message.id).await, Submitted);
    assert_eq!(second.open_attempt, Some(attempt_id));

    assert_eq!(finish(store, &first, attempt_id, 62, accepted("SM1")).await, Fenced::Done);
    let unknown = AttemptResult::Unconfirmed { reason: reason("its holder died"), ask_at: at(100) };
    finished(store, &second, attempt_id, 63, unknown).await;
    let message = store.message(&tenant(), first.message.id).await.unwrap().unwrap().message;
    assert_eq!((message.status, message.provider_message_id.as_deref()), (Accepted, Some("SM1")));
    assert!(claim_some(store, 9_000, 10).await.is_empty(), "it is not sent again");
}

async fn what_the_provider_took_is_known_after_its_attempt_became_unconfirmed(store: &Store) {
    let (first, attempt_id) = submitted(store, 0).await;
    let second = claim_one(store, 60).await;
    let unknown = AttemptResult::Unconfirmed { reason: reason("its holder died"), ask_at: at(100) };
    finished(store, &second, attempt_id, 61, unknown).await;
    assert_eq!(finish(store, &first, attempt_id, 62, accepted("SM1")).await, Fenced::Done);
    let message = store.message(&tenant(), first.message.id).await.unwrap().unwrap().message;
    assert_eq!((message.status, message.provider_message_id.as_deref()), (Accepted, Some("SM1")));
    assert_eq!(story(store, message.id).await, [Queued, Submitted, Unconfirmed, Accepted]);
    assert_eq!(unsettled(store, 100).await.len(), 1, "its fate is still asked for");
}

async fn an_answer_that_was_asked_for_before_the_provider_took_it_ends_nothing(store: &Store) {
    let (first, attempt_id) = submitted(store, 0).await;
    let second = claim_one(store, 60).await;
    let unknown = AttemptResult::Unconfirmed { reason: reason("its holder died"), ask_at: at(100) };
    finished(store, &second, attempt_id, 61, unknown).await;
    let asked = unsettled(store, 100).await.remove(0);
    finished(store, &first, attempt_id, 101, accepted("SM1")).await;
    let absent = Settlement::Ended { status: Failed, reason: reason("the log has no such message") };
    assert_eq!(settle(store, &asked, 102, absent).await, Settled::LeaseLost);
    assert_eq!(status(store, first.message.id).await, Accepted);
    assert_eq!(unsettled(store, 160).await.len(), 1, "it is asked for again");
}

async fn an_attempt_that_is_not_repeated_in_time_ends_as_expired(store: &Store) {
    let (claim, attempt_id) = submitted(store, 0).await;
    let late = AttemptResult::Ended { status: Expired, reason: reason("its validity ends before the next attempt") };
    finished(store, &claim, attempt_id, 1, late).await;
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Expired]);
    assert_eq!(store.queue_counts(at(9_000)).await.unwrap(), Default::default());
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 1);
}

async fn a_claim_by_an_unreliable_clock_leaves_what_is_scheduled_and_what_seems_to_have_expired(store: &Store) {
    accept(store, NewMessage { scheduled_at: Some(at(60)), ..new_message(0) }).await;
    accept(store, NewMessage { expires_at: Some(at(60)), ..new_message(0) }).await;
    let valid = accept(store, NewMessage { expires_at: Some(at(90)), ..new_message(0) }).await;
    let plain = accept(store, new_message(0)).await;
    let shares = vec![Share { lane: lane(Priority::Utility), limit: 10, draws_on: Vec::new() }];
    let claim = ClaimDue { shares, leave_timed: true, ..claim_of(lane(Priority::Utility), at(60), at(120)) };
    let mut claimed: Vec<_> =
        store.write(claim).await.unwrap().claims.into_iter().map(|claim| claim.message.id).collect();
    claimed.sort();
    let mut expected = vec![valid.id, plain.id];
    expected.sort();
    assert_eq!(claimed, expected);
    assert_eq!(claim_some(store, 60, 10).await.len(), 2, "another replica takes the rest");
}

async fn a_renewed_lease_lasts(store: &Store) {
    accept(store, new_message(0)).await;
    let claim = claim_one(store, 0).await;
    assert_eq!(store.write(RenewClaim { claim: claim.reference(), until: at(300) }).await.unwrap(), Fenced::Done);
    assert!(claim_some(store, 299, 10).await.is_empty());
    assert_eq!(begin(store, &claim, attempt(299), 299).await, Began::Begun);
}

async fn each_of_many_claimants_gets_messages_of_its_own(store: &Store) {
    for second in 0..20 {
        accept(store, new_message(second)).await;
    }
    let claims = join_all((0..8).map(|_| claim_some(store, 100, 4))).await;
    let mut ids: Vec<_> = claims.into_iter().flatten().map(|c| c.message.id).collect();
    assert_eq!(ids.len(), 20);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20, "none was given twice");
}

async fn lanes_say_what_waits_and_until_when(store: &Store) {
    assert!(store.lanes().await.unwrap().is_empty());
    accept(store, NewMessage { priority: Priority::Marketing, scheduled_at: Some(at(500)), ..new_message(0) }).await;
    accept(store, NewMessage { priority: Priority::Authentication, ..new_message(3) }).await;
    let lanes =
        async || -> Vec<_> { store.lanes().await.unwrap().into_iter().map(|l| (l.lane.priority, l.next_at)).collect() };
    assert_eq!(lanes().await, [(Priority::Authentication, at(3)), (Priority::Marketing, at(500))]);
    let counts = store.queue_counts(at(10)).await.unwrap();
    assert_eq!((counts.due, counts.deferred, counts.oldest_due_at), (1, 1, Some(at(3))));
    claim_one(store, 10).await;
    assert_eq!(lanes().await, [(Priority::Authentication, at(70)), (Priority::Marketing, at(500))]);
}

async fn a_deferred_message_waits_and_its_claim_is_void(store: &Store) {
    accept(store, new_message(0)).await;
    let claim = claim_one(store, 0).await;
    let defer = DeferClaim { claim: claim.reference(), until: at(30) };
    assert_eq!(store.write(defer.clone()).await.unwrap(), Fenced::Done);
    assert_eq!(store.write(defer).await.unwrap(), Fenced::LeaseLost);
    assert_eq!(begin(store, &claim, attempt(1), 1).await, Began::LeaseLost);
    assert!(claim_some(store, 29, 10).await.is_empty());
    claim_one(store, 30).await;
}

async fn no_second_attempt_is_begun_while_the_first_is_unresolved(store: &Store) {
    let (claim, _) = submitted(store, 0).await;
    assert_eq!(begin(store, &claim, attempt(1), 1).await, Began::LeaseLost);
    let next = claim_one(store, 60).await;
    assert_eq!(begin(store, &next, attempt(61), 61).await, Began::LeaseLost);
    assert_eq!(store.message(&tenant(), next.message.id).await.unwrap().unwrap().message.attempts, 1);
}

async fn an_attempt_that_nobody_finished_is_seen_by_the_next_holder(store: &Store) {
    let (_, attempt_id) = submitted(store, 0).await;
    let next = claim_one(store, 60).await;
    assert_eq!(next.open_attempt, Some(attempt_id));
    let unknown = AttemptResult::Unconfirmed { reason: reason("its holder died"), ask_at: at(100) };
    assert_eq!(finish(store, &next, attempt_id, 61, unknown).await, Fenced::Done);
    assert_eq!(status(store, next.message.id).await, Unconfirmed);
    assert!(claim_some(store, 9_000, 10).await.is_empty(), "it is never sent again");
}

fn suppression() -> Suppression {
    Suppression { reason: SuppressionReason::OptedOut, at: at(1), detail: "stop".into() }
}

async fn an_attempt_is_not_begun_on_what_was_decided_before_the_contact_changed(store: &Store) {
    accept(store, new_message(0)).await;
    let claim = claim_one(store, 0).await;
    let put = PutSuppression { tenant: tenant(), sender: sender(), contact: customer(), suppression: suppression() };
    let version = store.write(put).await.unwrap().version;
    assert_eq!(begin(store, &claim, attempt(2), 2).await, Began::ContactChanged);
    assert_eq!(status(store, claim.message.id).await, Queued);
    let judged_again =
        Claim { contact: dataplane::store::contact::Contact { version, ..claim.contact.clone() }, ..claim };
    assert_eq!(begin(store, &judged_again, attempt(3), 3).await, Began::Begun);
}

async fn a_refused_attempt_goes_back_into_the_queue_and_tells_why(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    let busy = AttemptResult::Retry { at: at(30), reason: Reason::new(Some("20429"), "too many requests") };
    assert_eq!(finish(store, &claim, first, 1, busy).await, Fenced::Done);
    assert!(claim_some(store, 29, 10).await.is_empty());
    let again = claim_one(store, 30).await;
    assert_eq!((again.open_attempt, again.message.attempts), (None, 1));
    let second = attempt(30);
    assert_eq!(begin(store, &again, second, 30).await, Began::Begun);
    assert_eq!(finish(store, &again, second, 31, accepted("SM1")).await, Fenced::Done);
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Queued, Submitted, Accepted]);
    let timeline = store.message(&tenant(), claim.message.id).await.unwrap().unwrap().timeline;
    assert_eq!(timeline[2].reason.as_ref().and_then(|r| r.code.as_deref()), Some("20429"));
    assert_eq!((timeline[1].attempt, timeline[3].attempt), (Some(first), Some(second)));
}

async fn a_message_that_policy_ends_is_over(store: &Store) {
    accept(store, new_message(0)).await;
    let claim = claim_one(store, 0).await;
    let end = EndMessage {
        claim: claim.reference(),
        now: at(1),
        status: Expired,
        reason: reason("its validity is over"),
        sinks: sinks(),
    };
    assert_eq!(store.write(end.clone()).await.unwrap(), Fenced::Done);
    assert_eq!(store.write(end).await.unwrap(), Fenced::LeaseLost);
    assert_eq!(story(store, claim.message.id).await, [Queued, Expired]);
    assert_eq!(store.queue_counts(at(9_000)).await.unwrap(), Default::default());
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 1);
}

async fn an_ended_attempt_suppresses_its_recipient(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    let finish = FinishAttempt {
        claim: claim.reference(),
        attempt,
        now: at(1),
        result: AttemptResult::Ended { status: Rejected, reason: reason("blocked") },
        provider_request_id: None,
        suppress: Some(suppression()),
        new_attempts: new_attempts(),
        sinks: sinks(),
    };
    assert_eq!(store.write(finish).await.unwrap().answer, Fenced::Done);
    assert_eq!(status(store, claim.message.id).await, Rejected);
    let contact = store.contact(&tenant(), &sender(), &customer()).await.unwrap();
    assert_eq!(contact.state.suppression(at(1)), Some(suppression()));
}

async fn unsettled(store: &Store, now: i64) -> Vec<Unsettled> {
    let claim = ClaimUnsettled { now: at(now), owner: "test".into(), lease_until: at(now + 60), limit: 10 };
    store.write(claim).await.unwrap()
}

async fn settle(store: &Store, unsettled: &Unsettled, now: i64, settlement: Settlement) -> Settled {
    let (claim, new_attempts) = (unsettled.reference(), Some(new_attempts()));
    store.write(Settle { claim, now: at(now), settlement, new_attempts, sinks: sinks() }).await.unwrap().answer
}

async fn what_was_found_out_settles_a_message_and_adopts_what_waited(store: &Store) {
    let (claim, attempt_id) = submitted(store, 0).await;
    let lost = AttemptResult::Unconfirmed { reason: reason("no answer"), ask_at: at(100) };
    finished(store, &claim, attempt_id, 1, lost).await;
    assert!(unsettled(store, 99).await.is_empty());
    let asked = unsettled(store, 100).await.remove(0);
    assert_eq!((asked.attempt, asked.asked, asked.attempt_started_at), (attempt_id, 0, at(0)));
    assert_eq!(settle(store, &asked, 101, Settlement::AskAgain { at: at(200) }).await, Settled::Done { reached: None });
    assert!(unsettled(store, 199).await.is_empty());
    // Its callback came without the attempt, so nobody knew whose it was.
    report(store, 150, update("SM1", None, Delivered)).await;
    let asked = unsettled(store, 200).await.remove(0);
    assert_eq!(asked.asked, 1);
    let found =
        Settlement::Found { provider_message_id: "SM1".into(), status: Accepted, failure: None, ask_at: at(300) };
    assert_eq!(settle(store, &asked, 201, found).await, Settled::Done { reached: Some(Delivered) });
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Unconfirmed, Accepted, Delivered]);
    assert!(unsettled(store, 9_000).await.is_empty());
}

fn rate_limited() -> Failure {
    Failure::new(FailureClass::RetryLater, "rate limit exceeded").with_code("63018")
}

/// The provider took the message and reports that it did not deliver it.
fn not_delivered(id: &str, attempt: Option<AttemptId>) -> StatusUpdate {
    StatusUpdate { failure: Some(rate_limited()), ..update(id, attempt, Failed) }
}

async fn a_message_that_was_not_delivered_gets_another_attempt(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    finished(store, &claim, first, 1, accepted("SM1")).await;
    report(store, 2, not_delivered("SM1", Some(first))).await;
    report(store, 3, not_delivered("SM1", Some(first))).await;
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Accepted, Queued], "once");
    assert!(unsettled(store, 20_000).await.is_empty(), "its outcome is known");
    assert!(claim_some(store, 61, 10).await.is_empty(), "not at once");
    let again = claim_one(store, 92).await;
    assert_eq!((again.open_attempt, again.message.attempts), (None, 1));
    assert!(again.message.reason.unwrap().text.contains("rate limit"));
    let defer = DeferClaim { claim: claim.reference(), until: at(500) };
    assert_eq!(store.write(defer).await.unwrap(), Fenced::LeaseLost, "who handed it over first holds it no more");
    let second = attempt(92);
    assert_eq!(begin(store, &Claim { message: claim.message.clone(), ..again }, second, 92).await, Began::Begun);
    report(store, 93, not_delivered("SM1", None)).await;
    assert_eq!(status(store, claim.message.id).await, Submitted, "that was the first attempt");
    // The last attempt that its validity leaves room for.
    report(store, 86_399, not_delivered("SM2", Some(second))).await;
    assert_eq!(status(store, claim.message.id).await, Failed);
}

async fn reports_of_an_attempt_that_was_not_delivered_change_nothing_unless_it_was_after_all(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    finished(store, &claim, first, 1, accepted("SM1")).await;
    report(store, 2, not_delivered("SM1", Some(first))).await;
    for late in [Accepted, MessageStatus::Sent, Failed] {
        for of in [Some(first), None] {
            report(store, 3, update("SM1", of, late)).await;
            assert_eq!(status(store, claim.message.id).await, Queued, "{late:?}");
        }
    }
    let again = claim_one(store, 200).await;
    assert_eq!(begin(store, &again, attempt(200), 200).await, Began::Begun);
    report(store, 201, update("SM1", Some(first), MessageStatus::Sent)).await;
    assert_eq!(status(store, claim.message.id).await, Submitted);
    report(store, 202, update("SM1", Some(first), Delivered)).await;
    assert_eq!(status(store, claim.message.id).await, Delivered);
}

async fn a_report_that_is_faster_than_the_answer_counts_and_the_answer_does_not(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    report(store, 1, not_delivered("SM1", Some(first))).await;
    assert_eq!(finish(store, &claim, first, 2, accepted("SM1")).await, Fenced::Done);
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Queued]);
    let again = claim_one(store, 200).await;
    assert_eq!((again.open_attempt, again.message.attempts), (None, 1));
}

async fn a_report_that_comes_before_its_message_is_known_counts_once_it_is(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    assert_eq!(report(store, 1, not_delivered("SM1", None)).await, [Applied::Parked]);
    finished(store, &claim, first, 2, accepted("SM1")).await;
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Accepted, Queued]);
    assert!(unsettled(store, 20_000).await.is_empty());
    assert_eq!(claim_one(store, 200).await.message.attempts, 1);
}

async fn what_the_providers_log_says_was_not_delivered_gets_another_attempt(store: &Store) {
    let (claim, first) = submitted(store, 0).await;
    let lost = AttemptResult::Unconfirmed { reason: reason("no answer"), ask_at: at(100) };
    finished(store, &claim, first, 1, lost).await;
    let asked = unsettled(store, 100).await.remove(0);
    let found = Settlement::Found {
        provider_message_id: "SM1".into(),
        status: Failed,
        failure: Some(rate_limited()),
        ask_at: at(300),
    };
    assert_eq!(settle(store, &asked, 101, found).await, Settled::Done { reached: Some(Queued) });
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Unconfirmed, Queued]);
    assert!(unsettled(store, 20_000).await.is_empty());
    assert_eq!(claim_one(store, 300).await.message.attempts, 1);
}

async fn who_lost_the_claim_settles_nothing(store: &Store) {
    let (claim, attempt_id) = submitted(store, 0).await;
    let lost = AttemptResult::Unconfirmed { reason: reason("no answer"), ask_at: at(100) };
    finished(store, &claim, attempt_id, 1, lost).await;
    let first = unsettled(store, 100).await.remove(0);
    let second = unsettled(store, 160).await.remove(0);
    let ended = Settlement::Ended { status: Failed, reason: reason("never confirmed") };
    assert_eq!(settle(store, &first, 161, ended.clone()).await, Settled::LeaseLost);
    assert_eq!(status(store, claim.message.id).await, Unconfirmed);
    assert_eq!(settle(store, &second, 162, ended).await, Settled::Done { reached: Some(Failed) });
    assert_eq!(status(store, claim.message.id).await, Failed);
}

async fn messages_whose_validity_is_over_are_found_and_ended_whoever_holds_them(store: &Store) {
    let valid_until = |seconds, until| NewMessage { expires_at: Some(at(until)), ..new_message(seconds) };
    let handed_over = accept(store, valid_until(0, 10)).await;
    let claim = claim_one(store, 0).await;
    assert_eq!(begin(store, &claim, attempt(0), 0).await, Began::Begun);
    let held = accept(store, valid_until(1, 20)).await;
    let waiting = accept(store, valid_until(2, 15)).await;
    accept(store, valid_until(3, 100)).await;
    accept(store, new_message(4)).await;
    let holder = claim_some(store, 1, 1).await.remove(0);
    assert_eq!(holder.message.id, held.id);

    let over = async |now| {
        let over = store.expired(at(now), 10).await.unwrap();
        over.into_iter().map(|over| over.id).collect::<Vec<_>>()
    };
    assert!(over(14).await.is_empty(), "what is being handed over is not stopped by its validity");
    assert_eq!(over(30).await, [waiting.id, held.id], "the one that is over for longest first");
    assert_eq!(store.expired(at(30), 1).await.unwrap().len(), 1);

    let expire = async |id, now| {
        let expire = ExpireMessage {
            tenant: tenant(),
            id,
            now: at(now),
            reason: reason("its validity is over"),
            sinks: Sinks::Configured(sinks()),
        };
        store.write(expire).await.unwrap()
    };
    assert!(!expire(waiting.id, 14).await, "not before its time");
    for id in [waiting.id, held.id] {
        assert!(expire(id, 30).await);
        assert_eq!(story(store, id).await, [Queued, Expired]);
        assert!(!expire(id, 30).await, "it has ended already");
    }
    assert!(!expire(handed_over.id, 30).await);
    assert_eq!(begin(store, &holder, attempt(30), 30).await, Began::LeaseLost);
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 2, "whoever sent them hears of it");
    assert!(over(30).await.is_empty());
}
