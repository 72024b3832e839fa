//! Messages come in once for each key, are seen by their tenant alone, and can be withdrawn until they are handed over.

use dataplane::store::Store;
use dataplane::store::message::{Answerable, CancelMessage, Cancellation, Idempotency, MessageFilter, ReplyTo};
use dataplane::store::queue::Began;
use futures::future::join_all;
use messaging::id::PoolId;
use messaging::lifecycle::MessageStatus::{Canceled, Queued, Submitted};
use messaging::routing::Route;

use super::*;

promises!(
    a_key_is_one_message_however_often_and_however_close_it_is_used,
    what_was_accepted_is_read_back_as_it_was,
    another_tenant_sees_nothing,
    what_was_received_is_found_by_our_id_and_by_the_providers,
    what_is_answered_is_found_whether_it_was_sent_or_received,
    messages_are_listed_newest_first_in_pages,
    each_filter_keeps_what_it_names,
    a_canceled_message_cannot_be_handed_over_by_who_holds_it,
    what_was_handed_over_cannot_be_canceled,
);

async fn a_key_is_one_message_however_often_and_however_close_it_is_used(store: &Store) {
    let of = |body: u8, content: u8| Idempotency {
        key: "order-1".into(),
        body_sha256: [body; 32],
        content_sha256: [content; 32],
    };
    let offer = |body: u8| {
        // Odd bodies say one thing, and even ones another.
        let idempotency = Some(of(body, body % 2));
        store.write(AcceptMessage { message: new_message(0), idempotency })
    };
    let answers: Vec<_> = join_all((0..10).map(|_| offer(1))).await.into_iter().map(Result::unwrap).collect();
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| match answer {
            Acceptance::New(message) | Acceptance::Replayed(message) => message.id,
            Acceptance::KeyReused => panic!("the body is the same"),
        })
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|a| matches!(a, Acceptance::New(_))).count(), 1);
    assert_eq!(offer(2).await.unwrap(), Acceptance::KeyReused);
    assert!(matches!(offer(3).await.unwrap(), Acceptance::Replayed(_)), "other bytes that say the same");
    assert_eq!(store.queue_counts(at(9)).await.unwrap().due, 1);
    let known = of(5, 1);
    assert!(matches!(store.replayed(&tenant(), &known).await.unwrap(), Some(Acceptance::Replayed(_))));
    let other = of(1, 2);
    assert_eq!(store.replayed(&tenant(), &other).await.unwrap(), Some(Acceptance::KeyReused));
    let unknown = Idempotency { key: "order-2".into(), ..known };
    assert_eq!(store.replayed(&tenant(), &unknown).await.unwrap(), None);
}

async fn what_was_accepted_is_read_back_as_it_was(store: &Store) {
    let new = NewMessage {
        route: Route { sender: sender(), via: Some(PoolId::new("MG1")) },
        reply_to: Some(ReplyTo { id: MessageId::new(at(0), &[1; 10]), quotes: Some("SM0".into()) }),
        served_language: Some("en".into()),
        scheduled_at: Some(at(500)),
        expires_at: Some(at(900)),
        priority: Priority::Marketing,
        ..new_message(0)
    };
    let accepted = accept(store, new).await;
    let record = store.message(&tenant(), accepted.id).await.unwrap().unwrap();
    assert_eq!(record.message, accepted);
    assert_eq!(story(store, accepted.id).await, [Queued]);
    assert!(claim_some(store, 499, 10).await.is_empty(), "it is scheduled");
    assert_eq!(claim_one(store, 500).await.message.id, accepted.id);
}

async fn another_tenant_sees_nothing(store: &Store) {
    let id = accept(store, new_message(0)).await.id;
    let other = TenantId::new("bakery").unwrap();
    assert!(store.message(&other, id).await.unwrap().is_none());
    assert!(list(store, &other, MessageFilter::default()).await.is_empty());
    let cancel = CancelMessage { tenant: other, id, now: at(1), reason: reason("mine"), sinks: Sinks::LastKnown };
    assert_eq!(store.write(cancel).await.unwrap(), Cancellation::NotFound);
    assert_eq!(status(store, id).await, Queued);
}

async fn what_was_received_is_found_by_our_id_and_by_the_providers(store: &Store) {
    record(store, 5, inbound("SM1")).await;
    apply_all(store).await;
    let id = event::received_id(&tenant(), &sender(), "SM1", at(5));
    assert_eq!(store.id_of(&tenant(), &sender(), "SM1").await.unwrap(), Some(id));
    assert_eq!(store.id_of(&tenant(), &sender(), "SM2").await.unwrap(), None);
    let found = store.received(&tenant(), id).await.unwrap().unwrap();
    assert_eq!((found.id, found.sender, found.contact, found.received_at), (id, sender(), customer(), at(5)));
    let webhook = found.webhook.unwrap();
    assert_eq!(serde_json::from_slice::<Vec<WebhookEvent>>(&webhook.body).unwrap(), [inbound("SM1")]);
    assert!(store.received(&TenantId::new("bakery").unwrap(), id).await.unwrap().is_none());
    // The same message again is in no other place of the log.
    record(store, 9, inbound("SM1")).await;
    assert_eq!(store.received(&tenant(), id).await.unwrap().unwrap().webhook.unwrap().id, webhook.id);
}

