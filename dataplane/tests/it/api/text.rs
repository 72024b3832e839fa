//! Text from outside: what cannot be read in one way only, or not at all, is refused with an error that names it.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::listeners::{Answer, Listeners, pairs};
use crate::world::CUSTOMER;

async fn shop() -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    listeners
}

async fn post(shop: &Listeners, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::post("/v1/messages")
        .header("authorization", "Bearer key-of-shop")
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    shop.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_nul_is_refused_wherever_it_is_in_a_request() {
    let shop = shop().await;
    let in_a_query = [
        ("GET", "/v1/messages?template=a%00", "template"),
        ("GET", "/v1/events/dead?sink=%00", "sink"),
        ("POST", "/v1/events/evt_0192d3b8c7a97c3e8f1e2d3c4b5a6978/redrive?sink=%00", "sink"),
        ("GET", "/v1/contacts/+447700900123?sender=%00", "sender"),
        ("DELETE", "/v1/contacts/+447700900123/suppression?by=ann&reason=%00x", "reason"),
    ];
    for (method, path, name) in in_a_query {
        let answer = shop.ask(method.parse().unwrap(), path, None).await;
        let errors = answer.problem(StatusCode::BAD_REQUEST);
        assert_eq!(errors.first(), pairs(&[(name, "invalid")]).first(), "{path}");
    }
    let hello =
        json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "A\0"}}, "metadata": {"a\0": "b"}});
    let answer = shop.ask(Method::POST, "/v1/messages", Some(hello)).await;
    let expected = pairs(&[("/template/values/1", "invalid"), ("/metadata/a\0", "invalid")]);
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), expected);
    let consent = json!({"status": "granted", "evidence": {"source": "web\0"}});
    let answer = shop.ask(Method::PUT, "/v1/contacts/+447700900123/consent", Some(consent)).await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("/evidence/source", "invalid")]));
    let redrive = json!({"sink": "\0"});
    let answer = shop.ask(Method::POST, "/v1/events/redrive", Some(redrive)).await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("/sink", "invalid")]));
}

#[tokio::test]
async fn a_path_that_is_not_text_is_answered_with_a_problem_document() {
    let shop = shop().await;
    for path in ["/v1/messages/%FF", "/v1/contacts/%ff?sender=a", "/v1/messages/%00", "/v1/events/%C3%28/redrive"] {
        shop.ask(Method::GET, path, None).await.problem(StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn what_is_given_twice_is_refused_by_name() {
    let shop = shop().await;
    let twice = shop.ask(Method::GET, "/v1/messages?status=queued&status=failed&limit=1&limit=1", None).await;
    assert_eq!(twice.problem(StatusCode::BAD_REQUEST), pairs(&[("status", "repeated"), ("limit", "repeated")]));
    let body = format!(
        r#"{{"to":"{CUSTOMER}","to":"+447700900999","template":{{"name":"hello","values":{{"1":"a","1":"b"}}}}}}"#
    );
    let answer = post(&shop, &[], &body).await;
    let expected = pairs(&[("/to", "repeated"), ("/template/values/1", "repeated")]);
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), expected);
    let answer = post(&shop, &[("idempotency-key", "a"), ("idempotency-key", "a")], "{}").await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("Idempotency-Key", "invalid")]));
    let answer = post(&shop, &[("content-type", "application/json")], "{}").await;
    answer.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = post(&shop, &[("authorization", "Bearer another")], "{}").await;
    answer.problem(StatusCode::UNAUTHORIZED);
    let answer = post(&shop, &[("whatsapp-tenant", "shop"), ("whatsapp-tenant", "bakery")], "{}").await;
    answer.problem(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_body_that_says_the_same_is_the_same_whatever_its_whitespace() {
    let shop = shop().await;
    let key = [("idempotency-key", "order-1")];
    let body = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "Ava Ö"}}});
    let first = post(&shop, &key, &body.to_string()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    let other_order = format!(r#"{{"template":{{"values":{{"1":"Ava \u00d6"}},"name":"hello"}},"to":"{CUSTOMER}"}}"#);
    for same in [serde_json::to_string_pretty(&body).unwrap(), format!(" {body}\n"), other_order] {
        let again = post(&shop, &key, &same).await;
        assert_eq!((again.status, &again.text), (StatusCode::ACCEPTED, &first.text), "{same}");
        assert_eq!(again.headers["idempotency-replayed"], "true");
    }
    post(&shop, &key, &body.to_string().replace("Ava ", "Ava  ")).await.problem(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn text_of_which_nothing_can_be_seen_is_no_text() {
    let shop = shop().await;
    let refused = async |method: Method, path: &str, body: Value, status: StatusCode| {
        shop.ask(method, path, Some(body)).await.problem(status)
    };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let text = json!({"to": CUSTOMER, "text": {"body": "\u{200b}\u{2060}"}});
    let errors = refused(Method::POST, "/v1/messages", text, unprocessable).await;
    assert_eq!(errors, pairs(&[("/text/body", "text_empty")]));
    let value = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "\u{feff}"}}});
    let errors = refused(Method::POST, "/v1/messages", value, unprocessable).await;
    assert_eq!(errors, pairs(&[("/template/values/1", "template_value_invalid")]));
    let consent = json!({"status": "granted", "evidence": {"source": "\u{200b}"}});
    let errors = refused(Method::PUT, "/v1/contacts/+447700900123/consent", consent, unprocessable).await;
    assert_eq!(errors, pairs(&[("/evidence/source", "invalid")]));
    let suppression = json!({"by": "\u{200b}", "reason": "\u{3164}"});
    let errors = refused(Method::PUT, "/v1/contacts/+447700900123/suppression", suppression, unprocessable).await;
    assert_eq!(errors, pairs(&[("/by", "invalid"), ("/reason", "invalid")]));
    let lift = "/v1/contacts/+447700900123/suppression?by=ann&reason=%E2%80%8B";
    let errors = shop.ask(Method::DELETE, lift, None).await.problem(StatusCode::BAD_REQUEST);
    assert_eq!(errors, pairs(&[("reason", "invalid")]));
}

#[tokio::test]
async fn a_message_cannot_be_scheduled_for_the_past() {
    let shop = shop().await;
    let at = async |time: &str| {
        let body = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "a"}}, "scheduleAt": time});
        shop.ask(Method::POST, "/v1/messages", Some(body)).await
    };
    let errors = at("2026-11-01T11:58:59Z").await.problem(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(errors, pairs(&[("/scheduleAt", "invalid")]));
    assert_eq!(at("2026-11-01T11:59:00Z").await.status, StatusCode::ACCEPTED, "clocks differ");
}

#[tokio::test]
async fn an_answer_says_which_language_is_sent_where_it_is_not_the_one_that_was_asked_for() {
    let shop = shop().await;
    let send = async |language: &str, key: &str| {
        let body = json!({"to": CUSTOMER, "template": {"name": "hello", "language": language, "values": {"1": "a"}}});
        shop.ask_with(Method::POST, "/v1/messages", &[("idempotency-key", key)], Some(body)).await
    };
    let fell_back = send("fr", "1").await;
    assert_eq!(
        (&fell_back.json()["servedLanguage"], &fell_back.json()["template"]["language"]),
        (&json!("en"), &json!("fr"))
    );
    assert_eq!(send("fr", "1").await.text, fell_back.text);
    let path = format!("/v1/messages/{}", fell_back.json()["id"].as_str().unwrap());
    assert_eq!(shop.ask(Method::GET, &path, None).await.json()["servedLanguage"], "en");
    assert_eq!(send("EN", "2").await.json().get("servedLanguage"), None);
}
