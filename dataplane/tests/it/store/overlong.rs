//! Times that a clock set that was ahead: what lies beyond its bound is due again, and nothing else changes.

use dataplane::store::Store;
use dataplane::store::hold::{Hold, HoldKind, PutHold, Scope};
use dataplane::store::outbox::{ClaimEvents, DeferEvent};
use dataplane::store::overlong::{Bound, MendTimes, StoredTime};
use dataplane::store::queue::{ClaimUnsettled, DeferClaim};
use dataplane::store::sweep::{ClaimSweep, FinishSweep, SweepClaim};

use super::*;

promises!(
    a_message_that_was_accepted_by_a_clock_that_was_ahead_is_due,
    a_scheduled_message_keeps_its_time,
    a_claim_by_a_clock_that_was_ahead_passes_to_another,
    a_scheduled_message_that_was_claimed_too_early_waits_for_its_time_again,
    a_message_that_was_deferred_by_a_clock_that_was_ahead_is_due,
    an_unsettled_message_is_asked_about_again,
    the_first_event_is_published_and_those_behind_it_wait,
    a_claimed_and_a_deferred_event_come_back,
    a_logged_event_is_applied,
    a_stop_that_a_worker_set_ends_and_what_a_person_holds_stays,
    an_account_is_swept_again_from_further_back,
);

/// In seconds; the clock was ahead by this.
const AHEAD: i64 = 36_000;

/// Mends what is more than ten minutes ahead of time 0. Returns how many times that was.
async fn mend(store: &Store, times: &[StoredTime]) -> u64 {
    let bound = |time: &StoredTime| Bound { time: *time, latest: at(600), mended: at(0) };
    let mended = store.write(MendTimes(times.iter().map(bound).collect())).await.unwrap();
    mended.into_iter().map(|(_, count)| count).sum()
}

async fn mend_all(store: &Store) -> u64 {
    mend(store, &StoredTime::ALL).await
}

async fn claimable(store: &Store, now: i64) -> usize {
    claim_some(store, now, 10).await.len()
}

async fn a_message_that_was_accepted_by_a_clock_that_was_ahead_is_due(store: &Store) {
    accept(store, new_message(AHEAD)).await;
    assert_eq!(claimable(store, 0).await, 0);
    assert_eq!(mend(store, &[StoredTime::MessageAccepted]).await, 1);
    assert_eq!(claimable(store, 0).await, 1);
}

async fn a_scheduled_message_keeps_its_time(store: &Store) {
    accept(store, NewMessage { scheduled_at: Some(at(AHEAD)), ..new_message(0) }).await;
    assert_eq!(mend_all(store).await, 0);
    assert_eq!(claimable(store, AHEAD - 1).await, 0);
    assert_eq!(claimable(store, AHEAD).await, 1);
}

async fn a_claim_by_a_clock_that_was_ahead_passes_to_another(store: &Store) {
    accept(store, new_message(0)).await;
    claim_one(store, AHEAD).await;
    assert_eq!(mend(store, &[StoredTime::MessageClaimed]).await, 1);
    claim_one(store, 0).await;
    assert_eq!(mend_all(store).await, 0, "a claim within its bound is kept");
    assert_eq!(claimable(store, 0).await, 0);
}

async fn a_scheduled_message_that_was_claimed_too_early_waits_for_its_time_again(store: &Store) {
    accept(store, NewMessage { scheduled_at: Some(at(AHEAD)), ..new_message(0) }).await;
    claim_one(store, AHEAD).await;
    assert_eq!(mend(store, &[StoredTime::MessageClaimed]).await, 1);
    assert_eq!(claimable(store, AHEAD - 1).await, 0);
    assert_eq!(claimable(store, AHEAD).await, 1);
}

async fn a_message_that_was_deferred_by_a_clock_that_was_ahead_is_due(store: &Store) {
    accept(store, new_message(0)).await;
    let claim = claim_one(store, 0).await.reference();
    assert_eq!(store.write(DeferClaim { claim, until: at(AHEAD) }).await.unwrap(), Fenced::Done);
    assert_eq!(mend(store, &[StoredTime::MessageDeferred]).await, 1);
    assert_eq!(claimable(store, 0).await, 1);
}

