//! Contacts over HTTP.

use http::{Method, StatusCode};

use dataplane::store::contact::PutSuppression;
use messaging::clock::Clock;
use messaging::contact::{Suppression, SuppressionReason};
use serde_json::json;

use crate::listeners::Listeners;
use crate::listeners::pairs;
use crate::webhooks::{SM1, deliver, received};
use crate::world::{CUSTOMER, support, tenant};

const PATH: &str = "/v1/contacts/+447700900123";

#[tokio::test]
async fn a_contact_has_window_consent_and_suppression() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let stranger = listeners.ask(Method::GET, PATH, None).await.json();
    assert_eq!(stranger, json!({"address": "+447700900123", "sender": "support", "window": {"open": false}}));
    let body = json!({"status": "granted", "evidence": {"source": "checkout-form", "reference": "order 7"}});
    let put = listeners.ask(Method::PUT, &format!("{PATH}/consent?sender=support"), Some(body)).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    let read = listeners.ask(Method::GET, "/v1/contacts/%2B447700900123", None).await;
    assert_eq!(read.json(), put.json());
    assert_eq!(read.json()["consent"]["evidence"]["reference"], "order 7");
}

#[tokio::test]
async fn the_sender_may_be_left_out_only_where_there_is_one() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| config["senders"]["sales"] = config["senders"]["support"].clone());
    for path in [PATH.to_owned(), format!("{PATH}?sender=nobody")] {
        let answer = listeners.ask(Method::GET, &path, None).await;
        assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("sender", "invalid")]));
        assert!(answer.text.contains("sales, support"), "{answer:?}");
    }
    assert_eq!(listeners.ask(Method::GET, &format!("{PATH}?sender=sales"), None).await.status, StatusCode::OK);
    let answer = listeners.ask(Method::GET, "/v1/contacts/07700?sender=sales&x=1", None).await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("address", "invalid"), ("x", "invalid")]));
}

#[tokio::test]
async fn a_tenant_suppresses_a_contact_and_lifts_that_with_who_decided_and_why() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let path = format!("{PATH}/suppression");
    let body = json!({"by": "ann@example.com", "reason": "asked by phone"});
    let put = listeners.ask(Method::PUT, &path, Some(body)).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    assert_eq!(put.json()["suppression"]["reason"], "manual");
    assert_eq!(put.json()["suppression"]["detail"], "ann@example.com: asked by phone");
    let message = json!({"to": "+447700900123", "text": {"body": "Hello"}});
    let refused = listeners.ask(Method::POST, "/v1/messages", Some(message)).await;
    assert_eq!(refused.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/to", "suppressed")]));

    let lift = listeners.ask(Method::DELETE, &format!("{path}?by=ann&reason=they%20called%20again"), None).await;
    assert_eq!(lift.status, StatusCode::OK, "{lift:?}");
    assert_eq!(lift.json().get("suppression"), None);
    assert_eq!(lift.json()["lifted"]["reason"], "they called again");
    assert_eq!(listeners.ask(Method::GET, PATH, None).await.json(), lift.json());
}

#[tokio::test]
async fn a_suppression_says_who_decided_and_why() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let path = format!("{PATH}/suppression");
    let put = listeners.ask(Method::PUT, &path, Some(json!({"by": " ", "who": "ann"}))).await;
    let wrong = pairs(&[("/by", "invalid"), ("/reason", "required"), ("/who", "unknown_field")]);
    assert_eq!(put.problem(StatusCode::UNPROCESSABLE_ENTITY), wrong);
    let lift = listeners.ask(Method::DELETE, &format!("{path}?reason=&x=1"), None).await;
    let wrong = pairs(&[("by", "invalid"), ("reason", "invalid"), ("x", "invalid")]);
    assert_eq!(lift.problem(StatusCode::BAD_REQUEST), wrong);
}

#[tokio::test]
async fn a_tenant_does_not_lift_an_opt_out_and_a_later_consent_does() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let suppression =
        Suppression { reason: SuppressionReason::OptedOut, at: listeners.clock.now(), detail: "STOP".into() };
    let contact = "+447700900123".parse().unwrap();
    let put = PutSuppression { tenant: tenant("shop"), sender: support(), contact, suppression };
    listeners.database.store().write(put).await.unwrap();
    listeners.clock.advance(jiff::SignedDuration::from_secs(1));
    let lift = listeners.ask(Method::DELETE, &format!("{PATH}/suppression?by=ann&reason=please"), None).await;
    assert_eq!(lift.problem(StatusCode::CONFLICT), pairs(&[]));
    assert!(lift.text.contains("urn:whatsapp-operator:problem:opted-out"), "{lift:?}");
    assert_eq!(listeners.ask(Method::GET, PATH, None).await.json()["suppression"]["reason"], "optedOut");
    let consent = json!({"status": "granted", "evidence": {"source": "checkout-form"}});
    let put = listeners.ask(Method::PUT, &format!("{PATH}/consent"), Some(consent)).await;
    assert_eq!(put.json().get("suppression"), None, "{put:?}");
}

#[tokio::test]
async fn a_contact_shows_its_links_and_a_wrong_one_can_be_revoked() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let hidden = [("ExternalUserId", "whatsapp:GB.1a2b"), ("Body", "Hello")];
    deliver(&listeners, received(SM1, &hidden)).await;
    listeners.apply().await;
    let read = listeners.ask(Method::GET, PATH, None).await.json();
    let link = &read["links"][0];
    assert_eq!((&link["address"], &link["since"]), (&json!("GB.1a2b"), &json!(listeners.clock.now())), "{read}");
    assert_eq!(listeners.ask(Method::GET, "/v1/contacts/GB.1a2b", None).await.json()["links"][0]["address"], CUSTOMER);

    let path = |other: &str| format!("{PATH}/links/{other}?by=ann&reason=a%20shared%20phone");
    let revoked = listeners.ask(Method::DELETE, &path("GB.1a2b"), None).await;
    assert_eq!(revoked.status, StatusCode::OK, "{revoked:?}");
    assert_eq!(revoked.json()["links"][0]["revoked"]["reason"], "a shared phone");
    assert_eq!(listeners.ask(Method::GET, PATH, None).await.json(), revoked.json());
    listeners.ask(Method::DELETE, &path("GB.other"), None).await.problem(StatusCode::NOT_FOUND);
    let wrong = listeners.ask(Method::DELETE, &path("0123"), None).await;
    assert_eq!(wrong.problem(StatusCode::BAD_REQUEST), pairs(&[("other", "invalid")]));
}
