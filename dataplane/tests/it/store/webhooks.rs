//! The log: an event is taken once, and takes effect once.

use dataplane::rules::apply::{Applied, Consequence, Keyword};
use dataplane::rules::outbox::EventDelivered;
use dataplane::store::RecordReplayed;
use dataplane::store::Store;
use dataplane::store::WebhookLog as _;
use dataplane::store::outbox::ClaimEvents;
use dataplane::store::queue::{AttemptResult, Fenced};
use dataplane::store::webhook::{Recorded, ReplayFilter, StoredWebhook, dedupe_key};
use futures::future::join_all;
use jiff::SignedDuration;
use messaging::event::CloudEvent;
use messaging::id::{SenderName, TenantId};
use messaging::lifecycle::MessageStatus::{Accepted, Delivered, Failed, Queued, Read, Sent, Submitted, Unconfirmed};
use messaging::opt_out::OptChange;

use super::*;

promises!(
    an_event_is_new_once_however_often_it_comes_and_however_close,
    tenants_and_senders_do_not_share_events,
    a_webhook_of_several_events_is_new_in_part,
    it_is_told_which_keys_are_known_and_asking_changes_nothing,
    what_is_replayed_adds_its_new_events_and_no_second_webhook,
    the_log_is_read_in_pages_and_counted,
    an_event_takes_effect_once_whoever_applies_it,
    a_message_from_a_customer_opens_the_window_and_is_told_of_once,
    a_keyword_suppresses_once_and_is_taken_back,
    the_last_keyword_counts_when_keywords_are_applied_late,
    a_status_that_comes_before_its_message_is_known_waits_for_it,
    statuses_in_any_order_and_repeated_end_in_the_same_state,
    a_callback_that_carries_the_attempt_settles_an_unconfirmed_message,
    a_callback_that_overtakes_the_answer_loses_nothing_of_it,
    a_status_that_waits_does_not_hide_the_one_that_carries_the_attempt,
    a_status_of_nobody_is_parked_and_harms_nobody,
);

async fn an_event_is_new_once_however_often_it_comes_and_however_close(store: &Store) {
    let recorded = join_all((0..10).map(|_| record(store, 0, inbound("SM1")))).await;
    assert_eq!(recorded.iter().filter(|r| r.new == [true]).count(), 1, "{recorded:?}");
    assert!(record(store, 5, inbound("SM1")).await.is_duplicate());
    assert_eq!(unapplied(store).await.len(), 1);
    assert_eq!(record(store, 5, inbound("SM2")).await, Recorded { new: vec![true] });
}

async fn tenants_and_senders_do_not_share_events(store: &Store) {
    let mut others = [webhook(0, &[inbound("SM1")]), webhook(0, &[inbound("SM1")])];
    others[0].tenant = TenantId::new("bakery").unwrap();
    others[1].sender = SenderName::new("sales").unwrap();
    assert_eq!(record(store, 0, inbound("SM1")).await.new, [true]);
    for other in others {
        assert_eq!(store.record_webhook(other).await.unwrap().new, [true]);
    }
}

async fn a_webhook_of_several_events_is_new_in_part(store: &Store) {
    record(store, 0, inbound("SM1")).await;
    let both = webhook(1, &[inbound("SM1"), inbound("SM2"), inbound("SM2")]);
    assert_eq!(store.record_webhook(both).await.unwrap().new, [false, true, false]);
    assert_eq!(unapplied(store).await.len(), 2);
}

async fn it_is_told_which_keys_are_known_and_asking_changes_nothing(store: &Store) {
    record(store, 0, inbound("SM1")).await;
    let mut keys: Vec<String> = (1..=1200).map(|n| format!("in:SM{n}")).collect();
    keys.reverse();
    let known = async |tenant: &str, sender: &str| {
        let (tenant, sender) = (TenantId::new(tenant).unwrap(), SenderName::new(sender).unwrap());
        store.known_dedupe_keys(&tenant, &sender, &keys).await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(known("shop", "support").await, ["in:SM1".to_owned()].into());
    }
    assert!(known("shop", "sales").await.is_empty() && known("bakery", "support").await.is_empty());
    assert!(store.known_dedupe_keys(&tenant(), &sender(), &[]).await.unwrap().is_empty());
}

