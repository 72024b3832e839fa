//! Webhooks: accepted when signed, on disk when answered, one event however often they arrive.

mod addressee;
mod endpoints;
mod hints;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, StatusCode};
use sha1::Sha1;

use crate::listeners::Answer;
use crate::listeners::{Listeners, pairs};
use crate::store::unapplied;
use crate::world::{CUSTOMER, sink_config};
use axum::body::Body;
use http::Request;
use serde_json::Value;
use serde_json::json;
use tower::ServiceExt;

const INBOUND: &str = "/webhooks/shop/support/twilio/inbound";

/// A webhook as Twilio signs it: over the URL that it was given, and the sorted fields.
fn signed(path: &str, key: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut sorted = fields.to_vec();
    sorted.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("https://hooks.example.com{path}").as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        .header("authorization", "Basic c2VjcmV0")
        .body(Body::from(body))
        .unwrap()
}

pub(crate) fn says(id: &str, words: &str) -> Request<Body> {
    received(id, &[("Body", words)])
}

/// A message from the customer, with these fields in addition to the usual ones or instead of them.
pub(crate) fn received(id: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let from = format!("whatsapp:{CUSTOMER}");
    let mut all = vec![
        ("MessageSid", id),
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("From", from.as_str()),
        ("To", "whatsapp:+14155238886"),
        ("NumMedia", "0"),
    ];
    all.retain(|(key, _)| fields.iter().all(|(other, _)| other != key));
    all.extend_from_slice(fields);
    signed(INBOUND, "token", &all)
}

async fn suppression(listeners: &Listeners) -> Value {
    let contact = listeners.ask(Method::GET, "/v1/contacts/+447700900123", None).await.json();
    contact["suppression"]["reason"].clone()
}

pub(crate) const SM1: &str = "SM00000000000000000000000000000001";

pub(crate) async fn deliver(listeners: &Listeners, request: Request<Body>) -> Answer {
    Answer::of(listeners.webhooks.clone().oneshot(request).await.unwrap()).await
}

async fn shop() -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        let sink = url::Url::parse("https://app.example/events").unwrap();
        config["senders"]["support"]["events"] = json!([sink_config(&sink)]);
    });
    listeners
}

