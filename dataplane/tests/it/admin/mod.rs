//! Operators can stop tenants and senders, and nobody else can.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicBool;

use axum::extract::connect_info::MockConnectInfo;
use dataplane::admin::{self, AdminContext};
use dataplane::dispatch::brakes::Brakes;
use dataplane::store::hold::{Hold, HoldKind, PutHold, Scope};
use dataplane::store::message::SinkId;
use dataplane::store::queue::{Began, BeginAttempt};
use jiff::{SignedDuration, Timestamp};
use listener::ReceivedAt;
use messaging::clock::Clock;
use messaging::id::{AttemptId, MessageId};

use crate::listeners::Answer;
use crate::listeners::Listeners;
use crate::listeners::pairs;
use crate::webhooks::received;
use crate::world::support;
use crate::world::tenant;
use axum::Router;
use axum::body::Body;
use dataplane::store::Store;
use http::Method;
use http::Request;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

const LOOPBACK: ReceivedAt = ReceivedAt(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
const SHOP: &str = "/admin/v1/tenants/shop";

struct Operators {
    listeners: Listeners,
    admin: Router,
}

impl Operators {
    async fn new() -> Self {
        Self::received_at(LOOPBACK).await
    }

    async fn received_at(address: ReceivedAt) -> Self {
        let listeners = Listeners::new().await;
        listeners.tenant("shop", |config| {
            config["senders"]["sales"] = config["senders"]["support"].clone();
            config["senders"]["sales"]["phoneNumber"] = json!("+14155550199");
        });
        listeners.tenant("bakery", |_| ());
        let draining = Arc::new(AtomicBool::new(false));
        let brakes = Arc::new(Brakes::new(Arc::clone(&listeners.shared.metrics)));
        let context = Arc::new(AdminContext { shared: listeners.shared.clone(), brakes, draining });
        Self { admin: admin::router(context).layer(MockConnectInfo(address)), listeners }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(method, path, &[("host", "127.0.0.1:9090")], body).await
    }

    async fn ask_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        Answer::of(self.admin.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        let answer = self.ask(Method::PUT, path, Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer
    }

    async fn held(&self) -> Value {
        self.ask(Method::GET, "/admin/v1/holds", None).await.json()["items"].clone()
    }

    async fn send(&self, from: &str) -> Answer {
        let body =
            json!({ "to": "+447700900123", "from": from, "template": { "name": "hello", "values": { "1": "Ava" } } });
        self.listeners.ask(Method::POST, "/v1/messages", Some(body)).await
    }

    async fn queued(&self, from: &str) -> MessageId {
        let answer = self.send(from).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    async fn message(&self, id: MessageId) -> Value {
        self.listeners.ask(Method::GET, &format!("/v1/messages/{id}"), None).await.json()
    }

    fn now(&self) -> Timestamp {
        self.listeners.clock.now()
    }
}

#[tokio::test]
async fn a_paused_sender_accepts_messages_and_hands_none_over_until_the_pause_is_lifted() {
    let operators = Operators::new().await;
    let until = operators.now() + SignedDuration::from_secs(3600);
    let put =
        operators.put(&format!("{SHOP}/senders/support/pause"), json!({ "until": until, "reason": "a test" })).await;
    let expected = json!([{
        "tenant": "shop", "scope": "sender/support", "kind": "pause", "reason": "a test",
        "until": until, "createdAt": operators.now(),
    }]);
    assert_eq!(operators.held().await, expected);
    assert_eq!(put.json(), expected[0]);

    let held = |sender: &str| {
        let sender = sender.parse().unwrap();
        operators.listeners.shared.holds.blocks_dispatch(&tenant("shop"), &sender, operators.now()).is_some()
    };
    assert!(held("support") && !held("sales"));
    operators.queued("support").await;

    // The pause is extended, then lifted.
    operators.put(&format!("{SHOP}/senders/support/pause"), json!({})).await;
    assert_eq!(operators.held().await[0].get("until"), None, "until it is lifted");
    let lift = async || operators.ask(Method::DELETE, &format!("{SHOP}/senders/support/pause"), None).await.status;
    assert_eq!(lift().await, StatusCode::NO_CONTENT);
    assert_eq!(lift().await, StatusCode::NO_CONTENT, "lifting it twice succeeds twice");
    assert!(!held("support"));
    assert_eq!(operators.held().await, json!([]));
}

#[tokio::test]
async fn a_draining_sender_accepts_no_new_message_and_says_when_to_come_back() {
    let operators = Operators::new().await;
    operators.queued("support").await;
    operators.ask(Method::PUT, &format!("{SHOP}/drain"), None).await;
    let refused = operators.send("support").await;
    assert_eq!(refused.problem(StatusCode::SERVICE_UNAVAILABLE), []);
    assert_eq!(refused.json()["type"], "urn:whatsapp-operator:problem:draining");
    assert_eq!(refused.headers["retry-after"], "60");
    let holds = &operators.listeners.shared.holds;
    assert!(holds.blocks_dispatch(&tenant("shop"), &support(), operators.now()).is_none(), "what is queued is sent");

    let until = operators.now() + SignedDuration::from_secs(5);
    operators.put(&format!("{SHOP}/drain"), json!({ "until": until, "reason": "moving to another cell" })).await;
    let refused = operators.send("sales").await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("moving to another cell") && detail.contains(&until.to_string()), "{detail}");
    assert_eq!(refused.headers["retry-after"], "5");
    operators.listeners.clock.advance(SignedDuration::from_secs(5));
    operators.queued("sales").await;
}

#[tokio::test]
async fn a_repeated_request_gets_its_first_answer_while_its_sender_drains() {
    let operators = Operators::new().await;
    let body =
        json!({ "to": "+447700900123", "from": "support", "template": { "name": "hello", "values": { "1": "Ava" } } });
    let send = async || {
        let key = [("idempotency-key", "order-1")];
        operators.listeners.ask_with(Method::POST, "/v1/messages", &key, Some(body.clone())).await
    };
    let first = send().await;
    operators.ask(Method::PUT, &format!("{SHOP}/senders/support/drain"), None).await;
    let again = send().await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
}

#[tokio::test]
async fn a_purge_cancels_what_is_queued_and_leaves_alone_what_is_being_handed_over() {
    let operators = Operators::new().await;
    let handed_over = operators.queued("support").await;
    let store: &Store = operators.listeners.database.store.as_ref();
    let lane = store.lanes().await.unwrap().remove(0).lane;
    let now = operators.now();
    let lease_until = now + SignedDuration::from_secs(60);
    let claim = crate::store::claim_of(lane, now, lease_until);
    let claim = store.write(claim).await.unwrap().claims.remove(0);
    let attempt = AttemptId::new(now, &rand::random());
    let (contact_version, others_in_pool) = (claim.contact.version, Vec::new());
    let begin = BeginAttempt { claim: claim.reference(), attempt, now, contact_version, others_in_pool };
    assert_eq!(store.write(begin).await.unwrap(), Began::Begun);

    let mut queued = Vec::new();
    // More than are canceled at once.
    for _ in 0..120 {
        queued.push(operators.queued("support").await);
    }
    let elsewhere = operators.queued("sales").await;
    let purge = async |path: &str| {
        operators.ask(Method::POST, &format!("{path}/purge"), Some(json!({ "reason": "a bad campaign" }))).await.json()
    };
    assert_eq!(purge("/admin/v1/tenants/bakery").await, json!({ "canceled": 0, "more": false }));
    assert_eq!(purge(&format!("{SHOP}/senders/support")).await, json!({ "canceled": 120, "more": false }));
    for id in [queued[0], queued[119]] {
        let message = operators.message(id).await;
        assert_eq!(message["status"], "canceled");
        assert_eq!(message["reason"]["text"], "purged by an operator: a bad campaign");
    }
    assert_eq!(operators.message(handed_over).await["status"], "submitted");
    assert_eq!(operators.message(elsewhere).await["status"], "queued");
    assert_eq!(operators.listeners.count(r#"whatsapp_messages_total{status="canceled"}"#), 120);

    // A tenant without a config can be purged too: its messages would wait for ever.
    operators.listeners.shared.configs.remove(&tenant("shop"));
    assert_eq!(purge(SHOP).await, json!({ "canceled": 1, "more": false }));
}

#[tokio::test]
async fn a_purge_says_why() {
    let operators = Operators::new().await;
    let purge = operators.ask(Method::POST, &format!("{SHOP}/purge"), None).await;
    assert_eq!(purge.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/reason", "required")]));
}

#[tokio::test]
async fn a_workers_hold_is_lifted_by_its_listed_scope() {
    let operators = Operators::new().await;
    let scope = Scope::Sink(support(), SinkId::new("https://app.example/events"));
    let hold = Hold {
        tenant: tenant("shop"),
        scope,
        kind: HoldKind::Gone,
        until: Timestamp::MAX,
        reason: "the sink answered 410".into(),
        created_at: operators.now(),
    };
    operators.listeners.database.store.write(PutHold { hold }).await.unwrap();
    let listed = operators.held().await[0].clone();
    let path = format!("{SHOP}/holds/gone/{}", listed["scope"].as_str().unwrap());
    assert_eq!(operators.ask(Method::DELETE, &path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(operators.held().await, json!([]));
}

#[tokio::test]
async fn a_hold_on_an_unknown_name_is_refused() {
    let operators = Operators::new().await;
    for (path, named) in [
        ("/admin/v1/tenants/shpo/pause".to_owned(), "shpo"),
        (format!("{SHOP}/senders/suport/drain"), "expected one of: sales, support"),
        (format!("{SHOP}/pouse"), "expected pause, drain or purge"),
        (format!("{SHOP}/breaker"), "expected pause, drain or purge"),
    ] {
        let answer = operators.ask(Method::PUT, &path, None).await;
        assert_eq!(answer.problem(StatusCode::NOT_FOUND), []);
        assert!(answer.text.contains(named), "{answer:?}");
    }
    assert_eq!(operators.held().await, json!([]));
}

#[tokio::test]
async fn only_requests_from_within_the_pod_stop_anything() {
    for address in [ReceivedAt(Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)))), ReceivedAt(None)] {
        let operators = Operators::received_at(address).await;
        for (method, path) in [
            (Method::GET, "/admin/v1/holds".to_owned()),
            (Method::GET, "/admin/v1/unaddressed".to_owned()),
            (Method::PUT, format!("{SHOP}/pause")),
            (Method::DELETE, format!("{SHOP}/senders/support/drain")),
            (Method::DELETE, format!("{SHOP}/holds/pause/tenant")),
            (Method::POST, format!("{SHOP}/purge")),
            (Method::POST, format!("{SHOP}/senders/support/purge")),
        ] {
            let answer = operators.ask(method, &path, None).await;
            assert_eq!(answer.problem(StatusCode::FORBIDDEN), [], "{path}");
        }
        let holds = operators.listeners.database.store.holds(operators.now()).await.unwrap();
        assert!(holds.is_empty(), "{holds:?}");
        let metrics = operators.ask(Method::GET, "/metrics", None).await;
        assert_eq!(metrics.status, StatusCode::OK, "metrics are open to everybody");
    }
}

#[tokio::test]
async fn no_web_page_reads_or_stops_anything_through_an_operators_port_forward() {
    let operators = Operators::new().await;
    for headers in [
        &[("host", "rebound.example:9090")][..],
        &[],
        &[("host", "localhost:9090"), ("origin", "https://page.example")],
        &[("host", "localhost:9090"), ("origin", "null")],
    ] {
        for (method, path) in [(Method::GET, "/admin/v1/holds"), (Method::PUT, "/admin/v1/tenants/shop/pause")] {
            let answer = operators.ask_with(method, path, headers, None).await;
            assert_eq!(answer.problem(StatusCode::FORBIDDEN), [], "{headers:?}");
        }
    }
    assert_eq!(operators.held().await, json!([]));
}

#[tokio::test]
async fn operators_see_which_undeclared_number_was_written_to_and_not_by_whom() {
    let operators = Operators::new().await;
    let other = [("To", "whatsapp:+14155550111"), ("Body", "Hello")];
    let answer = operators.listeners.webhooks.clone().oneshot(received("SM1", &other)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let shown = operators.ask(Method::GET, "/admin/v1/unaddressed", None).await.json();
    let at = operators.now();
    assert_eq!(shown["items"], json!([{"receivedAt": at, "endpoint": "twilio/shop/support", "to": "+14155550111"}]));
}

#[tokio::test]
async fn holds_are_counted_by_kind() {
    let operators = Operators::new().await;
    operators.put(&format!("{SHOP}/pause"), json!({})).await;
    operators.put(&format!("{SHOP}/senders/sales/pause"), json!({})).await;
    let metrics = operators.ask(Method::GET, "/metrics", None).await.text;
    for line in [
        r#"whatsapp_holds{kind="pause"} 2"#,
        r#"whatsapp_holds{kind="gone"} 0"#,
        "whatsapp_webhooks_unapplied 0",
        "whatsapp_store_waiting_writes 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing from\n{metrics}");
    }
}

#[tokio::test]
async fn what_operators_send_is_read_in_one_way_only() {
    let operators = Operators::new().await;
    let ask = async |path: &str, body: &str| {
        let request = Request::put(path).header("host", "localhost").header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        Answer::of(operators.admin.clone().oneshot(request).await.unwrap()).await
    };
    for path in ["/admin/v1/tenants/%FF/pause", "/admin/v1/tenants/shop/holds/gone/sink/support/%00"] {
        ask(path, "{}").await.problem(StatusCode::BAD_REQUEST);
    }
    ask("/admin/v2", "{}").await.problem(StatusCode::NOT_FOUND);
    ask("/admin/v1/holds", "{}").await.problem(StatusCode::METHOD_NOT_ALLOWED);
    let twice = ask("/admin/v1/tenants/shop/pause", r#"{"reason":"a","reason":"b\u0000"}"#).await;
    assert_eq!(twice.problem(StatusCode::BAD_REQUEST), pairs(&[("/reason", "repeated"), ("/reason", "invalid")]));
    let blank = ask("/admin/v1/tenants/shop/pause", r#"{"reason":"\u200b"}"#).await;
    assert_eq!(blank.problem(StatusCode::UNPROCESSABLE_ENTITY), pairs(&[("/reason", "invalid")]));
}
