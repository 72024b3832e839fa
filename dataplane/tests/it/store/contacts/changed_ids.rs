//! A person whose business-scoped id the provider changes stays one person.

use messaging::provider::UserIdChange;

use super::*;

promises!(
    an_id_that_the_provider_gives_up_for_another_carries_everything_over,
    a_change_of_id_means_the_same_in_whatever_order_it_is_applied,
    an_id_that_changes_while_no_number_is_known_carries_everything_over,
    a_number_that_a_change_of_id_names_is_the_same_persons,
);

/// The provider says that BR.1 is BR.2 now.
async fn changes_id(store: &Store, now: i64) {
    changes_id_of(store, None, now).await;
}

/// The same, of somebody with this number.
async fn changes_id_of(store: &Store, number: Option<&str>, now: i64) {
    let [previous, current] = ["BR.1", "BR.2"].map(|id| id.parse().unwrap());
    let number = number.map(|number| number.parse().unwrap());
    record(store, now, WebhookEvent::UserIdChange(UserIdChange { previous, current, number })).await;
    apply_all(store).await;
}

async fn an_id_that_the_provider_gives_up_for_another_carries_everything_over(store: &Store) {
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    let granted = PutConsent { contact: address(DIALLED), ..consent(ConsentStatus::Granted, 2) };
    store.write(granted).await.unwrap();
    accept(store, NewMessage { to: address(REPORTED), ..new_message(3) }).await;
    let claim = claim_one(store, 3).await;
    changes_id(store, 4).await;
    wrote_as(store, "SM2", REPORTED, Some("BR.2"), 5, None).await;
    for known in [REPORTED, DIALLED, "BR.1", "BR.2"] {
        let contact = known_as(store, known).await;
        assert!(contact.state.consent.is_some(), "{known}: the consent");
        assert_eq!(contact.state.last_inbound_at, Some(at(5)), "{known}: the window");
    }
    wrote(store, "SM3", "BR.2", 6, Some(OptChange::Stop)).await;
    for known in [REPORTED, "BR.1"] {
        assert!(known_as(store, known).await.state.suppression(at(6)).is_some(), "{known}: the stop");
    }
    assert_eq!(begin(store, &claim, attempt(7), 7).await, Began::ContactChanged);
    wrote(store, "SM4", "BR.2", 8, Some(OptChange::Start)).await;
    assert_eq!(known_as(store, REPORTED).await.state.suppression(at(8)), None, "it is their own start");
    let ids = |links: Vec<LinkedAddress>| links.into_iter().map(|link| link.address.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(links_of(store, "BR.1").await), ["BR.2", REPORTED]);
    assert!(links_of(store, REPORTED).await.iter().all(|link| link.until.is_none()), "the number passed to nobody");
}

async fn a_change_of_id_means_the_same_in_whatever_order_it_is_applied(store: &Store) {
    wrote_as(store, "SM2", REPORTED, Some("BR.2"), 5, None).await;
    let between = known_as(store, REPORTED).await;
    wrote_as(store, "SM1", REPORTED, Some("BR.1"), 1, None).await;
    let granted = PutConsent { contact: address(REPORTED), ..consent(ConsentStatus::Granted, 2) };
    store.write(granted).await.unwrap();
    assert_eq!(known_as(store, REPORTED).await.state.consent, None, "it seems to be another person's");
    changes_id(store, 4).await;
    let contact = known_as(store, REPORTED).await;
    assert!(contact.state.consent.is_some() && contact.version > between.version);
    wrote(store, "SM3", "BR.1", 3, Some(OptChange::Stop)).await;
    for known in [REPORTED, "BR.2"] {
        assert!(known_as(store, known).await.state.suppression(at(6)).is_some(), "{known}: said under the former id");
    }
}

async fn an_id_that_changes_while_no_number_is_known_carries_everything_over(store: &Store) {
    wrote(store, "SM1", "BR.1", 1, None).await;
    store.write(PutConsent { contact: address("BR.1"), ..consent(ConsentStatus::Granted, 2) }).await.unwrap();
    accept(store, NewMessage { to: address("BR.1"), ..new_message(3) }).await;
    let claim = claim_one(store, 3).await;
    changes_id(store, 4).await;
    let contact = known_as(store, "BR.2").await;
    assert!(contact.state.consent.is_some(), "the consent");
    assert_eq!(contact.state.last_inbound_at, Some(at(1)), "the window");
    wrote(store, "SM2", "BR.2", 5, Some(OptChange::Stop)).await;
    for known in ["BR.1", "BR.2"] {
        assert!(known_as(store, known).await.state.suppression(at(5)).is_some(), "{known}: the stop");
    }
    assert_eq!(begin(store, &claim, attempt(6), 6).await, Began::ContactChanged);
    wrote(store, "SM3", "BR.2", 7, Some(OptChange::Start)).await;
    assert_eq!(known_as(store, "BR.1").await.state.suppression(at(7)), None, "it is their own start");
}

async fn a_number_that_a_change_of_id_names_is_the_same_persons(store: &Store) {
    wrote(store, "SM1", "BR.1", 1, Some(OptChange::Stop)).await;
    changes_id_of(store, Some(REPORTED), 2).await;
    for known in [REPORTED, DIALLED, "BR.2"] {
        assert!(known_as(store, known).await.state.suppression(at(2)).is_some(), "{known}: the stop");
    }
    wrote(store, "SM2", REPORTED, 3, Some(OptChange::Start)).await;
    assert_eq!(known_as(store, "BR.1").await.state.suppression(at(3)), None, "it is their own start");
}
