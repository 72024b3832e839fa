//! What the store remembers of senders, and lets go of when they are removed.

use std::time::Duration;

use dataplane::store::Store;
use dataplane::store::contact::{PutConsent, PutSuppression};
use dataplane::store::message::{CancelMessage, Cancellation};
use dataplane::store::queue::ExpireMessage;
use dataplane::store::senders::{Absence, CancelOfRemoved, KnownSender, NoteSender, Seen};
use dataplane::store::webhook::{Forget, ForgetRemoved};
use messaging::config::Retention;
use messaging::contact::{ConsentRecord, ConsentStatus, Evidence, Suppression, SuppressionReason};

use super::*;

promises!(
    a_sender_is_remembered_with_its_last_retention_and_its_absence,
    a_queued_message_is_canceled_only_while_its_sender_is_removed,
    what_ends_while_its_sender_is_absent_is_reported_to_the_sinks_it_had,
    who_wants_no_messages_is_remembered_while_the_tenant_has_other_senders,
    a_removed_sender_is_forgotten_when_nothing_is_left_of_it,
    a_status_of_an_unknown_message_goes_before_other_metadata,
);

const GRACE: Duration = Duration::from_secs(60);

fn retention() -> Retention {
    Retention { bodies_seconds: 7, metadata_seconds: 9 }
}

fn configured(retention: Retention) -> Seen {
    Seen::Configured { retention, sinks: sinks() }
}

async fn note(store: &Store, seen: Seen, now: i64) {
    store.write(NoteSender { tenant: tenant(), sender: sender(), seen, now: at(now) }).await.unwrap();
}

async fn removed(store: &Store) {
    note(store, configured(retention()), 0).await;
    note(store, Seen::Absent, 0).await;
    note(store, Seen::Absent, 60).await;
}

async fn a_sender_is_remembered_with_its_last_retention_and_its_absence(store: &Store) {
    note(store, Seen::Absent, 0).await;
    assert_eq!(store.senders().await.unwrap(), [], "no config has ever had it");
    removed(store).await;
    let absence = Some(Absence { since: at(0), until: at(60) });
    let (retention, sinks) = (Some(retention()), Some(sinks()));
    let known = KnownSender { tenant: tenant(), sender: sender(), retention, sinks, absence };
    assert_eq!(store.senders().await.unwrap(), std::slice::from_ref(&known));
    note(store, configured(Retention::default()), 70).await;
    let known = KnownSender { retention: Some(Retention::default()), absence: None, ..known };
    assert_eq!(store.senders().await.unwrap(), [known]);
}

async fn a_queued_message_is_canceled_only_while_its_sender_is_removed(store: &Store) {
    let id = accept(store, new_message(0)).await.id;
    let cancel =
        async |now| store.write(CancelOfRemoved { tenant: tenant(), id, grace: GRACE, now: at(now) }).await.unwrap();
    note(store, configured(retention()), 0).await;
    assert!(!cancel(100).await);
    note(store, Seen::Absent, 100).await;
    note(store, Seen::Absent, 159).await;
    assert!(!cancel(160).await, "the grace is not over");
    note(store, Seen::Absent, 160).await;
    assert_eq!(store.queued_of(&tenant(), &sender(), None, 10).await.unwrap(), [id]);
    assert!(cancel(160).await && !cancel(160).await);
    assert_eq!(status(store, id).await, MessageStatus::Canceled);
    assert_eq!(store.queued_of(&tenant(), &sender(), None, 10).await.unwrap(), []);
}

