//! The outbox: in order for each message, held by one at a time, kept until the sink has taken it.

use dataplane::rules::outbox::EventDelivered;
use dataplane::store::Store;
use dataplane::store::outbox::{
    ClaimEvents, DeadEvent, DeadEventFilter, DeferEvent, EndEvent, EventClaim, RedriveEvent, TakeOver,
};
use dataplane::store::queue::Fenced;
use messaging::id::TenantId;
use messaging::lifecycle::MessageStatus::{Delivered, Read, Sent};

use super::*;

promises!(
    of_one_message_only_the_oldest_event_is_given_out,
    events_of_other_messages_do_not_wait,
    an_event_comes_back_when_the_lease_ends_and_its_old_holder_is_told,
    a_deferred_event_holds_up_those_behind_it_and_nobody_else,
    a_dead_letter_is_kept_and_lets_the_next_pass,
    dead_letters_are_read_page_by_page_also_where_one_is_dead_for_several_sinks,
    a_dead_letter_goes_on_its_way_again_once_and_from_its_first_try,
    lanes_say_which_sink_has_work_and_when,
    what_waits_under_an_address_goes_before_what_waits_under_the_name,
    what_another_replica_delivers_is_taken_over_when_it_has_ended,
);

async fn claim_events(store: &Store, now: i64) -> Vec<EventClaim> {
    claim_events_of(store, sinks()[0].clone(), now).await
}

async fn claim_events_of(store: &Store, sink: SinkId, now: i64) -> Vec<EventClaim> {
    let claim = ClaimEvents {
        tenant: tenant(),
        sender: sender(),
        sink,
        now: at(now),
        owner: "test".into(),
        lease_until: at(now + 60),
        limit: 10,
    };
    store.write(claim).await.unwrap()
}

fn what(claim: &EventClaim) -> String {
    let event: serde_json::Value = serde_json::from_slice(&claim.body).unwrap();
    event["data"]["status"].as_str().unwrap_or("received").to_owned()
}

/// A message with three events: accepted, sent, delivered.
async fn three_events(store: &Store, provider_message_id: &str) {
    let (claim, attempt) = submitted(store, 0).await;
    finished(store, &claim, attempt, 1, accepted(provider_message_id)).await;
    for status in [Sent, Delivered] {
        report(store, 2, update(provider_message_id, None, status)).await;
    }
}

async fn of_one_message_only_the_oldest_event_is_given_out(store: &Store) {
    three_events(store, "SM1").await;
    for (now, expected) in [(10, "accepted"), (11, "sent"), (12, "delivered")] {
        let claims = claim_events(store, now).await;
        assert_eq!(claims.iter().map(what).collect::<Vec<_>>(), [expected]);
        assert_eq!(
            store.write(EventDelivered { event: claims[0].reference.clone(), at: at(now) }).await.unwrap(),
            Fenced::Done
        );
    }
    assert!(claim_events(store, 13).await.is_empty());
    // What comes when nothing waits is given out at once.
    report(store, 20, update("SM1", None, Read)).await;
    assert_eq!(claim_events(store, 20).await.iter().map(what).collect::<Vec<_>>(), ["read"]);
}

async fn events_of_other_messages_do_not_wait(store: &Store) {
    three_events(store, "SM1").await;
    three_events(store, "SM2").await;
    record(store, 3, inbound("SM3")).await;
    apply_all(store).await;
    let mut given: Vec<_> = claim_events(store, 10).await.iter().map(what).collect();
    given.sort();
    assert_eq!(given, ["accepted", "accepted", "received"]);
    let counts = store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead, counts.oldest_created_at), (7, 0, Some(at(1))));
}

async fn an_event_comes_back_when_the_lease_ends_and_its_old_holder_is_told(store: &Store) {
    three_events(store, "SM1").await;
    let first = claim_events(store, 10).await.remove(0);
    assert!(claim_events(store, 69).await.is_empty());
    let second = claim_events(store, 70).await.remove(0);
    assert_eq!(second.reference.event, first.reference.event, "under the same id");
    assert_eq!(second.body, first.body);
    assert_eq!(store.write(EventDelivered { event: first.reference, at: at(71) }).await.unwrap(), Fenced::LeaseLost);
    assert_eq!(store.write(EventDelivered { event: second.reference, at: at(71) }).await.unwrap(), Fenced::Done);
}

