//! Injected faults.

use sandbox::twilio::types::MessageFilter;
use sandbox::types::{ErrorShape, RequestEffect, RequestFault, RequestFilter};

use crate::support::{Bench, CUSTOMER, FROM, TO};

fn on_create(effect: RequestEffect) -> RequestFault {
    RequestFault {
        method: Some("POST".to_owned()),
        path: Some(r"Messages\.json$".to_owned()),
        count: Some(1),
        ..RequestFault::new(effect)
    }
}

/// A send that may end without an answer.
async fn try_send(bench: &Bench) -> Result<reqwest::Response, reqwest::Error> {
    let form = [("To", TO), ("From", FROM), ("Body", "Hello")];
    bench.request(reqwest::Method::POST, &bench.path("Messages.json")).form(&form).send().await
}

async fn messages(bench: &Bench) -> usize {
    let filter = MessageFilter { to: Some(CUSTOMER.to_owned()), ..MessageFilter::default() };
    bench.control.messages(&filter).await.unwrap().len()
}

#[tokio::test]
async fn a_lost_response_leaves_exactly_one_message_behind() {
    let bench = Bench::start().await;
    bench.control.add_request_fault(on_create(RequestEffect::DropResponse)).await.unwrap();
    try_send(&bench).await.unwrap_err();
    assert_eq!(messages(&bench).await, 1);
    let requests = bench.control.requests(&RequestFilter::default()).await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].status, None);
    assert_eq!(requests[0].faults, ["dropResponse"]);
}

#[tokio::test]
async fn a_refused_connection_leaves_nothing_behind() {
    let bench = Bench::start().await;
    bench.control.add_request_fault(on_create(RequestEffect::Refuse)).await.unwrap();
    try_send(&bench).await.unwrap_err();
    assert_eq!(messages(&bench).await, 0);
    assert_eq!(try_send(&bench).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_429_processes_nothing_and_may_say_when_to_retry() {
    let bench = Bench::start().await;
    let effect = RequestEffect::Status {
        status: 429,
        retry_after: Some(7),
        code: None,
        message: None,
        shape: ErrorShape::Classic,
    };
    bench.control.add_request_fault(on_create(effect)).await.unwrap();
    let response = try_send(&bench).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.json::<serde_json::Value>().await.unwrap()["code"], 20429);
    assert_eq!(messages(&bench).await, 0);
}

#[tokio::test]
async fn a_503_may_come_after_the_message_was_accepted() {
    let bench = Bench::start().await;
    bench.control.add_request_fault(on_create(RequestEffect::StatusAfter { status: 503 })).await.unwrap();
    assert_eq!(try_send(&bench).await.unwrap().status(), 503);
    assert_eq!(messages(&bench).await, 1);
}

#[tokio::test]
async fn rules_are_counted_and_can_be_removed() {
    let bench = Bench::start().await;
    let rule = RequestFault { count: None, ..on_create(RequestEffect::Latency { ms: 1 }) };
    bench.control.add_request_fault(rule).await.unwrap();
    try_send(&bench).await.unwrap();
    assert_eq!(bench.control.faults().await.unwrap().requests[0].hits, 1);
    bench.control.clear_faults().await.unwrap();
    try_send(&bench).await.unwrap();
    assert!(bench.control.faults().await.unwrap().requests.is_empty());
}

#[tokio::test]
async fn the_request_log_has_what_was_asked() {
    let bench = Bench::start().await;
    try_send(&bench).await.unwrap();
    bench.get("/v2/Content?ContentName=a%2Bb").await;
    let filter = RequestFilter { path: Some("^/v2/".to_owned()), since: Some(1), ..RequestFilter::default() };
    let requests = bench.control.requests(&filter).await.unwrap();
    assert_eq!(requests[0].query, [("ContentName".to_owned(), "a+b".to_owned())]);
    assert_eq!(requests[0].account.as_ref(), Some(&bench.account.account_sid));
    let posts = RequestFilter { method: Some("post".to_owned()), ..RequestFilter::default() };
    assert_eq!(bench.control.requests(&posts).await.unwrap()[0].form_value("Body"), Some("Hello"));
    bench.control.clear_requests().await.unwrap();
    assert!(bench.control.requests(&RequestFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mistake_in_a_rule_is_reported() {
    let bench = Bench::start().await;
    let rule = RequestFault { path: Some("(".to_owned()), ..RequestFault::new(RequestEffect::Refuse) };
    let error = bench.control.add_request_fault(rule).await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
}

#[tokio::test]
async fn a_reset_restores_the_initial_state() {
    let config = sandbox::Config { seed: sandbox::seed::Seed::example(), ..Default::default() };
    let mut bench = Bench::start_with_seed_account(config).await;
    try_send(&bench).await.unwrap();
    bench.post("/v1/AuthTokens/Secondary", &[]).await;
    bench.control.reset().await.unwrap();
    assert_eq!(messages(&bench).await, 0);
    bench.account.auth_token = sandbox::seed::EXAMPLE_AUTH_TOKEN.to_owned();
    assert_eq!(try_send(&bench).await.unwrap().status(), 201);
}
