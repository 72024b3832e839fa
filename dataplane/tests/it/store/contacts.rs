//! Contacts: each change is a new version, no change loses another, and one person is one person in every spelling.

mod changed_ids;

use dataplane::rules::apply::Keyword;
use dataplane::store::Store;
use dataplane::store::contact::{
    Contact, LiftSuppression, LinkedAddress, PutConsent, PutSuppression, Revocation, RevokeLink,
};
use messaging::contact::{ConsentRecord, ConsentStatus, Evidence, Lift, Suppression, SuppressionReason};
use messaging::opt_out::OptChange;

use super::*;

promises!(
    nothing_is_known_of_a_stranger,
    consent_and_suppression_and_window_are_kept_side_by_side,
    a_suppression_lasts_until_it_is_lifted,
    a_suppression_is_lifted_although_another_replicas_clock_was_ahead,
    a_tenant_does_not_lift_an_opt_out,
    each_sender_has_contacts_of_its_own,
    what_a_person_said_in_one_spelling_holds_in_the_other,
    what_a_tenant_records_in_one_spelling_holds_in_the_other,
    a_stop_in_another_spelling_makes_a_sender_judge_again,
    a_stop_from_a_hidden_number_holds_for_the_number_and_all_its_spellings,
    a_number_that_comes_with_a_new_id_is_another_persons,
    links_are_the_same_in_whatever_order_webhooks_are_applied,
    a_new_holder_of_a_number_makes_a_sender_judge_again,
    a_start_of_a_new_holder_in_another_spelling_frees_nobody_else,
    a_link_that_is_revoked_counts_no_more_until_the_two_are_seen_together_again,
    a_revoked_link_makes_a_sender_judge_again,
    an_addresss_links_say_since_when_and_until_when,
    an_address_keeps_its_newest_links_and_a_link_that_goes_makes_a_sender_judge_again,
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

fn lift() -> LiftSuppression {
    let lift = Lift { at: at(5), by: "ann".into(), reason: "they asked for it".into() };
    LiftSuppression { tenant: tenant(), sender: sender(), contact: customer(), lift }
}

async fn a_suppression_lasts_until_it_is_lifted(store: &Store) {
    let first = store.write(suppress("first")).await.unwrap();
    assert_eq!(store.write(suppress("first")).await.unwrap(), first, "it changes nothing");
    let lifted = store.write(lift()).await.unwrap();
    assert_eq!((lifted.version, lifted.state.suppression(at(5))), (2, None));
    assert_eq!(lifted.state.lift(), Some(&lift().lift), "who decided, and why");
    assert_eq!(store.write(lift()).await.unwrap(), lifted, "again, it changes nothing");
}

async fn a_suppression_is_lifted_although_another_replicas_clock_was_ahead(store: &Store) {
    for (reason, seconds) in [(SuppressionReason::Manual, 8), (SuppressionReason::Blocked, 9)] {
        let suppression = Suppression { reason, at: at(seconds), detail: "a reason".into() };
        store.write(PutSuppression { suppression, ..suppress("") }).await.unwrap();
    }
    assert_eq!(store.write(lift()).await.unwrap().state.suppression(at(5)), None);
    assert_eq!(known_as(store, customer().as_str()).await.state.suppression(at(20)), None);
}

async fn a_tenant_does_not_lift_an_opt_out(store: &Store) {
    wrote(store, "SM1", REPORTED, 1, Some(OptChange::Stop)).await;
    let before = known_as(store, REPORTED).await;
    let lift = LiftSuppression { contact: address(REPORTED), ..lift() };
    assert_eq!(store.write(lift).await.unwrap(), before);
}

async fn each_sender_has_contacts_of_its_own(store: &Store) {
    store.write(suppress("here")).await.unwrap();
    let elsewhere = store.contact(&tenant(), &SenderName::new("sales").unwrap(), &customer()).await.unwrap();
    assert_eq!(elsewhere.version, 0);
}

/// One subscriber: as WhatsApp reports them, and as they are dialled.
const REPORTED: &str = "+553180000001";
const DIALLED: &str = "+5531980000001";

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A message from an address, applied.
async fn wrote(store: &Store, id: &str, from: &str, now: i64, change: Option<OptChange>) {
    wrote_as(store, id, from, None, now, change).await;
}

/// The same, from an address that comes with a business-scoped id.
async fn wrote_as(store: &Store, id: &str, from: &str, user: Option<&str>, now: i64, change: Option<OptChange>) {
    let WebhookEvent::Inbound(message) = inbound(id) else { unreachable!() };
    let message = InboundMessage { from: address(from), from_user_id: user.map(address), ..message };
    record(store, now, WebhookEvent::Inbound(message.clone())).await;
    for logged in unapplied(store).await {
        let mut apply = consequence(&logged);
        if let Consequence::Received(received) = &mut apply.consequence {
            let keyword = |change| Keyword {
                change,
                text: "a word".into(),
                event: event::keyword(&tenant(), &sender(), change, "STOP", &message, at(now)),
                reply: None,
            };
            received.keyword = change.map(keyword);
        }
        store.write(apply).await.unwrap();
    }
}

async fn known_as(store: &Store, address: &str) -> Contact {
    store.contact(&tenant(), &sender(), &address.parse().unwrap()).await.unwrap()
}

async fn what_a_person_said_in_one_spelling_holds_in_the_other(store: &Store) {
    wrote(store, "SM1", REPORTED, 1, Some(OptChange::Stop)).await;
    for spelling in [REPORTED, DIALLED] {
        let contact = known_as(store, spelling).await;
        assert_eq!(contact.state.last_inbound_at, Some(at(1)), "{spelling}: the window");
        assert!(contact.state.suppression(at(1)).is_some(), "{spelling}: the stop");
    }
    accept(store, NewMessage { to: address(DIALLED), ..new_message(2) }).await;
    let claim = claim_one(store, 2).await;
    assert_eq!(claim.message.to, address(DIALLED), "what is sent keeps the caller's spelling");
    assert!(claim.contact.state.suppression(at(2)).is_some());

    wrote(store, "SM2", DIALLED, 3, Some(OptChange::Start)).await;
    for spelling in [REPORTED, DIALLED] {
        assert_eq!(known_as(store, spelling).await.state.suppression(at(3)), None, "{spelling}: the start");
    }
}

async fn what_a_tenant_records_in_one_spelling_holds_in_the_other(store: &Store) {
    let suppressed =
        store.write(PutSuppression { contact: address(DIALLED), ..suppress("asked by phone") }).await.unwrap();
    assert!(known_as(store, REPORTED).await.state.suppression(at(2)).is_some());
    let consent = PutConsent { contact: address(REPORTED), ..consent(ConsentStatus::Granted, 3) };
    let consented = store.write(consent).await.unwrap();
    assert!(consented.state.consent.is_some() && consented.state.suppression(at(3)).is_some());
    assert!(consented.version > suppressed.version, "another version of the same person");
    assert_eq!(known_as(store, DIALLED).await, consented);
    let lift = LiftSuppression { contact: address(REPORTED), ..lift() };
    assert_eq!(store.write(lift).await.unwrap().state.suppression(at(5)), None);
    assert_eq!(known_as(store, DIALLED).await.state.suppression(at(5)), None);
}

async fn a_stop_in_another_spelling_makes_a_sender_judge_again(store: &Store) {
    accept(store, NewMessage { to: address(DIALLED), ..new_message(1) }).await;
    let claim = claim_one(store, 1).await;
    wrote(store, "SM1", REPORTED, 2, Some(OptChange::Stop)).await;
    assert_eq!(begin(store, &claim, attempt(3), 3).await, Began::ContactChanged);
    let contact = known_as(store, DIALLED).await;
    assert_eq!(begin(store, &Claim { contact, ..claim }, attempt(4), 4).await, Began::Begun);
}

async fn a_stop_from_a_hidden_number_holds_for_the_number_and_all_its_spellings(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    wrote(store, "SM2", "BR.1", 2, Some(OptChange::Stop)).await;
    for known in [REPORTED, DIALLED, "BR.1"] {
        let contact = known_as(store, known).await;
        assert_eq!(contact.state.last_inbound_at, Some(at(2)), "{known}: the window");
        assert!(contact.state.suppression(at(2)).is_some(), "{known}: the stop");
    }
    accept(store, NewMessage { to: address(DIALLED), ..new_message(3) }).await;
    assert!(claim_one(store, 3).await.contact.state.suppression(at(3)).is_some());
    wrote(store, "SM3", REPORTED, 4, Some(OptChange::Start)).await;
    assert_eq!(known_as(store, "BR.1").await.state.suppression(at(4)), None, "the start");
}

async fn a_number_that_comes_with_a_new_id_is_another_persons(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    let granted = PutConsent { contact: address(DIALLED), ..consent(ConsentStatus::Granted, 2) };
    store.write(granted).await.unwrap();
    wrote(store, "SM2", "BR.1", 3, Some(OptChange::Stop)).await;
    wrote_as(store, "SM3", REPORTED, Some("BR.2"), 10, None).await;
    for known in [DIALLED, "BR.2"] {
        let contact = known_as(store, known).await;
        assert!(contact.state.suppression(at(10)).is_some(), "{known} inherits the suppression");
        assert_eq!(contact.state.consent, None, "{known} does not inherit the consent");
        assert_eq!(contact.state.last_inbound_at, Some(at(10)), "{known} has a window of their own");
    }
    assert!(known_as(store, "BR.1").await.state.consent.is_some(), "the former holder keeps their consent");

    wrote_as(store, "SM4", REPORTED, Some("BR.2"), 11, Some(OptChange::Start)).await;
    assert_eq!(known_as(store, DIALLED).await.state.suppression(at(11)), None, "their start frees them");
    let former = known_as(store, "BR.1").await;
    assert!(former.state.suppression(at(11)).is_some(), "and nobody else");
    assert_eq!(former.state.last_inbound_at, Some(at(3)));
}

async fn links_are_the_same_in_whatever_order_webhooks_are_applied(store: &Store) {
    wrote_as(store, "SM3", REPORTED, Some("BR.2"), 10, None).await;
    wrote_as(store, "SM2", REPORTED, Some("BR.1"), 5, Some(OptChange::Stop)).await;
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    let number = known_as(store, REPORTED).await;
    assert_eq!(number.state.last_inbound_at, Some(at(10)));
    assert!(number.state.suppression(at(10)).is_some(), "what came late is inherited all the same");
    assert_eq!(known_as(store, "BR.1").await.state.last_inbound_at, Some(at(5)));
    wrote(store, "SM4", "BR.1", 12, None).await;
    assert_eq!(known_as(store, REPORTED).await.state.last_inbound_at, Some(at(10)), "the number is not theirs now");
}

async fn a_new_holder_of_a_number_makes_a_sender_judge_again(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    accept(store, NewMessage { to: address(REPORTED), ..new_message(2) }).await;
    let claim = claim_one(store, 2).await;
    wrote_as(store, "SM2", REPORTED, Some("BR.2"), 3, None).await;
    assert_eq!(begin(store, &claim, attempt(4), 4).await, Began::ContactChanged);
    let contact = known_as(store, REPORTED).await;
    assert!(contact.version > claim.contact.version);
    assert_eq!(begin(store, &Claim { contact, ..claim }, attempt(5), 5).await, Began::Begun);
}

async fn a_start_of_a_new_holder_in_another_spelling_frees_nobody_else(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, Some(OptChange::Stop)).await;
    wrote_as(store, "SM2", DIALLED, Some("BR.2"), 5, Some(OptChange::Start)).await;
    for known in [REPORTED, DIALLED, "BR.2"] {
        assert_eq!(known_as(store, known).await.state.suppression(at(6)), None, "{known}");
    }
    assert!(known_as(store, "BR.1").await.state.suppression(at(6)).is_some());
}

