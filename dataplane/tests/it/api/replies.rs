//! Answers to a message: they quote it where the provider can, and say so where it cannot.

use std::sync::Arc;

use dataplane::dispatch::brakes::Brakes;
use dataplane::dispatch::{DispatchContext, DispatchOptions, Dispatcher};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::FakeProvider;
use crate::listeners::{Answer, Listeners, pairs};
use crate::store::Sqlite;
use crate::webhooks::received;
use crate::world::{CUSTOMER, dispatch, tenant};

const OTHER: &str = "+447700900999";

/// A customer writes; the answer is our id of what they wrote.
async fn writes(listeners: &Listeners, sid: &str, fields: &[(&str, &str)]) -> String {
    let answer = listeners.webhooks.clone().oneshot(received(sid, fields)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    listeners.apply().await;
    event(listeners, sid)["data"]["id"].as_str().unwrap().to_owned()
}

/// The event of a received message.
fn event(listeners: &Listeners, sid: &str) -> Value {
    let file = rusqlite::Connection::open(listeners.database.directory.path().join("store.db")).unwrap();
    let named = format!("%\"providerMessageId\":\"{sid}\"%");
    let body: String = file.query_row("SELECT body FROM outbox WHERE body LIKE ?1", [named], |row| row.get(0)).unwrap();
    serde_json::from_str(&body).unwrap()
}

fn shop(listeners: &Listeners) {
    listeners.tenant("shop", |config| {
        let sink = url::Url::parse("https://app.example/events").unwrap();
        config["senders"]["support"]["events"] = json!([crate::world::sink_config(&sink)]);
    });
}

async fn at_twilio() -> Listeners {
    let listeners = Listeners::new().await;
    shop(&listeners);
    listeners
}

/// A provider that can quote.
async fn at_one_that_quotes() -> Listeners {
    let connect =
        |_: &messaging::config::ProviderAccount| FakeProvider::new() as Arc<dyn messaging::provider::MessagingProvider>;
    let listeners = Listeners::calling(Sqlite::new().await, providers::webhook_adapters().into(), Arc::new(connect));
    shop(&listeners);
    listeners
}

async fn send(listeners: &Listeners, to: &str, reply_to: Value) -> Answer {
    let body = json!({"to": to, "template": {"name": "hello", "values": {"1": "Ava"}}, "replyTo": reply_to});
    listeners.ask(Method::POST, "/v1/messages", Some(body)).await
}

async fn read(listeners: &Listeners, id: &str) -> Value {
    let answer = listeners.ask(Method::GET, &format!("/v1/messages/{id}"), None).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// Hands over what is queued.
async fn hand_over(listeners: &Listeners) {
    let shared = listeners.shared.clone();
    let brakes = Arc::new(Brakes::new(Arc::clone(&shared.metrics)));
    let options = DispatchOptions::new("replica-a");
    dispatch(&mut Dispatcher::new(DispatchContext { shared, brakes, options }), &listeners.clock).await;
}

#[tokio::test]
async fn where_the_provider_cannot_quote_the_answer_says_so_and_a_required_quote_is_refused() {
    let listeners = at_twilio().await;
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?")]).await;
    for reply_to in [json!(question), json!({"id": question}), json!({"id": question, "required": false})] {
        let answer = send(&listeners, CUSTOMER, reply_to).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let sent = answer.json();
        assert_eq!((&sent["replyTo"], &sent["quoted"]), (&json!(question), &json!(false)));
        assert_eq!(read(&listeners, sent["id"].as_str().unwrap()).await["quoted"], json!(false));
    }
    let answer = send(&listeners, CUSTOMER, json!({"id": question, "required": true})).await;
    assert_eq!(answer.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/replyTo/required", "cannot_quote")]));
    let without = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "Ava"}}});
    let sent = listeners.ask(Method::POST, "/v1/messages", Some(without)).await.json();
    assert_eq!((sent.get("replyTo"), sent.get("quoted")), (None, None));
}

#[tokio::test]
async fn where_the_provider_can_quote_the_message_is_quoted_by_the_providers_id() {
    let listeners = at_one_that_quotes().await;
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?")]).await;
    let answer = send(&listeners, CUSTOMER, json!({"id": question, "required": true})).await;
    let sent = answer.json();
    assert_eq!((answer.status, &sent["quoted"]), (StatusCode::ACCEPTED, &json!(true)));
    let id = sent["id"].as_str().unwrap().parse().unwrap();
    let kept =
        listeners.database.store().message(&tenant("shop"), id).await.unwrap().unwrap().message.reply_to.unwrap();
    assert_eq!((kept.id.to_string(), kept.quotes.as_deref()), (question, Some("SM1")));
}

