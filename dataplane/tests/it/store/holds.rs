//! What is held, for every replica.

use dataplane::store::Store;
use dataplane::store::hold::{Hold, HoldKind, LiftHold, PutHold, Scope};

use super::*;

promises!(
    what_is_held_is_known_until_its_time_is_over_or_it_is_lifted,
    a_persons_newest_word_counts,
    no_replica_shortens_what_another_found_out,
);

fn hold(kind: HoldKind, until: Timestamp) -> Hold {
    Hold { tenant: tenant(), scope: Scope::Sender(sender()), kind, until, reason: "a test".into(), created_at: at(0) }
}

async fn put(store: &Store, hold: Hold) {
    store.write(PutHold { hold }).await.unwrap();
}

async fn until(store: &Store) -> Vec<Timestamp> {
    store.holds(at(0)).await.unwrap().into_iter().map(|hold| hold.until).collect()
}

async fn what_is_held_is_known_until_its_time_is_over_or_it_is_lifted(store: &Store) {
    let (pause, drain) = (hold(HoldKind::Pause, at(60)), hold(HoldKind::Drain, at(90)));
    put(store, pause.clone()).await;
    put(store, drain.clone()).await;
    assert_eq!(store.holds(at(59)).await.unwrap().len(), 2);
    assert_eq!(store.holds(at(60)).await.unwrap(), [drain]);

    let lift = LiftHold { tenant: tenant(), scope: Scope::Sender(sender()), kind: HoldKind::Drain };
    assert!(store.write(lift.clone()).await.unwrap());
    assert!(!store.write(lift).await.unwrap(), "it is lifted already");
    assert_eq!(store.holds(at(0)).await.unwrap(), [pause]);

    let forever = hold(HoldKind::Gone, Timestamp::MAX);
    put(store, forever).await;
    let last = store.holds(at(1_000_000_000)).await.unwrap();
    assert!(last.len() == 1 && last[0].lasts_until_lifted(), "{last:?}");
}

async fn a_persons_newest_word_counts(store: &Store) {
    for kind in [HoldKind::Pause, HoldKind::Drain] {
        put(store, hold(kind, at(90))).await;
        put(store, hold(kind, at(60))).await;
    }
    assert_eq!(until(store).await, [at(60), at(60)]);
}

async fn no_replica_shortens_what_another_found_out(store: &Store) {
    for kind in [HoldKind::Breaker, HoldKind::Gone] {
        put(store, hold(kind, at(90))).await;
        put(store, hold(kind, at(60))).await;
    }
    assert_eq!(until(store).await, [at(90), at(90)]);
}