fn revoke(now: i64) -> RevokeLink {
    let between = [address("BR.1"), address(DIALLED)];
    RevokeLink { tenant: tenant(), between, at: at(now), by: "ann".into(), reason: "two people, one phone".into() }
}

async fn links_of(store: &Store, known: &str) -> Vec<LinkedAddress> {
    store.linked(&tenant(), &sender(), &address(known)).await.unwrap()
}

async fn a_link_that_is_revoked_counts_no_more_until_the_two_are_seen_together_again(store: &Store) {
    assert!(!store.write(revoke(1)).await.unwrap(), "there is none");
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    wrote(store, "SM2", "BR.1", 2, Some(OptChange::Stop)).await;
    assert!(store.write(revoke(3)).await.unwrap());
    assert_eq!(known_as(store, REPORTED).await.state.suppression(at(3)), None);
    assert_eq!(known_as(store, "BR.1").await.state.last_inbound_at, Some(at(2)));
    let revoked = Revocation { at: at(3), by: "ann".into(), reason: "two people, one phone".into() };
    assert_eq!(links_of(store, REPORTED).await[0].revoked, Some(revoked.clone()));
    assert!(store.write(RevokeLink { by: "bob".into(), ..revoke(4) }).await.unwrap());
    assert_eq!(links_of(store, "BR.1").await[0].revoked, Some(revoked), "the first decision stays");

    wrote_as(store, "SM3", REPORTED, Some("BR.1"), 5, None).await;
    assert!(known_as(store, REPORTED).await.state.suppression(at(5)).is_some());
    assert_eq!(links_of(store, REPORTED).await[0].revoked, None);
}