fn counted(listeners: &Listeners, result: &str) -> u64 {
    listeners.count(&format!(r#"whatsapp_webhooks_total{{kind="inbound",result="{result}"}}"#))
}

#[tokio::test]
async fn a_signed_webhook_is_on_disk_when_it_is_answered_and_then_takes_effect() {
    let shop = shop().await;
    let answer = deliver(&shop, says(SM1, "Hello")).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (StatusCode::OK, &"text/xml".parse().unwrap()));
    assert!(answer.text.ends_with("<Response/>"), "{answer:?}");
    let contact = shop.ask(Method::GET, "/v1/contacts/+447700900123", None).await.json();
    assert_eq!(contact["window"]["open"], false, "what follows is another step");

    // The process dies here; what it answered is there, and takes effect.
    let Listeners { database, .. } = shop;
    let again = Listeners::over(database.crash().await);
    again.tenant("shop", |config| {
        let sink = url::Url::parse("https://app.example/events").unwrap();
        config["senders"]["support"]["events"] = json!([sink_config(&sink)]);
    });
    again.apply().await;
    let contact = again.ask(Method::GET, "/v1/contacts/+447700900123", None).await.json();
    assert_eq!(contact["window"]["open"], true);
    assert_eq!(again.database.store().outbox_counts().await.unwrap().waiting, 1);
    let text = json!({"to": CUSTOMER, "text": {"body": "Hello yourself"}});
    assert_eq!(again.ask(Method::POST, "/v1/messages", Some(text)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_opt_out_counts_for_the_sender_that_was_written_to_whichever_url_was_called() {
    let listeners = Listeners::new().await;
    // Both are in one Messaging Service, which calls one URL: that of the other sender.
    listeners.tenant("shop", |config| {
        let mut sales = config["senders"]["support"].clone();
        sales["phoneNumber"] = json!("+14155238887");
        config["senders"]["sales"] = sales;
    });
    let from = format!("whatsapp:{CUSTOMER}");
    let fields = [("MessageSid", SM1), ("From", &from), ("To", "whatsapp:+14155238887"), ("Body", "STOP")];
    assert_eq!(deliver(&listeners, signed(INBOUND, "token", &fields)).await.status, StatusCode::OK);
    listeners.apply().await;
    let send = async |sender: &str| {
        let text = json!({"to": CUSTOMER, "from": sender, "text": {"body": "Hello"}});
        listeners.ask(Method::POST, "/v1/messages", Some(text)).await.json()["errors"][0]["code"].clone()
    };
    assert_eq!((send("sales").await, send("support").await), (json!("suppressed"), json!("window_closed")));
}

const SERVICE: &str = "MG00000000000000000000000000000001";

/// A tenant whose senders `support` and `sales` are in one Messaging Service together with a number that nothing
/// declares.
async fn with_pool() -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        let mut sales = config["senders"]["support"].clone();
        sales["phoneNumber"] = json!("+14155238887");
        config["senders"]["sales"] = sales;
        config["pools"] = json!({SERVICE: {"numbers": ["+14155238886", "+14155238887", "+14155238889"]}});
        config["policies"] = json!({"pool": {"default": {"sender": "support", "messagingServiceSid": SERVICE}}});
    });
    listeners
}

/// The customer writes to a number of the pool, whose one URL is that of `support`.
async fn says_to(listeners: &Listeners, sid: &str, to: &str, body: &str) {
    let (from, to) = (format!("whatsapp:{CUSTOMER}"), format!("whatsapp:{to}"));
    let fields = [("MessageSid", sid), ("From", &from), ("To", &to), ("Body", body)];
    assert_eq!(deliver(listeners, signed(INBOUND, "token", &fields)).await.status, StatusCode::OK);
}

/// What becomes of a free-form message by this way: the sender that it leaves from, or why it is refused.
async fn sends(listeners: &Listeners, way: Value) -> Value {
    let mut message = json!({"to": CUSTOMER, "text": {"body": "Hello"}});
    message.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
    let answer = listeners.ask(Method::POST, "/v1/messages", Some(message)).await.json();
    answer.get("sender").unwrap_or(&answer["errors"][0]["code"]).clone()
}

#[tokio::test]
async fn a_stop_to_a_number_of_a_pool_that_nothing_declares_counts_for_every_sender_of_the_pool() {
    let listeners = with_pool().await;
    says_to(&listeners, SM1, "+14155238889", "STOP").await;
    let ways = || [json!({"policy": "pool"}), json!({"from": "support"}), json!({"from": "sales"})];
    for way in ways() {
        assert_eq!(sends(&listeners, way.clone()).await, "suppressed", "{way}, once it is answered");
    }
    listeners.apply().await;
    for way in ways() {
        assert_eq!(sends(&listeners, way.clone()).await, "suppressed", "{way}, once it is applied");
    }
    listeners.clock.advance(jiff::SignedDuration::from_secs(1));
    says_to(&listeners, "SM00000000000000000000000000000002", "+14155238889", "START").await;
    listeners.apply().await;
    for way in ways() {
        assert_eq!(sends(&listeners, way.clone()).await, "window_closed", "{way}: neither has a window");
    }
}

#[tokio::test]
async fn a_free_form_message_through_a_pool_leaves_from_the_sender_that_was_written_to() {
    let listeners = with_pool().await;
    says_to(&listeners, SM1, "+14155238889", "Hello").await;
    listeners.apply().await;
    assert_eq!(sends(&listeners, json!({"policy": "pool"})).await, "window_closed", "nobody can send from that number");
    says_to(&listeners, "SM00000000000000000000000000000002", "+14155238887", "Hello").await;
    listeners.apply().await;
    assert_eq!(sends(&listeners, json!({"policy": "pool"})).await, "sales");
    assert_eq!(sends(&listeners, json!({"from": "support"})).await, "window_closed", "a sender that is named stays");
    listeners.clock.advance(jiff::SignedDuration::from_hours(25));
    let text = json!({"to": CUSTOMER, "policy": "pool", "text": {"body": "Hello"}});
    let refused = listeners.ask(Method::POST, "/v1/messages", Some(text)).await;
    assert_eq!(refused.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/text", "window_closed")]));
    assert!(
        refused.text.contains("nor is one open at another sender of MG") && refused.text.contains("sales, support")
    );
}

#[tokio::test]
async fn ten_deliveries_at_once_are_one_event() {
    let shop = shop().await;
    let answers = join_all((0..10).map(|_| deliver(&shop, says(SM1, "Hello")))).await;
    assert!(answers.iter().all(|a| a.status == StatusCode::OK), "{answers:?}");
    assert_eq!((counted(&shop, "accepted"), counted(&shop, "duplicate")), (1, 9));
    shop.apply().await;
    deliver(&shop, says(SM1, "Hello")).await;
    shop.apply().await;
    assert_eq!(shop.database.store().outbox_counts().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn a_webhook_with_a_wrong_signature_is_refused_and_leaves_nothing() {
    let shop = shop().await;
    let unsigned = Request::post(INBOUND).body(Body::from("MessageSid=SM1&Body=Hi")).unwrap();
    let wrong_key = signed(INBOUND, "another token", &[("MessageSid", SM1), ("Body", "Hi")]);
    let (mut parts, _) = says(SM1, "Hello").into_parts();
    let changed_body = Request::from_parts(parts.clone(), Body::from("MessageSid=SM9"));
    parts.uri = format!("{INBOUND}?x=1").parse().unwrap();
    let changed_query = Request::from_parts(parts, says(SM1, "Hello").into_body());
    for request in [unsigned, wrong_key, changed_body, changed_query] {
        let answer = deliver(&shop, request).await;
        assert_eq!(answer.problem(StatusCode::FORBIDDEN), []);
    }
    assert_eq!((counted(&shop, "rejected_signature"), counted(&shop, "accepted")), (4, 0));
    assert!(unapplied(shop.database.store()).await.is_empty());
}

#[tokio::test]
async fn a_callback_reaches_the_message_through_its_attempt() {
    let shop = shop().await;
    let attempt = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978";
    let path = format!("/webhooks/shop/support/twilio/status/{attempt}");
    let fields = [("MessageSid", SM1), ("MessageStatus", "delivered"), ("AccountSid", "AC1")];
    let answer = deliver(&shop, signed(&path, "token", &fields)).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let logged = unapplied(shop.database.store()).await.remove(0);
    assert_eq!(logged.reference.dedupe_key, format!("st:{SM1}:delivered:{attempt}"));
    assert!(logged.webhook.unwrap().url.ends_with(&path));
    // The attempt is unknown (another database): the status waits, and nothing breaks.
    shop.apply().await;
    let answer = deliver(&shop, signed("/webhooks/shop/support/twilio/status/att-1", "token", &fields)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn stop_suppresses_and_is_answered_once_and_start_takes_it_back() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        config["senders"]["support"]["optOut"] = json!({"stopReply": "You will hear nothing more."});
    });
    for (n, words) in ["  sToP ", "STOP"].into_iter().enumerate() {
        deliver(&listeners, says(&format!("SM{n:032}"), words)).await;
        listeners.apply().await;
    }
    assert_eq!(suppression(&listeners).await, "optedOut");
    let queued = listeners.ask(Method::GET, "/v1/messages", None).await.json();
    assert_eq!(queued["items"].as_array().unwrap().len(), 1, "{queued}");
    assert_eq!(queued["items"][0]["text"]["body"], "You will hear nothing more.");
    listeners.clock.advance(jiff::SignedDuration::from_secs(1));
    deliver(&listeners, says("SM00000000000000000000000000000009", "start")).await;
    listeners.apply().await;
    assert_eq!(suppression(&listeners).await, Value::Null);
}

#[tokio::test]
async fn a_stop_is_in_force_when_it_is_answered_and_takes_effect_once() {
    let shop = shop().await;
    deliver(&shop, says(SM1, "Hello")).await;
    shop.apply().await;
    shop.clock.advance(jiff::SignedDuration::from_secs(1));
    let stop = || says("SM00000000000000000000000000000002", "Stop");
    assert_eq!(deliver(&shop, stop()).await.status, StatusCode::OK);
    assert_eq!(suppression(&shop).await, "optedOut", "nothing has applied it yet");
    let text = || Some(json!({"to": CUSTOMER, "text": {"body": "Hello yourself"}}));
    let refused = shop.ask(Method::POST, "/v1/messages", text()).await;
    let error = refused.json()["errors"][0]["code"].clone();
    assert_eq!((refused.status, error), (StatusCode::UNPROCESSABLE_ENTITY, json!("suppressed")));
    let events = async || shop.database.store().outbox_counts().await.unwrap().waiting;
    assert_eq!(events().await, 1);
    deliver(&shop, stop()).await;
    shop.apply().await;
    assert_eq!(events().await, 3, "the message, the stop, and that the contact opted out");

    // A delivery that is repeated after the customer has come back changes nothing.
    shop.clock.advance(jiff::SignedDuration::from_secs(1));
    deliver(&shop, says("SM00000000000000000000000000000003", "start")).await;
    shop.apply().await;
    shop.clock.advance(jiff::SignedDuration::from_secs(1));
    deliver(&shop, stop()).await;
    assert_eq!(suppression(&shop).await, Value::Null);
    assert_eq!(shop.ask(Method::POST, "/v1/messages", text()).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn the_provider_and_a_payload_opt_out_whatever_the_words_are() {
    for (fields, reason) in [
        (&[("Body", "lass mich in Ruhe"), ("OptOutType", "STOP")][..], json!("optedOut")),
        (&[("Body", "lass mich in Ruhe"), ("OptOutType", "HELP")], Value::Null),
        (&[("Body", "Nie wieder"), ("ButtonText", "Nie wieder"), ("ButtonPayload", "STOP")], json!("optedOut")),
        (&[("Body", "stop"), ("MediaUrl0", "https://m/0"), ("NumMedia", "1")], json!("optedOut")),
        (
            &[("Latitude", "1"), ("Longitude", "2"), ("Label", "Stop"), ("Address", "Stop"), ("Body", "Stop")],
            Value::Null,
        ),
        (&[("Body", "STOP"), ("OptOutType", "START")], Value::Null),
    ] {
        let shop = shop().await;
        deliver(&shop, received(SM1, fields)).await;
        shop.apply().await;
        assert_eq!(suppression(&shop).await, reason, "{fields:?}");
    }
}

#[tokio::test]
async fn an_sms_opens_no_window_and_changes_no_suppression() {
    let shop = shop().await;
    for (id, words) in [(SM1, "Hello"), ("SM00000000000000000000000000000002", "STOP")] {
        let sms = received(id, &[("From", CUSTOMER), ("To", "+14155238886"), ("Body", words)]);
        assert_eq!(deliver(&shop, sms).await.status, StatusCode::OK);
    }
    shop.apply().await;
    let contact = shop.ask(Method::GET, "/v1/contacts/+447700900123", None).await.json();
    assert_eq!((&contact["window"]["open"], &contact["suppression"]), (&json!(false), &Value::Null));
    assert_eq!(counted(&shop, "other_channel"), 2);
    assert_eq!(shop.database.store().outbox_counts().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_paused_sender_still_takes_webhooks_and_an_unknown_one_takes_none() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| config["senders"]["support"]["paused"] = json!(true));
    assert_eq!(deliver(&listeners, says(SM1, "Hello")).await.status, StatusCode::OK);
    for path in ["/webhooks/S/s/twilio/inbound", "/v1/messages"] {
        assert_eq!(deliver(&listeners, signed(path, "token", &[])).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn nobody_without_a_key_learns_which_tenants_and_senders_exist() {
    let shop = shop().await;
    let (unknown_sender, unknown_tenant) =
        ("/webhooks/shop/sales/twilio/inbound", "/webhooks/bakery/support/twilio/inbound");
    let mut answers = Vec::new();
    for path in [INBOUND, unknown_sender, unknown_tenant] {
        let large = Request::post(path).body(Body::from(vec![b'a'; 65_537])).unwrap();
        let unsigned = Request::post(path).body(Body::from("Body=Hi")).unwrap();
        let get = Request::get(path).body(Body::empty()).unwrap();
        for request in [large, unsigned, get, signed(path, "another token", &[("Body", "Hi")])] {
            let answer = deliver(&shop, request).await;
            answers.push((answer.status, format!("{:?}", answer.headers), answer.text));
        }
    }
    let (known, unknown) = answers.split_at(4);
    let statuses =
        [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED, StatusCode::FORBIDDEN];
    assert_eq!(known.iter().map(|answer| answer.0).collect::<Vec<_>>(), statuses);
    assert_eq!(unknown, [known, known].concat());
    assert_eq!((counted(&shop, "rejected_signature"), counted(&shop, "unknown_endpoint")), (2, 4));
}

#[tokio::test]
async fn a_webhook_that_cannot_be_stored_is_asked_for_again() {
    let shop = shop().await;
    shop.database.store().close().await;
    let answer = deliver(&shop, says(SM1, "Hello")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn every_refusal_of_a_webhook_is_a_problem_document() {
    let shop = shop().await;
    let unsigned = |method: &str, path: &str, body: Vec<u8>| {
        Request::builder().method(method).uri(path).body(Body::from(body)).unwrap()
    };
    for (method, path, size, status) in [
        ("POST", "/elsewhere", 0, StatusCode::NOT_FOUND),
        ("POST", "/webhooks/shop", 0, StatusCode::NOT_FOUND),
        ("POST", "/webhooks/%FF/support/twilio/inbound", 0, StatusCode::BAD_REQUEST),
        ("PUT", INBOUND, 0, StatusCode::METHOD_NOT_ALLOWED),
        ("POST", INBOUND, 65_537, StatusCode::PAYLOAD_TOO_LARGE),
        ("POST", INBOUND, 0, StatusCode::FORBIDDEN),
    ] {
        let answer = deliver(&shop, unsigned(method, path, vec![b'a'; size])).await;
        assert!(answer.problem(status).is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_webhook_with_a_nul_in_its_id_is_kept_and_takes_effect() {
    let shop = shop().await;
    for _ in 0..2 {
        assert_eq!(deliver(&shop, says("SM\0", "STOP\0")).await.status, StatusCode::OK);
    }
    shop.apply().await;
    assert_eq!(shop.database.store().outbox_counts().await.unwrap().waiting, 1, "received once");
}
