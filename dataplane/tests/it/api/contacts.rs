//! Contacts over HTTP.

use http::{Method, StatusCode};

use crate::listeners::Listeners;
use crate::listeners::pairs;
use serde_json::json;

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