fn everything(limit: u32) -> ReplayFilter {
    ReplayFilter { tenant: tenant(), sender: sender(), since: None, until: None, after: None, limit }
}

async fn what_is_replayed_adds_its_new_events_and_no_second_webhook(store: &Store) {
    let unreadable = WebhookEvent::Unreadable { reason: "a defect".into(), dedupe_key: "1".into() };
    let read_now = serde_json::to_vec(&[unreadable.clone(), inbound("SM1")]).unwrap();
    let first = RecordWebhook { body: read_now.into(), ..webhook(0, &[unreadable]) };
    store.record_webhook(first.clone()).await.unwrap();
    let replayed = || RecordWebhook { dedupe_keys: vec![dedupe_key(&inbound("SM1"))], ..first.clone() };
    assert_eq!(store.write(RecordReplayed(replayed())).await.unwrap().new, [true]);
    assert_eq!(store.write(RecordReplayed(replayed())).await.unwrap().new, [false]);
    assert_eq!(unapplied(store).await.len(), 2);
    apply_all(store).await;
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 1);
    assert_eq!(store.count_webhooks(&everything(10)).await.unwrap(), 1);
    assert!(record(store, 5, inbound("SM1")).await.is_duplicate(), "the live one knows of the replayed");
}

async fn the_log_is_read_in_pages_and_counted(store: &Store) {
    for n in 0..5 {
        record(store, n, inbound(&format!("SM{n}"))).await;
    }
    let mut read = Vec::new();
    loop {
        let after = read.last().map(|last: &StoredWebhook| (last.received_at, last.id.clone()));
        let page = store.webhooks(&ReplayFilter { after, ..everything(2) }).await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    let times: Vec<_> = read.iter().map(|webhook| webhook.received_at).collect();
    assert_eq!(times, [at(0), at(1), at(2), at(3), at(4)]);
    assert_eq!(read[0].body, serde_json::to_vec(&[inbound("SM0")]).unwrap());
    let part = ReplayFilter { since: Some(at(1)), until: Some(at(4)), ..everything(10) };
    assert_eq!(store.count_webhooks(&part).await.unwrap(), 3);
    assert_eq!(store.webhooks(&part).await.unwrap(), read[1..4]);
}

async fn an_event_takes_effect_once_whoever_applies_it(store: &Store) {
    record(store, 0, inbound("SM1")).await;
    let logged = unapplied(store).await;
    let applied = (0..5).map(async |_| store.write(consequence(&logged[0])).await.unwrap().answer);
    let outcomes = join_all(applied).await;
    let now = outcomes.iter().filter(|o| matches!(o, Applied::Now { .. })).count();
    let before = outcomes.iter().filter(|o| **o == Applied::Before).count();
    assert_eq!((now, before), (1, 4), "{outcomes:?}");
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 1);
    assert!(unapplied(store).await.is_empty());
}

async fn a_message_from_a_customer_opens_the_window_and_is_told_of_once(store: &Store) {
    record(store, 7, inbound("SM1")).await;
    apply_all(store).await;
    let contact = store.contact(&tenant(), &sender(), &customer()).await.unwrap();
    assert_eq!(contact.state.last_inbound_at, Some(at(7)));
    let id = event::received_id(&tenant(), &sender(), "SM1", at(7));
    assert_eq!(store.answerable(&tenant(), id).await.unwrap().unwrap().provider_message_id, "SM1");
    assert_eq!(store.answerable(&TenantId::new("bakery").unwrap(), id).await.unwrap(), None);
}

async fn say(store: &Store, seconds: i64, id: &str, change: OptChange) {
    record(store, seconds, inbound(id)).await;
    let logged = unapplied(store).await;
    let mut apply = consequence(&logged[0]);
    let Consequence::Received(received) = &mut apply.consequence else { panic!("{apply:?}") };
    let reply = new_message(seconds);
    let event = event::keyword(&tenant(), &sender(), change, "STOP", &received.message, at(seconds));
    received.keyword = Some(Keyword { change, text: "stop".into(), event, reply: Some(reply) });
    store.write(apply).await.unwrap();
}