async fn a_revoked_link_makes_a_sender_judge_again(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    accept(store, NewMessage { to: address(REPORTED), ..new_message(2) }).await;
    let claim = claim_one(store, 2).await;
    store.write(revoke(0)).await.unwrap();
    assert!(links_of(store, REPORTED).await[0].revoked.is_some(), "although the clock was behind");
    assert_eq!(begin(store, &claim, attempt(4), 4).await, Began::ContactChanged);
}

async fn an_addresss_links_say_since_when_and_until_when(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    wrote_as(store, "SM2", REPORTED, Some("BR.1"), 2, None).await;
    wrote_as(store, "SM3", DIALLED, Some("BR.2"), 9, None).await;
    let link = |known: &str, first: i64, last: i64, until: Option<i64>| LinkedAddress {
        address: address(known),
        account: "AC1".into(),
        first_seen: at(first),
        last_seen: at(last),
        until: until.map(at),
        revoked: None,
    };
    assert_eq!(links_of(store, DIALLED).await, [link("BR.2", 9, 9, None), link("BR.1", 1, 2, Some(9))]);
    assert_eq!(links_of(store, "BR.1").await, [link(REPORTED, 1, 2, Some(9))]);
    assert_eq!(links_of(store, customer().as_str()).await, []);
}

async fn an_address_keeps_its_newest_links_and_a_link_that_goes_makes_a_sender_judge_again(store: &Store) {
    for n in 1..=8 {
        wrote_as(store, &format!("SM{n}"), REPORTED, Some(&format!("BR.{n}")), n, None).await;
    }
    // What leaves the sum of versions with the first link is more than what comes with the ninth.
    for n in 10..30 {
        wrote(store, &format!("SM{n}"), "BR.1", n, None).await;
    }
    accept(store, NewMessage { to: address(REPORTED), ..new_message(30) }).await;
    let claim = claim_one(store, 30).await;
    wrote_as(store, "SM9", REPORTED, Some("BR.9"), 31, None).await;
    let kept: Vec<_> = links_of(store, REPORTED).await.into_iter().map(|link| link.address).collect();
    assert_eq!(kept, ["BR.9", "BR.8", "BR.7", "BR.6", "BR.5", "BR.4", "BR.3", "BR.2"].map(address));
    assert_eq!(links_of(store, "BR.1").await, []);
    assert!(known_as(store, REPORTED).await.version > claim.contact.version);
    assert_eq!(begin(store, &claim, attempt(32), 32).await, Began::ContactChanged);

    wrote_as(store, "SM0", REPORTED, Some("BR.0"), 1, None).await;
    assert_eq!(links_of(store, "BR.0").await, [], "a webhook that comes late does not push out a newer one");
}
