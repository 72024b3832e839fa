//! Events of the log that cannot be applied keep no other from it, and are given up in the end.

use dataplane::retention;
use dataplane::rules::apply::{Applied, DeferLogged};
use dataplane::store::RecordReplayed;
use dataplane::store::Store;
use dataplane::store::WebhookLog as _;
use dataplane::store::webhook::{ClaimUnapplied, GiveUpEvents};
use messaging::provider::webhook::WebhookRoute;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::fake::FakeProvider;
use crate::world::shared;

promises!(
    an_event_that_cannot_be_read_keeps_no_other_from_being_applied,
    an_event_is_given_up_when_it_is_old_and_was_tried_often,
    an_event_is_given_up_after_a_week_and_fifty_tries,
    an_event_that_was_given_up_takes_effect_when_it_is_replayed,
);

async fn an_event_that_cannot_be_read_keeps_no_other_from_being_applied(store: &Store) {
    let unreadable = RecordWebhook { route: WebhookRoute::request("", "", ""), ..webhook(0, &[inbound("SM1")]) };
    store.record_webhook(unreadable).await.unwrap();
    record(store, 1, inbound("SM2")).await;
    let claim = ClaimUnapplied { now: at(2), lease_until: at(2), limit: 100 };
    let claimed = store.write(claim.clone()).await.unwrap();
    assert_eq!(claimed.iter().map(|event| event.received_at).collect::<Vec<_>>(), [at(1)]);
    store.write(consequence(&claimed[0])).await.unwrap();
    assert!(store.write(claim).await.unwrap().is_empty(), "it is tried again later");
    let counts = store.queue_counts(at(2)).await.unwrap();
    assert_eq!((counts.unapplied, counts.oldest_unapplied_at), (0, Some(at(0))), "and is seen meanwhile");
    let given_up = store.write(GiveUpEvents { received_before: at(1), tries: 1 }).await.unwrap();
    assert_eq!(given_up.len(), 1);
}

/// An event that could not be applied so often.
async fn failed(store: &Store, tries: u32, failed: bool) {
    record(store, 0, inbound("SM1")).await;
    for _ in 0..tries {
        fails_again(store, failed).await;
    }
}

async fn fails_again(store: &Store, failed: bool) {
    let event = unapplied(store).await.remove(0).reference;
    store.write(DeferLogged { event, until: at(0), failed }).await.unwrap();
}

async fn an_event_is_given_up_when_it_is_old_and_was_tried_often(store: &Store) {
    failed(store, 3, true).await;
    let give_up = async |before, tries| store.write(GiveUpEvents { received_before: at(before), tries }).await.unwrap();
    assert_eq!((give_up(0, 3).await, give_up(1, 4).await), (vec![], vec![]));
    // One that came later, and one that was tried less often.
    for (received_at, id, tries) in [(1, "SM2", 3), (0, "SM3", 2)] {
        let other = webhook(received_at, &[inbound(id)]);
        store.record_webhook(other.clone()).await.unwrap();
        for _ in 0..tries {
            let waiting = unapplied(store).await.into_iter().find(|event| event.reference.webhook == other.id).unwrap();
            store.write(DeferLogged { event: waiting.reference, until: at(0), failed: true }).await.unwrap();
        }
    }
    let given_up = give_up(1, 3).await;
    assert_eq!((&given_up[0].tenant, &given_up[0].sender, given_up[0].received_at), (&tenant(), &sender(), at(0)));
    assert_eq!((given_up.len(), give_up(1, 3).await, unapplied(store).await.len()), (1, vec![], 2));
    apply_all(store).await;

    failed(store, 3, false).await;
    assert_eq!(give_up(1, 1).await, [], "it waited for its sender's config");
}

async fn an_event_is_given_up_after_a_week_and_fifty_tries(store: &Store) {
    const WEEK: i64 = 7 * 24 * 60 * 60;
    failed(store, 49, true).await;
    let (shared, clock) = shared(store.clone(), Arc::new(|_: &_| FakeProvider::new() as _), Arc::new([]));
    let given_up = async |now| {
        clock.set(at(now));
        retention::turn(&shared, &CancellationToken::new()).await.unwrap();
        unapplied(store).await.is_empty()
    };
    assert!(!given_up(2 * WEEK).await, "no replica may have run");
    fails_again(store, true).await;
    assert!(!given_up(WEEK).await, "what is wrong may still be found");
    assert!(given_up(WEEK + 1).await);
    assert!(shared.metrics.render().unwrap().contains("whatsapp_webhooks_given_up_total 1"), "it is counted");
}

async fn an_event_that_was_given_up_takes_effect_when_it_is_replayed(store: &Store) {
    let came = webhook(0, &[inbound("SM1")]);
    store.record_webhook(came.clone()).await.unwrap();
    let event = unapplied(store).await.remove(0).reference;
    store.write(DeferLogged { event, until: at(0), failed: true }).await.unwrap();
    store.write(GiveUpEvents { received_before: at(1), tries: 1 }).await.unwrap();
    assert!(!store.write(RecordReplayed(came)).await.unwrap().is_duplicate());
    assert!(matches!(apply_all(store).await[..], [Applied::Now { .. }]));
}