async fn what_ends_while_its_sender_is_absent_is_reported_to_the_sinks_it_had(store: &Store) {
    note(store, configured(retention()), 0).await;
    let late = accept(store, NewMessage { expires_at: Some(at(10)), ..new_message(0) }).await.id;
    let unwanted = accept(store, new_message(0)).await.id;
    note(store, Seen::Absent, 5).await;
    let (tenant, reason) = (tenant(), reason("not wanted"));
    let expire = ExpireMessage {
        tenant: tenant.clone(),
        id: late,
        now: at(10),
        reason: reason.clone(),
        sinks: Sinks::LastKnown,
    };
    assert!(store.write(expire).await.unwrap());
    let cancel = CancelMessage { tenant, id: unwanted, now: at(10), reason, sinks: Sinks::LastKnown };
    assert!(matches!(store.write(cancel).await.unwrap(), Cancellation::Canceled(_)));
    assert_eq!(store.outbox_counts().await.unwrap().waiting, 2);
}

async fn suppress(store: &Store, contact: &str) {
    let suppression = Suppression { reason: SuppressionReason::Manual, at: at(2), detail: "asked by phone".into() };
    let contact = contact.parse().unwrap();
    store.write(PutSuppression { tenant: tenant(), sender: sender(), contact, suppression }).await.unwrap();
}

fn forget_removed(others_are_left: bool) -> ForgetRemoved {
    ForgetRemoved { tenant: tenant(), sender: sender(), before: at(1000), others_are_left, limit: 1 }
}

async fn forget_all(store: &Store, others_are_left: bool) {
    let before = at(1000);
    let forget = Forget {
        tenant: tenant(),
        sender: sender(),
        webhooks_before: before,
        bodies_before: before,
        metadata_before: before,
        parked_before: before,
        limit: 1,
    };
    while store.write(forget.clone()).await.unwrap() > 0 {}
    while store.write(forget_removed(others_are_left)).await.unwrap() > 0 {}
}

async fn version(store: &Store, contact: &str) -> u64 {
    store.contact(&tenant(), &sender(), &contact.parse().unwrap()).await.unwrap().version
}

async fn who_wants_no_messages_is_remembered_while_the_tenant_has_other_senders(store: &Store) {
    removed(store).await;
    let evidence = Evidence { source: "checkout-form".into(), reference: None, at: None, note: None };
    let consent = ConsentRecord { status: ConsentStatus::Granted, recorded_at: at(1), evidence };
    let put = PutConsent { tenant: tenant(), sender: sender(), contact: customer(), consent };
    store.write(put).await.unwrap();
    suppress(store, "+447700900124").await;
    forget_all(store, true).await;
    assert_eq!((version(store, "+447700900123").await, version(store, "+447700900124").await), (0, 1));
    assert_eq!(store.senders().await.unwrap().len(), 1);
    forget_all(store, false).await;
    assert_eq!(version(store, "+447700900124").await, 0);
    assert_eq!(store.senders().await.unwrap(), []);
}

async fn a_removed_sender_is_forgotten_when_nothing_is_left_of_it(store: &Store) {
    removed(store).await;
    let waiting = accept(store, new_message(0)).await;
    forget_all(store, false).await;
    assert_eq!(store.senders().await.unwrap().len(), 1);
    assert_eq!(store.lanes().await.unwrap().len(), 1);
    assert!(
        store.write(CancelOfRemoved { tenant: tenant(), id: waiting.id, grace: GRACE, now: at(60) }).await.unwrap()
    );
    forget_all(store, false).await;
    assert_eq!(store.senders().await.unwrap(), []);
    // A sender of that name may come back.
    let id = accept(store, new_message(2000)).await.id;
    assert_eq!(claim_one(store, 2000).await.message.id, id);
}

async fn a_status_of_an_unknown_message_goes_before_other_metadata(store: &Store) {
    report(store, 0, update("SM9", None, MessageStatus::Delivered)).await;
    let forget = Forget {
        tenant: tenant(),
        sender: sender(),
        webhooks_before: at(0),
        bodies_before: at(0),
        metadata_before: at(0),
        parked_before: at(1),
        limit: 10,
    };
    assert_eq!(store.write(forget.clone()).await.unwrap(), 1);
    assert_eq!(store.write(forget).await.unwrap(), 0);
}
