//! Dead letters over HTTP.

use dataplane::store::hold::{Hold, HoldKind, PutHold, Scope};
use dataplane::store::message::SinkId;
use dataplane::store::outbox::{ClaimEvents, EndEvent, EventClaim};
use dataplane::store::queue::Fenced;
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;

use crate::listeners::Listeners;
use crate::listeners::pairs;
use crate::store::{apply_all, at, inbound, record, sender, sinks};
use crate::world::tenant;
use axum::body::Body;
use http::Method;
use http::Request;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

/// `n` received messages whose events were given up.
async fn with_dead_letters(n: u32) -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    listeners.tenant("bakery", |_| ());
    listeners.clock.set(at(1000));
    let store = listeners.database.store();
    for i in 0..n {
        record(store, i64::from(i), inbound(&format!("SM{i}"))).await;
        apply_all(store).await;
    }
    loop {
        let claims = claim(&listeners, at(1000)).await;
        if claims.is_empty() {
            return listeners;
        }
        for claim in claims {
            let end =
                EndEvent { event: claim.reference, now: at(1000), error: "the sink answered 500".into(), keep: true };
            assert_eq!(store.write(end).await.unwrap(), Fenced::Done);
        }
    }
}

async fn claim(listeners: &Listeners, now: Timestamp) -> Vec<EventClaim> {
    let claim = ClaimEvents {
        tenant: tenant("shop"),
        sender: sender(),
        sink: sinks()[0].clone(),
        now,
        owner: "test".into(),
        lease_until: now + SignedDuration::from_mins(1),
        limit: 1000,
    };
    listeners.database.store().write(claim).await.unwrap()
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn dead_letters_are_listed_whole_oldest_first_and_page_by_page() {
    let listeners = with_dead_letters(3).await;
    let all = listeners.ask(Method::GET, "/v1/events/dead", None).await.json();
    assert!(all.get("nextCursor").is_none());
    let first = &all["items"][0];
    assert_eq!(first["event"]["id"], first["id"], "{first}");
    assert_eq!(first["event"]["data"]["providerMessageId"], "SM0");
    let shown = ["sender", "sink", "subject", "reason", "tries", "createdAt", "deadAt"].map(|name| &first[name]);
    let subject = &first["event"]["subject"];
    let expected = [
        &json!("support"),
        &json!("app"),
        subject,
        &json!("the sink answered 500"),
        &json!(0),
        &json!(at(0)),
        &json!(at(1000)),
    ];
    assert_eq!(shown, expected);

    let mut paged = Vec::new();
    let mut path = "/v1/events/dead?limit=2&sender=support&sink=app".to_owned();
    loop {
        let page = listeners.ask(Method::GET, &path, None).await.json();
        paged.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/v1/events/dead?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, ids(&all));
    for none in ["sender=sales", "sink=https://other.example/"] {
        assert!(ids(&listeners.ask(Method::GET, &format!("/v1/events/dead?{none}"), None).await.json()).is_empty());
    }
    let bakery = Request::get("/v1/events/dead").header("authorization", "Bearer key-of-bakery");
    let of_bakery = listeners.send(bakery.body(Body::empty()).unwrap()).await;
    assert_eq!(of_bakery.json(), json!({ "items": [] }), "a tenant sees its own only");
}

#[tokio::test]
async fn a_dead_letter_is_redriven_once_and_is_then_gone() {
    let listeners = with_dead_letters(2).await;
    let all = ids(&listeners.ask(Method::GET, "/v1/events/dead", None).await.json());
    let path = format!("/v1/events/{}/redrive", all[1]);
    let elsewhere = listeners.ask(Method::POST, &format!("{path}?sink=https://other.example/"), None).await;
    assert_eq!(elsewhere.problem(StatusCode::NOT_FOUND), []);
    assert!(claim(&listeners, at(1000)).await.is_empty());
    let answer = listeners.ask(Method::POST, &path, None).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "redriven": 1 })), "{answer:?}");
    assert_eq!(claim(&listeners, at(1000)).await[0].reference.event.to_string(), all[1]);
    listeners.ask(Method::POST, &path, None).await.problem(StatusCode::NOT_FOUND);
    assert_eq!(ids(&listeners.ask(Method::GET, "/v1/events/dead", None).await.json()), all[..1]);
    let stranger =
        Request::post(format!("/v1/events/{}/redrive", all[0])).header("authorization", "Bearer key-of-bakery");
    listeners.send(stranger.body(Body::empty()).unwrap()).await.problem(StatusCode::NOT_FOUND);
    listeners.ask(Method::POST, "/v1/events/evt_1/redrive", None).await.problem(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_are_redriven_in_bounded_steps_and_each_once() {
    let listeners = with_dead_letters(510).await;
    let redrive = async |body: Value| listeners.ask(Method::POST, "/v1/events/redrive", Some(body)).await.json();
    assert_eq!(redrive(json!({ "sender": "sales" })).await, json!({ "redriven": 0 }));
    let first = redrive(json!({ "sender": "support" })).await;
    assert_eq!(first["redriven"], 500);
    let second = redrive(json!({ "sender": "support", "cursor": first["nextCursor"] })).await;
    assert_eq!(second, json!({ "redriven": 10 }));
    assert_eq!(claim(&listeners, listeners.clock.now()).await.len(), 510);
}

#[tokio::test]
async fn a_redrive_to_a_sink_that_answered_410_lifts_its_hold() {
    let listeners = with_dead_letters(1).await;
    let hold = |sink: &str, kind| Hold {
        tenant: tenant("shop"),
        scope: Scope::Sink(sender(), SinkId::new(sink)),
        kind,
        until: Timestamp::MAX,
        reason: "it answered 410".into(),
        created_at: at(50),
    };
    let store = listeners.database.store();
    for (sink, kind) in [("app", HoldKind::Gone), ("app", HoldKind::Pause), ("https://other.example/", HoldKind::Gone)]
    {
        store.write(PutHold { hold: hold(sink, kind) }).await.unwrap();
    }
    let answer = listeners.ask(Method::POST, "/v1/events/redrive", Some(json!({}))).await;
    assert_eq!(answer.json(), json!({ "redriven": 1 }));
    let held: Vec<_> = store.holds(at(1000)).await.unwrap().into_iter().map(|hold| (hold.kind, hold.scope)).collect();
    assert!(held.len() == 2 && !held.contains(&(HoldKind::Gone, hold("app", HoldKind::Gone).scope)));
    // Not before every replica knows.
    assert!(claim(&listeners, at(1001)).await.is_empty());
    assert_eq!(claim(&listeners, at(1002)).await.len(), 1);
}

#[tokio::test]
async fn every_fault_of_a_request_for_dead_letters_is_reported() {
    let listeners = with_dead_letters(0).await;
    let answer = listeners.ask(Method::GET, "/v1/events/dead?limit=201&x=1", None).await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("limit", "invalid"), ("x", "invalid")]));
    let answer = listeners.ask(Method::POST, "/v1/events/redrive", Some(json!({ "cursor": "x", "all": true }))).await;
    let expected = pairs(&[("/cursor", "invalid"), ("/all", "unknown_field")]);
    assert_eq!(answer.problem(StatusCode::UNPROCESSABLE_ENTITY), expected);
    listeners.ask(Method::POST, "/v1/events/redrive", None).await.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let id = "evt_01890a5d4f7a7c3e8b2d112233445566";
    let answer = listeners.ask(Method::POST, &format!("/v1/events/{id}/redrive?sinks=a"), None).await;
    assert_eq!(answer.problem(StatusCode::BAD_REQUEST), pairs(&[("sinks", "invalid")]));
}
