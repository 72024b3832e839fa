//! The API's description is what is served, and what is committed.

use http::{Method, StatusCode};

use crate::listeners::Listeners;
use axum::body::Body;
use http::Request;
use messaging::event::EventKind;
use messaging::lifecycle::MessageStatus;
use serde_json::Value;
use serde_json::json;

#[tokio::test]
async fn the_committed_description_is_the_one_that_is_served() {
    let committed = include_str!("../../../openapi.json");
    assert_eq!(committed, dataplane::api::openapi_document(), "run `make generate`");
    let listeners = Listeners::new().await;
    let served = listeners.send(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(served.json(), serde_json::from_str::<Value>(committed).unwrap());
}

#[tokio::test]
async fn every_path_that_is_described_is_routed() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    let described: Value = serde_json::from_str(&dataplane::api::openapi_document()).unwrap();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path =
                path.replace("{id}", "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978").replace("{address}", "+447700900123");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = listeners.ask(method.clone(), &path, Some(json!({}))).await;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!answer.text.contains("there is no such path"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_schema_of_each_type_of_event_is_served_where_the_list_says() {
    let listeners = Listeners::new().await;
    let get = async |path: &str| listeners.send(Request::get(path).body(Body::empty()).unwrap()).await;
    let list = get("/schemas/").await.json();
    let mut listed = Vec::new();
    for item in list["items"].as_array().unwrap() {
        let served = get(item["schema"].as_str().unwrap()).await;
        assert_eq!(served.status, StatusCode::OK, "{item}");
        assert_eq!(served.headers["content-type"], "application/schema+json", "{item}");
        assert_eq!(served.json()["properties"]["type"]["const"], item["type"]);
        listed.push(item["type"].as_str().unwrap().to_owned());
    }
    for kind in [EventKind::MessageReceived, EventKind::MessageStatus(MessageStatus::Read), EventKind::ContactOptedOut]
    {
        assert!(listed.contains(&kind.as_type()), "{kind:?}: {list}");
    }
    get("/schemas/other.json").await.problem(StatusCode::NOT_FOUND);
}