async fn a_keyword_suppresses_once_and_is_taken_back(store: &Store) {
    let suppressed = async || store.contact(&tenant(), &sender(), &customer()).await.unwrap().state.suppression(at(1));
    say(store, 1, "SM1", OptChange::Stop).await;
    assert_eq!(suppressed().await.map(|s| s.at), Some(at(1)));
    say(store, 2, "SM2", OptChange::Stop).await;
    assert_eq!(suppressed().await.map(|s| s.at), Some(at(2)), "the latest one counts");
    say(store, 3, "SM3", OptChange::Start).await;
    assert_eq!(suppressed().await, None);
    // One event for each message, and one for each of the two changes; one reply for each change.
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 5);
    assert_eq!(store.queue_counts(at(9)).await.unwrap().due, 2);
}

async fn the_last_keyword_counts_when_keywords_are_applied_late(store: &Store) {
    let suppressed = async || store.contact(&tenant(), &sender(), &customer()).await.unwrap().state.suppression(at(9));
    say(store, 1, "SM1", OptChange::Stop).await;
    say(store, 5, "SM2", OptChange::Stop).await;
    say(store, 3, "SM3", OptChange::Start).await;
    assert_eq!(suppressed().await.map(|s| s.at), Some(at(5)), "a late start does not lift a newer stop");
    say(store, 7, "SM4", OptChange::Start).await;
    say(store, 6, "SM5", OptChange::Stop).await;
    assert_eq!(suppressed().await, None, "a late stop does not undo a newer start");
}

async fn a_status_that_comes_before_its_message_is_known_waits_for_it(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    for status in [Delivered, Sent] {
        assert_eq!(report(store, 1, update("SM1", None, status)).await, [Applied::Parked]);
    }
    assert_eq!(status(store, claim.message.id).await, Submitted);
    assert_eq!(finish(store, &claim, attempt, 2, accepted("SM1")).await, Fenced::Done);
    assert_eq!(status(store, claim.message.id).await, Delivered);
    assert_eq!(store.queue_counts(at(9)).await.unwrap(), Default::default());
}

async fn statuses_in_any_order_and_repeated_end_in_the_same_state(store: &Store) {
    let steps = [Sent, Delivered, Read];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (n, order) in orders.into_iter().enumerate() {
        let (claim, attempt) = submitted(store, i64::try_from(n).unwrap()).await;
        let id = format!("SM{n}");
        finished(store, &claim, attempt, 100, accepted(&id)).await;
        for step in order.into_iter().chain(order) {
            report(store, 200, update(&id, Some(attempt), steps[step])).await;
        }
        let told = story(store, claim.message.id).await;
        assert_eq!(told.last(), Some(&Read), "{order:?}");
        assert!(told.is_sorted(), "{told:?}");
    }
}

async fn a_callback_that_carries_the_attempt_settles_an_unconfirmed_message(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    let lost = AttemptResult::Unconfirmed { reason: reason("no answer"), ask_at: at(900) };
    finished(store, &claim, attempt, 1, lost).await;
    assert_eq!(status(store, claim.message.id).await, Unconfirmed);
    assert_eq!(store.queue_counts(at(2)).await.unwrap().unconfirmed, 1);
    let reached = report(store, 2, update("SM1", Some(attempt), Delivered)).await;
    assert_eq!(reached, [Applied::Now { reached: vec![Delivered], message: Some(claim.message.id) }]);
    let record = store.message(&tenant(), claim.message.id).await.unwrap().unwrap();
    assert_eq!(record.message.provider_message_id.as_deref(), Some("SM1"));
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Unconfirmed, Delivered]);
    assert_eq!(store.queue_counts(at(2)).await.unwrap(), Default::default(), "nothing is awaited any more");
}

