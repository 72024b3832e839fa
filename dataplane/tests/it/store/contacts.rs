//! Contacts: each change is a new version, and no change loses another.

use dataplane::store::Store;
use dataplane::store::contact::{LiftSuppression, PutConsent, PutSuppression};
use messaging::contact::{ConsentRecord, ConsentStatus, Evidence, Suppression, SuppressionReason};

use super::*;

promises!(
    nothing_is_known_of_a_stranger,
    consent_and_suppression_and_window_are_kept_side_by_side,
    a_suppression_lasts_until_it_is_lifted,
    each_sender_has_contacts_of_its_own,
);

async fn nothing_is_known_of_a_stranger(store: &Store) {
    let contact = store.contact(&tenant(), &sender(), &customer()).await.unwrap();
    assert_eq!((contact.version, contact.state), (0, Default::default()));
}

fn consent(status: ConsentStatus, now: i64) -> PutConsent {
    let evidence = Evidence { source: "checkout-form".into(), reference: None, at: None, note: None };
    let consent = ConsentRecord { status, recorded_at: at(now), evidence };
    PutConsent { tenant: tenant(), sender: sender(), contact: customer(), consent }
}

fn suppress(detail: &str) -> PutSuppression {
    let suppression = Suppression { reason: SuppressionReason::Manual, at: at(2), detail: detail.into() };
    PutSuppression { tenant: tenant(), sender: sender(), contact: customer(), suppression }
}

async fn consent_and_suppression_and_window_are_kept_side_by_side(store: &Store) {
    record(store, 1, inbound("SM1")).await;
    apply_all(store).await;
    let granted = store.write(consent(ConsentStatus::Granted, 2)).await.unwrap();
    let suppressed = store.write(suppress("asked by phone")).await.unwrap();
    let revoked = store.write(consent(ConsentStatus::Revoked, 3)).await.unwrap();
    assert_eq!((granted.version, suppressed.version, revoked.version), (2, 3, 4));
    assert_eq!(revoked.state.last_inbound_at, Some(at(1)));
    assert_eq!(revoked.state.consent.as_ref().map(|c| c.status), Some(ConsentStatus::Revoked));
    assert!(revoked.state.suppression(at(3)).is_some());
    assert_eq!(store.contact(&tenant(), &sender(), &customer()).await.unwrap(), revoked);
}

async fn a_suppression_lasts_until_it_is_lifted(store: &Store) {
    let first = store.write(suppress("first")).await.unwrap();
    assert_eq!(store.write(suppress("first")).await.unwrap(), first, "it changes nothing");
    let lift = LiftSuppression { tenant: tenant(), sender: sender(), contact: customer(), now: at(5) };
    let lifted = store.write(lift.clone()).await.unwrap();
    assert_eq!((lifted.version, lifted.state.suppression(at(5))), (2, None));
    assert_eq!(store.write(lift).await.unwrap(), lifted);
}

async fn each_sender_has_contacts_of_its_own(store: &Store) {
    store.write(suppress("here")).await.unwrap();
    let elsewhere = store.contact(&tenant(), &SenderName::new("sales").unwrap(), &customer()).await.unwrap();
    assert_eq!(elsewhere.version, 0);
}
