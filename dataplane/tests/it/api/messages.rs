//! The tenants' messages over HTTP.

use futures::future::join_all;
use http::{Method, StatusCode};
use messaging::clock::Clock;

use crate::listeners::Answer;
use crate::listeners::Listeners;
use crate::listeners::pairs;
use crate::world::shared;
use crate::world::tenant;
use axum::body::Body;
use dataplane::shared::Shared;
use dataplane::store::contact::{PutConsent, PutSuppression};
use dataplane::webhooks::WebhookContext;
use http::Request;
use messaging::config::ProviderAccount;
use messaging::contact::{Suppression, SuppressionReason};
use providers::HttpSettings;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

use crate::world::{CUSTOMER, support};

fn hello() -> Value {
    json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "Ava"}}})
}

async fn shop() -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    listeners
}

#[tokio::test]
async fn an_accepted_message_is_answered_with_202_and_can_be_read() {
    let shop = shop().await;
    let body = json!({
        "to": CUSTOMER, "from": "support", "template": {"name": "hello", "language": "en", "values": {"1": "Ava"}},
        "scheduleAt": "2026-11-02T09:00:00Z", "validFor": "6h", "metadata": {"order": "18473"},
    });
    let answer = shop.ask(Method::POST, "/v1/messages", Some(body)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let message = answer.json();
    assert_eq!(message["status"], "queued");
    assert_eq!(message["expiresAt"], "2026-11-02T15:00:00Z", "counted from the schedule");
    let read = shop.ask(Method::GET, &format!("/v1/messages/{}", message["id"].as_str().unwrap()), None).await;
    assert_eq!(read.status, StatusCode::OK);
    let read = read.json();
    for field in ["id", "to", "from", "template", "scheduleAt", "expiresAt", "metadata", "createdAt"] {
        assert_eq!(read[field], message[field], "{field}");
    }
    assert_eq!(read["timeline"][0]["status"], "queued");
    assert_eq!(shop.count(r#"whatsapp_messages_total{status="queued"}"#), 1);
}

#[tokio::test]
async fn metadata_at_its_limits_is_accepted_however_it_is_escaped() {
    let shop = shop().await;
    let escaped = |characters: usize| r"\ud83d\ude00".repeat(characters);
    // Distinct keys of 64 characters.
    let entries: Vec<_> = (10..26).map(|i| format!(r#""{i}{}": "{}""#, escaped(62), escaped(512))).collect();
    let rest = r#""template": {"name": "hello", "values": {"1": "Ava"}}"#;
    let body = format!(r#"{{"to": "{CUSTOMER}", {rest}, "metadata": {{{}}}}}"#, entries.join(","));
    let request = Request::post("/v1/messages")
        .header("authorization", "Bearer key-of-shop")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let answer = shop.send(request).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert_eq!(answer.json()["metadata"].as_object().unwrap().len(), 16);
}

#[tokio::test]
async fn a_message_without_a_validity_gets_its_senders_for_its_category_from_when_it_is_due() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        config["senders"]["support"]["validity"] = json!({"utilitySeconds": 3600});
    });
    let expires_at = async |body: Value| {
        let answer = listeners.ask(Method::POST, "/v1/messages", Some(body)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.json()["expiresAt"].clone()
    };
    assert_eq!(expires_at(hello()).await, "2026-11-01T13:00:00Z");
    let mut scheduled = hello();
    scheduled["scheduleAt"] = json!("2026-11-02T09:00:00Z");
    assert_eq!(expires_at(scheduled.clone()).await, "2026-11-02T10:00:00Z");
    scheduled["validFor"] = json!("10s");
    assert_eq!(expires_at(scheduled).await, "2026-11-02T09:00:10Z");
}

#[tokio::test]
async fn a_message_is_as_urgent_as_the_category_that_its_template_has_at_whatsapp() {
    use dataplane::store::message::Priority;

    let listeners = Listeners::new().await;
    let categories = [
        ("AUTHENTICATION", Priority::Authentication),
        ("UTILITY", Priority::Utility),
        ("MARKETING", Priority::Marketing),
    ];
    for (category, priority) in categories {
        listeners.tenant("shop", |config| config["templates"]["hello"]["category"] = json!(category));
        let answer = listeners.ask(Method::POST, "/v1/messages", Some(hello())).await;
        let id = answer.json()["id"].as_str().unwrap().parse().unwrap();
        let record = listeners.database.store().message(&tenant("shop"), id).await.unwrap().unwrap();
        assert_eq!(record.message.priority, priority, "{category}");
    }
}

#[tokio::test]
async fn a_message_with_a_time_is_not_accepted_by_an_unreliable_clock() {
    let shop = shop().await;
    shop.shared.clock_check.learn(jiff::SignedDuration::from_mins(3));
    for field in [json!({"scheduleAt": "2026-11-02T09:00:00Z"}), json!({"validFor": "10s"})] {
        let mut body = hello();
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let answer = shop.ask(Method::POST, "/v1/messages", Some(body)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("clock"), "{answer:?}");
    }
    assert_eq!(shop.ask(Method::POST, "/v1/messages", Some(hello())).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn the_same_key_and_body_is_the_same_answer_and_another_body_is_refused() {
    let shop = shop().await;
    let send = |body: Value| shop.ask_with(Method::POST, "/v1/messages", &[("idempotency-key", "order-1")], Some(body));
    let answers = join_all((0..10).map(|_| send(hello()))).await;
    let first = answers.iter().find(|a| !a.headers.contains_key("idempotency-replayed")).unwrap();
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (StatusCode::ACCEPTED, &first.text));
    }
    assert_eq!(answers.iter().filter(|a| a.headers.contains_key("idempotency-replayed")).count(), 9);
    // The repeated request gets its first answer, although the template is gone meanwhile.
    shop.tenant("shop", |config| config["templates"] = json!({}));
    assert_eq!(send(hello()).await.text, first.text);
    let other = send(json!({"to": CUSTOMER, "text": {"body": "x"}})).await;
    assert!(other.problem(StatusCode::UNPROCESSABLE_ENTITY).is_empty());
    assert_eq!(other.json()["type"], "urn:whatsapp-operator:problem:idempotency-key-reused");
    assert_eq!(shop.count(r#"whatsapp_messages_total{status="queued"}"#), 1);
}

#[tokio::test]
async fn a_key_must_be_short_and_printable() {
    let shop = shop().await;
    for key in [String::new(), "k".repeat(256)] {
        let headers = [("idempotency-key", key.as_str())];
        let answer = shop.ask_with(Method::POST, "/v1/messages", &headers, Some(hello())).await;
        assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("Idempotency-Key", "invalid")]));
    }
}

#[tokio::test]
async fn every_fault_of_a_body_is_reported_at_once_with_what_would_be_right() {
    let shop = shop().await;
    let body = json!({"to": "0770", "texts": {"body": "x"}, "validFor": "1y"});
    let mut errors = shop.ask(Method::POST, "/v1/messages", Some(body)).await.problem(StatusCode::UNPROCESSABLE_ENTITY);
    errors.sort();
    assert_eq!(
        errors,
        pairs(&[("", "required"), ("/texts", "unknown_field"), ("/to", "invalid"), ("/validFor", "invalid")])
    );
}

#[tokio::test]
async fn a_malformed_json_body_is_refused_with_the_line_and_column() {
    let shop = shop().await;
    let request = |content_type: &str, body: Vec<u8>| {
        Request::post("/v1/messages")
            .header("authorization", "Bearer key-of-shop")
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap()
    };
    let answer = shop.send(request("application/json; charset=utf-8", b"{\n \"to\": }".to_vec())).await;
    answer.problem(StatusCode::BAD_REQUEST);
    assert!(answer.text.contains("line 2 column 8"), "{answer:?}");
    let deep = [b"[".repeat(20_000), b"]".repeat(20_000)].concat();
    shop.send(request("application/json", deep)).await.problem(StatusCode::BAD_REQUEST);
    shop.send(request("text/plain", b"{}".to_vec())).await.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    shop.send(request("application/json", vec![b' '; 256 * 1024 + 1])).await.problem(StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_policy_forbids_is_refused_at_once_with_what_would_be_right() {
    let shop = shop().await;
    let refused = async |body: Value| {
        shop.ask(Method::POST, "/v1/messages", Some(body)).await.problem(StatusCode::UNPROCESSABLE_ENTITY)
    };
    let text = json!({"to": CUSTOMER, "text": {"body": "Hello"}});
    assert_eq!(refused(text).await, pairs(&[("/text", "window_closed")]));
    let unknown = json!({"to": CUSTOMER, "template": {"name": "other"}});
    assert_eq!(refused(unknown).await, pairs(&[("/template/name", "template_unknown")]));
    let missing = json!({"to": CUSTOMER, "template": {"name": "hello"}});
    assert_eq!(refused(missing).await, pairs(&[("/template/values", "template_values_missing")]));
    let suppression = Suppression { reason: SuppressionReason::OptedOut, at: shop.clock.now(), detail: "STOP".into() };
    let contact = CUSTOMER.parse().unwrap();
    let put = PutSuppression { tenant: tenant("shop"), sender: support(), contact, suppression };
    shop.database.store().write(put).await.unwrap();
    assert_eq!(refused(hello()).await, pairs(&[("/to", "suppressed")]));
    assert!(shop.database.store().lanes().await.unwrap().is_empty(), "nothing was queued");
}

#[tokio::test]
async fn the_sender_is_named_or_follows_from_a_policy_or_is_the_only_one() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        let mut sales = config["senders"]["support"].clone();
        sales["phoneNumber"] = json!("+14155238887");
        config["senders"]["sales"] = sales;
    });
    let send = async |extra: Value| {
        let mut body = hello();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        listeners.ask(Method::POST, "/v1/messages", Some(body)).await
    };
    assert_eq!(send(json!({})).await.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/from", "required")]));
    let unknown = send(json!({"from": "nobody"})).await;
    assert_eq!(unknown.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/from", "sender_unknown")]));
    let unknown = send(json!({"policy": "nobody"})).await;
    assert_eq!(unknown.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/policy", "policy_unknown")]));
    let unknown = send(json!({"from": "+14155550000"})).await;
    assert_eq!(unknown.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/from", "sender_unknown")]));
    for from in ["sales", "+14155238887"] {
        let message = send(json!({ "from": from })).await.json();
        assert_eq!((&message["sender"], &message["from"]), (&json!("sales"), &json!("+14155238887")));
        let from = from.replace('+', "%2B");
        let listed = listeners.ask(Method::GET, &format!("/v1/messages?from={from}"), None).await.json();
        assert!(listed["items"].as_array().unwrap().iter().any(|item| item["id"] == message["id"]), "{listed}");
    }

    listeners.tenant("shop", |config| {
        config["policies"] = json!({"default": {
            "default": {"sender": "support"},
            "byCountry": {"GB": {"sender": "support", "messagingServiceSid": "MG1"}},
        }});
        config["defaultPolicy"] = json!("default");
    });
    let routed = send(json!({})).await.json();
    assert_eq!((&routed["sender"], &routed["messagingServiceSid"]), (&json!("support"), &json!("MG1")));
    assert_eq!(send(json!({"policy": "default"})).await.json()["messagingServiceSid"], "MG1");
}

#[tokio::test]
async fn an_unauthenticated_caller_gets_nothing_and_a_tenant_sees_only_its_own() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    listeners.tenant("bakery", |config| config["senders"]["support"]["provider"]["twilio"]["username"] = json!("SK2"));
    let id = listeners.ask(Method::POST, "/v1/messages", Some(hello())).await.json()["id"].clone();
    let path = format!("/v1/messages/{}", id.as_str().unwrap());
    let as_bakery = |method: Method, path: &str| {
        Request::builder().method(method).uri(path).header("authorization", "Bearer key-of-bakery").body(Body::empty())
    };
    listeners.send(as_bakery(Method::GET, &path).unwrap()).await.problem(StatusCode::NOT_FOUND);
    listeners.send(as_bakery(Method::POST, &format!("{path}/cancel")).unwrap()).await.problem(StatusCode::NOT_FOUND);
    let list = listeners.send(as_bakery(Method::GET, "/v1/messages").unwrap()).await;
    assert_eq!(list.json(), json!({"items": []}));

    for path in ["/v1/messages", &path, "/v1/contacts/+447700900123"] {
        let answer = listeners.send(Request::get(path).body(Body::empty()).unwrap()).await;
        answer.problem(StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let headers = [("whatsapp-tenant", "bakery")];
    listeners.ask_with(Method::GET, &path, &headers, None).await.problem(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_queued_message_can_be_canceled_and_a_canceled_one_again() {
    let shop = shop().await;
    let id = shop.ask(Method::POST, "/v1/messages", Some(hello())).await.json()["id"].clone();
    let path = format!("/v1/messages/{}/cancel", id.as_str().unwrap());
    for _ in 0..2 {
        let answer = shop.ask(Method::POST, &path, None).await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &json!("canceled")), "{answer:?}");
    }
    assert_eq!(shop.count(r#"whatsapp_messages_total{status="canceled"}"#), 1);
    shop.ask(Method::POST, "/v1/messages/msg_12/cancel", None).await.problem(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_handed_over_cannot_be_canceled() {
    let shop = shop().await;
    let now = shop.clock.now();
    let id = shop.ask(Method::POST, "/v1/messages", Some(hello())).await.json()["id"].clone();
    let store = shop.database.store();
    let lane = store.lanes().await.unwrap().remove(0).lane;
    let claim = crate::store::claim_of(lane, now, now);
    let claim = store.write(claim).await.unwrap().claims.remove(0);
    let began = crate::store::begin(store, &claim, crate::store::attempt(0), 0).await;
    assert_eq!(began, dataplane::store::queue::Began::Begun);
    let answer = shop.ask(Method::POST, &format!("/v1/messages/{}/cancel", id.as_str().unwrap()), None).await;
    answer.problem(StatusCode::CONFLICT);
}

#[tokio::test]
async fn lists_are_paged_and_filtered_and_say_what_is_wrong_with_a_query() {
    let shop = shop().await;
    for _ in 0..3 {
        shop.ask(Method::POST, "/v1/messages", Some(hello())).await;
    }
    let first = shop.ask(Method::GET, "/v1/messages?limit=2&status=queued&to=%2B447700900123", None).await.json();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop.ask(Method::GET, &format!("/v1/messages?limit=2&cursor={cursor}"), None).await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert!(second.get("nextCursor").is_none());
    let wrong = shop.ask(Method::GET, "/v1/messages?limit=201&status=gone&since=today&colour=red&cursor=x", None).await;
    let mut errors = wrong.problem(StatusCode::BAD_REQUEST);
    errors.sort();
    let expected = ["colour", "cursor", "limit", "since", "status"].map(|name| (name, "invalid"));
    assert_eq!(errors, pairs(&expected));
}

#[tokio::test]
async fn an_answer_names_the_message_that_it_answers() {
    let shop = shop().await;
    let unknown = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "Ava"}},
        "replyTo": "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978"});
    let answer = shop.ask(Method::POST, "/v1/messages", Some(unknown)).await;
    assert_eq!(answer.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/replyTo", "unknown_message")]));
}

#[tokio::test]
async fn consent_is_asked_for_where_the_sender_needs_it() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| config["senders"]["support"]["consent"] = json!({"required": true}));
    let answer = listeners.ask(Method::POST, "/v1/messages", Some(hello())).await;
    assert_eq!(answer.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/to", "consent_required")]));
    let consent = serde_json::from_value(json!({
        "status": "granted", "recordedAt": listeners.clock.now(), "evidence": {"source": "checkout-form"},
    }));
    let put = PutConsent {
        tenant: tenant("shop"),
        sender: support(),
        contact: CUSTOMER.parse().unwrap(),
        consent: consent.unwrap(),
    };
    listeners.database.store().write(put).await.unwrap();
    assert_eq!(listeners.ask(Method::POST, "/v1/messages", Some(hello())).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn before_the_configs_are_loaded_every_request_is_to_be_retried() {
    let listeners = Listeners::new().await;
    let client = providers::http_client(HttpSettings::default()).unwrap();
    let connect = move |account: &ProviderAccount| providers::connect(account, &client);
    let store = Arc::clone(&listeners.database.store);
    let (Shared { configs, clock, metrics, .. }, _) =
        shared((*store).clone(), Arc::new(connect), providers::webhook_adapters().into());
    let context = Arc::new(WebhookContext { fresh: None, hints: None, store, configs, clock, metrics });
    let hook = Request::post("/webhooks/shop/support/twilio/inbound").body(Body::empty()).unwrap();
    let answer = Answer::of(dataplane::webhooks::router(context).oneshot(hook).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "a 404 would tell the provider to give up");
    assert_eq!(answer.headers["retry-after"], "1");
}