async fn a_deferred_event_holds_up_those_behind_it_and_nobody_else(store: &Store) {
    three_events(store, "SM1").await;
    let event = claim_events(store, 10).await.remove(0);
    let defer = DeferEvent { event: event.reference.clone(), until: at(100), error: Some("500".into()) };
    assert_eq!(store.write(defer.clone()).await.unwrap(), Fenced::Done);
    assert_eq!(store.write(defer).await.unwrap(), Fenced::LeaseLost);
    three_events(store, "SM2").await;
    assert_eq!(claim_events(store, 20).await.len(), 1, "the other message's");
    let again = claim_events(store, 100).await;
    let again = again.iter().find(|c| c.reference.event == event.reference.event).unwrap();
    assert_eq!(again.tries, 1);
}

async fn a_dead_letter_is_kept_and_lets_the_next_pass(store: &Store) {
    three_events(store, "SM1").await;
    let end =
        |claim: &EventClaim, keep| EndEvent { event: claim.reference.clone(), now: at(20), error: "410".into(), keep };
    let first = claim_events(store, 10).await.remove(0);
    assert_eq!(store.write(end(&first, true)).await.unwrap(), Fenced::Done);
    let second = claim_events(store, 20).await.remove(0);
    assert_eq!(what(&second), "sent");
    assert_eq!(store.write(end(&second, false)).await.unwrap(), Fenced::Done);
    let counts = store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead), (1, 1));
    assert_eq!(store.write(end(&first, false)).await.unwrap(), Fenced::LeaseLost, "it is dead already");
}

/// Two received messages, whose events are dead for each of two sinks.
async fn four_dead_letters(store: &Store) {
    let both = [sinks()[0].clone(), SinkId::new("https://other.example/events")];
    for id in ["SM1", "SM2"] {
        record(store, 0, inbound(id)).await;
    }
    for logged in unapplied(store).await {
        let apply = ApplyEvent { sinks: both.to_vec(), ..consequence(&logged) };
        store.write(apply).await.unwrap();
    }
    for sink in both {
        for claim in claim_events_of(store, sink, 10).await {
            let defer = DeferEvent { event: claim.reference.clone(), until: at(11), error: Some("500".into()) };
            assert_eq!(store.write(defer).await.unwrap(), Fenced::Done);
        }
    }
    for sink in [sinks()[0].clone(), SinkId::new("https://other.example/events")] {
        for claim in claim_events_of(store, sink, 12).await {
            let end = EndEvent { event: claim.reference, now: at(20), error: "410".into(), keep: true };
            assert_eq!(store.write(end).await.unwrap(), Fenced::Done);
        }
    }
}

async fn dead_letters_are_read_page_by_page_also_where_one_is_dead_for_several_sinks(store: &Store) {
    four_dead_letters(store).await;
    let dead = async |filter: DeadEventFilter| store.dead_events(&tenant(), &filter).await.unwrap();
    let all = dead(DeadEventFilter { limit: 10, ..Default::default() }).await;
    assert_eq!(all.len(), 4);
    let mut paged: Vec<DeadEvent> = Vec::new();
    loop {
        let after = paged.last().map(|last| (last.event, last.sink.clone()));
        let page = dead(DeadEventFilter { after, limit: 1, ..Default::default() }).await;
        assert!(page.len() <= 1);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all, "nothing is missed and nothing comes twice");
    let first = &all[0];
    assert_eq!((first.tries, first.last_error.as_str(), first.dead_at), (1, "410", at(20)));
    let of_event = dead(DeadEventFilter { event: Some(first.event), limit: 10, ..Default::default() }).await;
    assert_eq!(of_event, all[..2]);
    let of_sink = dead(DeadEventFilter { sink: Some(sinks()[0].clone()), limit: 10, ..Default::default() }).await;
    assert!(of_sink.len() == 2 && of_sink.iter().all(|letter| letter.sink == sinks()[0]), "{of_sink:?}");
    let none = DeadEventFilter { sender: Some(SenderName::new("sales").unwrap()), limit: 10, ..Default::default() };
    assert!(dead(none).await.is_empty());
    let (bakery, any) = (TenantId::new("bakery").unwrap(), DeadEventFilter { limit: 9, ..Default::default() });
    assert!(store.dead_events(&bakery, &any).await.unwrap().is_empty(), "a tenant sees its own only");
}