async fn a_callback_that_overtakes_the_answer_loses_nothing_of_it(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    report(store, 1, update("SM1", Some(attempt), Sent)).await;
    assert_eq!(finish(store, &claim, attempt, 2, accepted("SM1")).await, Fenced::Done);
    report(store, 3, update("SM1", None, Failed)).await;
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Sent, Failed]);

    // And the other way an answer can be contradicted: it was taken, whatever the connection said.
    let (claim, attempt) = submitted(store, 10).await;
    report(store, 11, update("SM2", Some(attempt), Sent)).await;
    let retry = AttemptResult::Retry { at: at(12), reason: reason("busy") };
    assert_eq!(finish(store, &claim, attempt, 12, retry).await, Fenced::Done);
    assert_eq!(status(store, claim.message.id).await, Sent);
    assert!(claim_some(store, 9_000, 10).await.is_empty(), "it is not sent again");
}

async fn a_status_that_waits_does_not_hide_the_one_that_carries_the_attempt(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    let lost = AttemptResult::Unconfirmed { reason: reason("no answer"), ask_at: at(900) };
    finished(store, &claim, attempt, 1, lost).await;
    assert_eq!(report(store, 2, update("SM1", None, Sent)).await, [Applied::Parked]);
    report(store, 3, update("SM1", Some(attempt), Sent)).await;
    assert_eq!(story(store, claim.message.id).await, [Queued, Submitted, Unconfirmed, Sent]);
}

async fn a_status_of_nobody_is_parked_and_harms_nobody(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    assert_eq!(report(store, 1, update("SM9", None, Delivered)).await, [Applied::Parked]);
    finished(store, &claim, attempt, 2, accepted("SM1")).await;
    assert_eq!(status(store, claim.message.id).await, Accepted);
}

/// The events that wait for the sink, taken one by one.
async fn published(store: &Store) -> Vec<CloudEvent> {
    let mut events: Vec<CloudEvent> = Vec::new();
    loop {
        let now = at(100) + SignedDuration::from_secs(i64::try_from(events.len()).unwrap());
        let claim = ClaimEvents {
            tenant: tenant(),
            sender: sender(),
            sink: sinks()[0].clone(),
            now,
            owner: "test".into(),
            lease_until: now,
            limit: 10,
        };
        let claims = store.write(claim).await.unwrap();
        let [claim] = claims.as_slice() else {
            assert!(claims.is_empty(), "one at a time: {claims:?}");
            return events;
        };
        events.push(serde_json::from_slice(&claim.body).unwrap());
        let delivered = EventDelivered { event: claim.reference.clone(), at: now };
        assert_eq!(store.write(delivered).await.unwrap(), Fenced::Done);
    }
}

#[tokio::test]
async fn a_sink_hears_of_a_message_once_for_each_status() {
    let database = Sqlite::new().await;
    let store = database.store();
    let (claim, attempt) = submitted(store, 0).await;
    finished(store, &claim, attempt, 1, accepted("SM1")).await;
    for _ in 0..2 {
        report(store, 2, update("SM1", None, Delivered)).await;
    }
    let events = published(store).await;
    let statuses: Vec<_> = events.iter().map(|event| event.data["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "delivered"]);
    assert!(events.iter().all(|event| event.data["metadata"]["order"] == "1"));
}

#[tokio::test]
async fn an_end_that_proof_corrects_is_named_and_a_reading_corrects_nothing() {
    let database = Sqlite::new().await;
    let store = database.store();
    let (claim, attempt) = submitted(store, 0).await;
    finished(store, &claim, attempt, 1, accepted("SM1")).await;
    for (seconds, status) in [(2, Failed), (3, Delivered), (4, Read)] {
        report(store, seconds, update("SM1", None, status)).await;
    }
    let told: Vec<_> = published(store)
        .await
        .iter()
        .map(|event| (event.data["status"].clone(), event.data.get("correctedFrom").cloned()))
        .collect();
    let expected: [(&str, Option<&str>); 4] =
        [("accepted", None), ("failed", None), ("delivered", Some("failed")), ("read", None)];
    assert_eq!(told, expected.map(|(status, corrected)| (status.into(), corrected.map(Into::into))));
}