async fn what_is_answered_is_found_whether_it_was_sent_or_received(store: &Store) {
    let (claim, attempt) = submitted(store, 0).await;
    let sent = claim.message.id;
    assert_eq!(store.answerable(&tenant(), sent).await.unwrap(), None, "the provider does not know it yet");
    finished(store, &claim, attempt, 1, accepted("SM1")).await;
    record(store, 5, inbound("SM2")).await;
    apply_all(store).await;
    for (provider_message_id, id) in [("SM1", sent), ("SM2", event::received_id(&tenant(), &sender(), "SM2", at(5)))] {
        let provider_message_id = provider_message_id.to_owned();
        let found =
            Answerable { sender: sender(), contact: customer(), provider_message_id: provider_message_id.clone() };
        assert_eq!(store.answerable(&tenant(), id).await.unwrap(), Some(found));
        assert_eq!(store.id_of(&tenant(), &sender(), &provider_message_id).await.unwrap(), Some(id));
    }
}

async fn list(store: &Store, tenant: &TenantId, filter: MessageFilter) -> Vec<MessageId> {
    let filter = MessageFilter { limit: 100, ..filter };
    store.messages(tenant, &filter).await.unwrap().items.into_iter().map(|m| m.id).collect()
}

async fn messages_are_listed_newest_first_in_pages(store: &Store) {
    let mut ids = Vec::new();
    for second in 0..5 {
        ids.push(accept(store, new_message(second)).await.id);
    }
    ids.reverse();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let filter = MessageFilter { limit: 2, after, ..MessageFilter::default() };
        let page = store.messages(&tenant(), &filter).await.unwrap();
        seen.extend(page.items.iter().map(|m| m.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        // What comes in between pages does not move them.
        accept(store, new_message(1000)).await;
    }
    assert_eq!(seen, ids);
}

async fn each_filter_keeps_what_it_names(store: &Store) {
    let template =
        OutboundContent::Template { name: "hello".parse().unwrap(), language: None, values: BTreeMap::new() };
    let other = NewMessage {
        to: "GB.1a2b".parse().unwrap(),
        route: Route::direct(SenderName::new("sales").unwrap()),
        content: template,
        ..new_message(10)
    };
    let (first, other) = (accept(store, new_message(0)).await.id, accept(store, other).await.id);
    let no = MessageFilter::default;
    for (filter, expected) in [
        (no(), vec![other, first]),
        (MessageFilter { to: Some(customer()), ..no() }, vec![first]),
        (MessageFilter { sender: Some(SenderName::new("sales").unwrap()), ..no() }, vec![other]),
        (MessageFilter { template: Some("hello".into()), ..no() }, vec![other]),
        (MessageFilter { since: Some(at(10)), ..no() }, vec![other]),
        (MessageFilter { until: Some(at(10)), ..no() }, vec![first]),
        (MessageFilter { status: Some(Queued), to: Some(customer()), ..no() }, vec![first]),
        (MessageFilter { status: Some(Submitted), ..no() }, vec![]),
    ] {
        assert_eq!(list(store, &tenant(), filter.clone()).await, expected, "{filter:?}");
    }
}

fn cancel(id: MessageId, now: i64) -> CancelMessage {
    CancelMessage {
        tenant: tenant(),
        id,
        now: at(now),
        reason: reason("changed my mind"),
        sinks: Sinks::Configured(sinks()),
    }
}

async fn a_canceled_message_cannot_be_handed_over_by_who_holds_it(store: &Store) {
    let id = accept(store, new_message(0)).await.id;
    let claim = claim_one(store, 0).await;
    for _ in 0..2 {
        assert!(matches!(store.write(cancel(id, 1)).await.unwrap(), Cancellation::Canceled(_)));
    }
    assert_eq!(begin(store, &claim, attempt(2), 2).await, Began::LeaseLost);
    assert_eq!(story(store, id).await, [Queued, Canceled]);
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 1);
}

async fn what_was_handed_over_cannot_be_canceled(store: &Store) {
    let (claim, _) = submitted(store, 0).await;
    assert!(matches!(store.write(cancel(claim.message.id, 1)).await.unwrap(), Cancellation::TooLate(_)));
    assert_eq!(status(store, claim.message.id).await, Submitted);
}