async fn a_dead_letter_goes_on_its_way_again_once_and_from_its_first_try(store: &Store) {
    four_dead_letters(store).await;
    let filter = DeadEventFilter { sink: Some(sinks()[0].clone()), limit: 1, ..Default::default() };
    let letter = store.dead_events(&tenant(), &filter).await.unwrap().remove(0);
    assert!(claim_events(store, 30).await.is_empty());
    let redrive =
        RedriveEvent { tenant: tenant(), sender: letter.sender, sink: letter.sink, event: letter.event, now: at(40) };
    assert!(store.write(redrive.clone()).await.unwrap());
    assert!(!store.write(redrive).await.unwrap(), "it is not dead any more");
    assert!(claim_events(store, 39).await.is_empty());
    let again = claim_events(store, 40).await;
    assert_eq!((again.len(), again[0].reference.event, again[0].tries), (1, letter.event, 0));
    assert_eq!(again[0].body, letter.body.as_bytes());
    assert_eq!(
        store.write(EventDelivered { event: again[0].reference.clone(), at: at(41) }).await.unwrap(),
        Fenced::Done
    );
    let counts = store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead), (0, 3));
}

async fn lanes_say_which_sink_has_work_and_when(store: &Store) {
    assert!(store.outbox_lanes().await.unwrap().is_empty());
    three_events(store, "SM1").await;
    let lane = store.outbox_lanes().await.unwrap().remove(0);
    assert_eq!((lane.sink, lane.next_at), (sinks()[0].clone(), at(1)));
    claim_events(store, 10).await;
    assert_eq!(store.outbox_lanes().await.unwrap()[0].next_at, at(70));
}

const ADDRESS: &str = "https://app.example/events";

/// A message with one event under the address, from a replica of the version before, and then two under the name.
async fn events_of_two_versions(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    let (result, new_attempts) = (accepted("SM1"), new_attempts());
    let finish = FinishAttempt {
        claim: claim.reference(),
        attempt,
        now: at(1),
        result,
        provider_request_id: None,
        suppress: None,
        new_attempts,
        sinks: vec![SinkId::new(ADDRESS)],
    };
    assert_eq!(store.write(finish).await.unwrap().answer, Fenced::Done);
    for status in [Sent, Delivered] {
        report(store, 2, update("SM1", None, status)).await;
    }
}

async fn take_over(store: &Store, now: i64) -> u64 {
    let (address, name) = (SinkId::new(ADDRESS), sinks()[0].clone());
    let take_over = TakeOver { tenant: tenant(), sender: sender(), address, name, now: at(now), limit: 10 };
    store.write(take_over).await.unwrap()
}

async fn what_waits_under_an_address_goes_before_what_waits_under_the_name(store: &Store) {
    events_of_two_versions(store).await;
    assert_eq!((take_over(store, 5).await, take_over(store, 5).await), (1, 0));
    for (now, expected) in [(10, "accepted"), (11, "sent"), (12, "delivered")] {
        let claims = claim_events(store, now).await;
        assert_eq!(claims.iter().map(what).collect::<Vec<_>>(), [expected]);
        let delivered = EventDelivered { event: claims[0].reference.clone(), at: at(now) };
        assert_eq!(store.write(delivered).await.unwrap(), Fenced::Done);
    }
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 0);
}

async fn what_another_replica_delivers_is_taken_over_when_it_has_ended(store: &Store) {
    events_of_two_versions(store).await;
    let held = claim_events_of(store, SinkId::new(ADDRESS), 10).await.remove(0);
    assert_eq!(take_over(store, 20).await, 0);
    let defer = DeferEvent { event: held.reference, until: at(30), error: Some("500".into()) };
    assert_eq!(store.write(defer).await.unwrap(), Fenced::Done);
    assert_eq!(take_over(store, 20).await, 1);
    let moved = claim_events(store, 30).await;
    assert_eq!((what(&moved[0]).as_str(), moved[0].tries), ("accepted", 1));
}