#[tokio::test]
async fn the_timeline_tells_whether_an_attempt_quoted_and_what_the_provider_calls_its_request() {
    let listeners = at_one_that_quotes().await;
    listeners.tenant("shop", |config| {
        let sink = url::Url::parse("https://app.example/events").unwrap();
        config["senders"]["support"]["events"] = json!([crate::world::sink_config(&sink)]);
        config["senders"]["sales"] = config["senders"]["support"].clone();
        config["senders"]["sales"]["phoneNumber"] = json!("+14155238887");
    });
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?")]).await;
    // The provider finds what is quoted only among the messages of the sender that quotes.
    for (from, quoted) in [("support", true), ("sales", false)] {
        let body = json!({"to": CUSTOMER, "from": from, "template": {"name": "hello", "values": {"1": "Ava"}}});
        let answers = |required: bool| {
            let mut body = body.clone();
            body["replyTo"] = json!({"id": question, "required": required});
            Some(body)
        };
        let answer = listeners.ask(Method::POST, "/v1/messages", answers(false)).await;
        assert_eq!((answer.status, &answer.json()["quoted"]), (StatusCode::ACCEPTED, &json!(quoted)), "{from}");
        hand_over(&listeners).await;
        let timeline = read(&listeners, answer.json()["id"].as_str().unwrap()).await["timeline"].clone();
        let told = |step: usize, field: &str| timeline[step].get(field).cloned();
        assert_eq!([told(0, "quoted"), told(1, "quoted")], [None, Some(json!(quoted))], "{from}: {timeline}");
        let request = |step| told(step, "providerRequestId");
        assert_eq!([request(0), request(1)], [None, Some(json!("RQ1"))], "{from}: {timeline}");
        let required = listeners.ask(Method::POST, "/v1/messages", answers(true)).await;
        assert_eq!(required.status == StatusCode::ACCEPTED, quoted, "{from}: {required:?}");
    }
}

#[tokio::test]
async fn a_message_of_another_contact_is_not_answered() {
    let listeners = at_twilio().await;
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?")]).await;
    for reply_to in [json!(question), json!({"id": question, "required": true})] {
        let answer = send(&listeners, OTHER, reply_to).await;
        assert_eq!(answer.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/replyTo", "other_contact")]));
    }
    // Two addresses of one person are one contact.
    let from_both = [("Body", "And mine?"), ("ExternalUserId", "whatsapp:GB.1a2b3c")];
    let question = writes(&listeners, "SM2", &from_both).await;
    for to in [CUSTOMER, "GB.1a2b3c"] {
        let answer = send(&listeners, to, json!(question)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{to}: {answer:?}");
    }
}

#[tokio::test]
async fn what_was_received_is_read_like_what_was_sent() {
    let listeners = at_twilio().await;
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?"), ("ProfileName", "Ava")]).await;
    let shown = read(&listeners, &question).await;
    assert_eq!(
        (&shown["id"], &shown["direction"], &shown["sender"]),
        (&json!(question), &json!("inbound"), &json!("support"))
    );
    assert_eq!((&shown["from"], &shown["providerMessageId"]), (&json!(CUSTOMER), &json!("SM1")));
    assert_eq!(
        (&shown["content"], &shown["profileName"]),
        (&event(&listeners, "SM1")["data"]["content"], &json!("Ava"))
    );
    // Another tenant's are as good as none.
    listeners.tenant("bakery", |_| ());
    let headers = [("authorization", "Bearer key-of-bakery")];
    let path = format!("/v1/messages/{question}");
    let request = http::Request::get(path).header(headers[0].0, headers[0].1).body(axum::body::Body::empty()).unwrap();
    assert_eq!(listeners.send(request).await.status, StatusCode::NOT_FOUND);
    // Retention removes what it says, and what is kept of it is still shown.
    let file = rusqlite::Connection::open(listeners.database.directory.path().join("store.db")).unwrap();
    file.execute("DELETE FROM webhooks", []).unwrap();
    let shown = read(&listeners, &question).await;
    assert_eq!((&shown["from"], shown.get("content")), (&json!(CUSTOMER), None));
}

#[tokio::test]
async fn what_a_customer_answers_is_named_by_our_id() {
    let listeners = at_twilio().await;
    let question = writes(&listeners, "SM1", &[("Body", "Where is it?")]).await;
    // Their own message, and one that nobody knows.
    let again = writes(&listeners, "SM2", &[("Body", "Hello?"), ("OriginalRepliedMessageSid", "SM1")]).await;
    let data = event(&listeners, "SM2")["data"].clone();
    assert_eq!((&data["inReplyTo"], &data["inReplyToProviderMessageId"]), (&json!(question), &json!("SM1")));
    assert_eq!(read(&listeners, &again).await["inReplyTo"], json!(question));
    writes(&listeners, "SM3", &[("Body", "Hello?"), ("OriginalRepliedMessageSid", "SM99")]).await;
    let data = event(&listeners, "SM3")["data"].clone();
    assert_eq!((data.get("inReplyTo"), &data["inReplyToProviderMessageId"]), (None, &json!("SM99")));
}
