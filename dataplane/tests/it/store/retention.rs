//! Retention: bodies go first, metadata later, and nothing that is not over.

use dataplane::retention;
use dataplane::store::Store;
use dataplane::store::message::MessageFilter;
use dataplane::store::senders::{NoteSender, Seen};
use dataplane::store::webhook::Forget;
use messaging::config::Retention;
use messaging::lifecycle::MessageStatus::{Accepted, Delivered};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::fake::FakeProvider;
use crate::world::shared;

promises!(
    bodies_go_before_metadata_and_what_is_not_over_stays,
    a_step_is_bounded_and_repeating_it_ends,
    an_event_that_was_forgotten_is_still_a_duplicate_until_its_metadata_goes,
    a_status_waits_a_week_for_its_message_to_become_known,
);

fn forget(bodies: i64, metadata: i64, limit: u32) -> Forget {
    Forget {
        tenant: tenant(),
        sender: sender(),
        webhooks_before: at(bodies),
        bodies_before: at(bodies),
        metadata_before: at(metadata),
        parked_before: at(metadata),
        limit,
    }
}

async fn forget_all(store: &Store, bodies: i64, metadata: i64) {
    while store.write(forget(bodies, metadata, 2)).await.unwrap() > 0 {}
}

async fn bodies_go_before_metadata_and_what_is_not_over_stays(store: &Store) {
    let (ended, attempt) = submitted(store, 0).await;
    finished(store, &ended, attempt, 1, accepted("SM1")).await;
    report(store, 2, update("SM1", None, Delivered)).await;
    let (open, attempt) = submitted(store, 3).await;
    finished(store, &open, attempt, 4, accepted("SM2")).await;
    let waiting = accept(store, new_message(5)).await;

    forget_all(store, 100, 0).await;
    let content = async |id| store.message(&tenant(), id).await.unwrap().unwrap().message.content;
    assert_eq!(content(ended.message.id).await, None);
    assert!(content(open.message.id).await.is_some() && content(waiting.id).await.is_some());
    assert_eq!(story(store, ended.message.id).await.len(), 4, "the story is metadata");

    forget_all(store, 100, 100).await;
    assert!(store.message(&tenant(), ended.message.id).await.unwrap().is_none());
    assert_eq!(status(store, open.message.id).await, Accepted);
    assert_eq!(claim_one(store, 100).await.message.id, waiting.id);
}

async fn a_step_is_bounded_and_repeating_it_ends(store: &Store) {
    for n in 0..5 {
        record(store, 0, inbound(&format!("SM{n}"))).await;
    }
    apply_all(store).await;
    let mut steps = Vec::new();
    loop {
        match store.write(forget(100, 0, 2)).await.unwrap() {
            0 => break,
            n => steps.push(n),
        }
    }
    // Two raw webhooks and two events in a step.
    assert_eq!(steps, [2, 2, 1]);
    assert!(
        store.messages(&tenant(), &MessageFilter { limit: 10, ..Default::default() }).await.unwrap().items.is_empty()
    );
}

async fn an_event_that_was_forgotten_is_still_a_duplicate_until_its_metadata_goes(store: &Store) {
    record(store, 0, inbound("SM1")).await;
    forget_all(store, 100, 0).await;
    assert_eq!(unapplied(store).await.len(), 1, "what has not taken effect stays");
    apply_all(store).await;
    forget_all(store, 100, 0).await;
    assert!(record(store, 1, inbound("SM1")).await.is_duplicate());
    forget_all(store, 100, 100).await;
    assert!(!record(store, 2, inbound("SM1")).await.is_duplicate());
}

async fn a_status_waits_a_week_for_its_message_to_become_known(store: &Store) {
    for (received_at, id) in [(0, "SM1"), (10, "SM2")] {
        report(store, received_at, update(id, None, Delivered)).await;
    }
    let seen = Seen::Configured { retention: Retention::default(), sinks: sinks() };
    store.write(NoteSender { tenant: tenant(), sender: sender(), seen, now: at(10) }).await.unwrap();
    let (shared, clock) = shared(store.clone(), Arc::new(|_: &_| FakeProvider::new() as _), Arc::new([]));
    clock.set(at(7 * 24 * 60 * 60 + 5));
    retention::turn(&shared, &CancellationToken::new()).await.unwrap();
    for (id, reached) in [("SM1", Accepted), ("SM2", Delivered)] {
        let (claim, attempt) = submitted(store, 20).await;
        finished(store, &claim, attempt, 21, accepted(id)).await;
        assert_eq!(status(store, claim.message.id).await, reached, "{id}");
    }
}
