//! Nothing that a stranger or a tenant sends makes the process panic, and everything gets an answer.

use http::StatusCode;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::listeners::Listeners;
use axum::body::Body;
use http::Request;
use serde_json::json;
use tower::ServiceExt;

/// Bodies near enough to right ones to get past the first check.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![
        any::<String>().prop_map(|s| json!({ "to": s })),
        (any::<String>(), any::<String>())
            .prop_map(|(a, b)| json!({"to": "+447700900123", "template": {"name": a, "values": {b: "x"}}})),
        any::<String>()
            .prop_map(|s| json!({"to": "+447700900123", "validFor": s, "scheduleAt": s, "replyTo": s, s.clone(): s})),
        any::<String>().prop_map(|s| json!({"status": s, "evidence": {"source": s, "at": s}})),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        json.prop_map(|value| value.to_string().into_bytes()),
        "[a-zA-Z]{0,12}=(%[0-9a-fA-F]{0,2}|[a-z:+]){0,30}(&[a-zA-Z0-9]{0,12}(=[^&]{0,12})?){0,6}"
            .prop_map(String::into_bytes),
    ]
}

#[test]
fn every_request_is_answered_and_none_panics() {
    let runtime = Runtime::new().unwrap();
    let listeners = runtime.block_on(async {
        let listeners = Listeners::new().await;
        listeners.tenant("shop", |_| ());
        listeners
    });
    let paths = [
        ("POST", "/v1/messages"),
        ("PUT", "/v1/contacts/+447700900123/consent"),
        ("PUT", "/v1/contacts/+447700900123/suppression"),
        ("DELETE", "/v1/contacts/+447700900123/suppression"),
        ("POST", "/v1/messages/msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978/cancel"),
        ("POST", "/webhooks/shop/support/twilio/inbound"),
        ("POST", "/webhooks/shop/support/twilio/status/att-0192d3b8c7a97c3e8f1e2d3c4b5a6978"),
    ];
    let queries = "[a-z&=%+0-9]{0,40}";
    proptest!(ProptestConfig { cases: 400, ..ProptestConfig::default() }, |(
        which in 0..paths.len(),
        body in bodies(),
        query in queries,
        path in "[a-zA-Z0-9%+._-]{1,40}",
        // Only bytes that a header may contain.
        key in proptest::collection::vec(prop_oneof![32u8..127, 128u8..=255], 0..40),
    )| {
        let (method, known) = paths[which];
        let odd = [format!("/v1/messages/{path}"), format!("/v1/contacts/{path}?{query}"), format!("/v1/messages?{query}")];
        let requests = odd.iter().map(|uri| ("GET", uri.as_str())).chain([(method, known)]);
        for (method, uri) in requests {
            let request = Request::builder()
                .method(method)
                .uri(uri)
                .header("authorization", "Bearer key-of-shop")
                .header("content-type", "application/json")
                .header("idempotency-key", http::HeaderValue::from_bytes(&key).unwrap())
                .header("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
                .body(Body::from(body.clone()));
            // An invalid URI never reaches a router.
            let Ok(request) = request else { continue };
            let router = if uri.starts_with("/webhooks") { &listeners.webhooks } else { &listeners.api };
            let status = runtime.block_on(router.clone().oneshot(request)).unwrap().status();
            prop_assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{} {}", method, uri);
        }
    });
}