async fn an_unsettled_message_is_asked_about_again(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    finished(store, &claim, attempt, 1, accepted("SM1")).await;
    let asked = |now| {
        let claim = ClaimUnsettled { now: at(now), owner: "test".into(), lease_until: at(now + 60), limit: 10 };
        async move { store.write(claim).await.unwrap().len() }
    };
    assert_eq!(mend(store, &[StoredTime::UnsettledDeferred]).await, 1);
    assert_eq!(asked(AHEAD).await, 1, "by a clock that is ahead");
    assert_eq!(asked(0).await, 0);
    assert_eq!(mend(store, &[StoredTime::UnsettledClaimed]).await, 1);
    assert_eq!(asked(0).await, 1);
}

async fn events(store: &Store, now: i64) -> Vec<dataplane::store::outbox::EventClaim> {
    let (tenant, sender, sink) = (tenant(), sender(), sinks()[0].clone());
    let (now, lease_until) = (at(now), at(now + 60));
    let claim = ClaimEvents { tenant, sender, sink, now, owner: "test".into(), lease_until, limit: 10 };
    store.write(claim).await.unwrap()
}

/// A message with two events, written at a time.
async fn two_events(store: &Store, now: i64) {
    let (claim, attempt) = submitted(store, now).await;
    finished(store, &claim, attempt, now, accepted("SM1")).await;
    report(store, now, update("SM1", None, MessageStatus::Sent)).await;
}

async fn the_first_event_is_published_and_those_behind_it_wait(store: &Store) {
    two_events(store, AHEAD).await;
    assert_eq!(events(store, 0).await.len(), 0);
    assert_eq!(mend(store, &[StoredTime::EventReady]).await, sinks().len() as u64);
    assert_eq!(events(store, 0).await.len(), 1);
}

async fn a_claimed_and_a_deferred_event_come_back(store: &Store) {
    two_events(store, 0).await;
    let claimed = events(store, AHEAD).await.remove(0);
    assert_eq!(mend(store, &[StoredTime::EventClaimed]).await, 1);
    let again = events(store, 0).await.remove(0);
    assert!(again.reference.fence > claimed.reference.fence);
    let defer = DeferEvent { event: again.reference, until: at(AHEAD), error: Some("a test".into()) };
    assert_eq!(store.write(defer).await.unwrap(), Fenced::Done);
    assert_eq!(events(store, 0).await.len(), 0);
    assert_eq!(mend(store, &[StoredTime::EventDeferred]).await, 1);
    assert_eq!(events(store, 0).await.len(), 1);
}

async fn a_logged_event_is_applied(store: &Store) {
    record(store, AHEAD, inbound("SM1")).await;
    let waiting =
        || async { store.write(ClaimUnapplied { now: at(0), lease_until: at(10), limit: 10 }).await.unwrap().len() };
    assert_eq!(waiting().await, 0);
    assert_eq!(mend(store, &[StoredTime::LoggedEvent]).await, 1);
    assert_eq!(waiting().await, 1);
}

async fn a_stop_that_a_worker_set_ends_and_what_a_person_holds_stays(store: &Store) {
    for kind in HoldKind::ALL {
        let (tenant, scope, reason) = (tenant(), Scope::Sender(sender()), "a test".to_owned());
        let hold = Hold { tenant, scope, kind, until: at(AHEAD), reason, created_at: at(0) };
        store.write(PutHold { hold }).await.unwrap();
    }
    assert_eq!(mend_all(store).await, 1);
    let held: Vec<_> = store.holds(at(1)).await.unwrap().into_iter().map(|hold| hold.kind).collect();
    assert!(held.len() == 3 && !held.contains(&HoldKind::Breaker), "{held:?}");
}

async fn an_account_is_swept_again_from_further_back(store: &Store) {
    let claim = |now| ClaimSweep {
        tenant: tenant(),
        account: "AC1".into(),
        now: at(now),
        every: std::time::Duration::from_secs(900),
        owner: "test".into(),
    };
    let ahead: SweepClaim = store.write(claim(AHEAD)).await.unwrap().unwrap();
    let finish = FinishSweep { claim: ahead, swept_until: Some(at(AHEAD)) };
    assert_eq!(store.write(finish).await.unwrap(), Fenced::Done);
    assert_eq!(store.write(claim(0)).await.unwrap(), None);
    assert_eq!(mend(store, &[StoredTime::SweepDue, StoredTime::SweptUntil]).await, 2);
    assert_eq!(store.write(claim(0)).await.unwrap().unwrap().swept_until, Some(at(0)));
}
