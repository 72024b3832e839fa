//! Event Streams: who is told that an approval changed.

use sandbox::{
    twilio::{
        signature::sign,
        types::{Decision, NewAccount},
    },
    types::{WebhookEffect, WebhookFault, WebhookFilter, WebhookKind, WebhookState},
};
use serde_json::{Value, json};

use crate::support::{Arrived, Bench, Manner, Receiver, until};

/// The type of the only events that are told here, as a subscription names it.
const APPROVALS: &str = r#"{"type": "com.twilio.messaging.template.approval.updated"}"#;
const TEXT: &str = "Hi {{1}}, your order is on its way";

async fn decide(bench: &Bench, content: &str, status: &str) {
    bench.control.decide(content, &Decision { status: status.to_owned(), ..Decision::default() }).await.unwrap();
}

/// A content that waits for a decision of a test.
async fn under_review(bench: &Bench) -> String {
    let content = bench.content("shipped", TEXT).await;
    bench.submit(&content, "shipped").await;
    decide(bench, &content, "pending").await;
    content
}

fn event(arrived: &Arrived) -> Value {
    let batch: Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!(batch.as_array().map(Vec::len), Some(1), "{batch}");
    batch[0].clone()
}

#[tokio::test]
async fn a_changed_approval_is_told_to_the_subscriber_signed_with_the_hash_of_the_body() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[Manner::Status(503)]).await);
    let content = under_review(&bench).await;
    bench.subscribe(&receiver.url("/events")).await;
    decide(&bench, &content, "approved").await;
    // The first answer asks for another attempt.
    let arrived = receiver.until_arrived(2).await;
    assert_eq!(arrived[0].body, arrived[1].body);
    let told = event(&arrived[0]);
    assert_eq!(told["type"], "com.twilio.messaging.template.approval.updated");
    assert_eq!(told["data"]["accountSid"], json!(bench.account.account_sid));
    assert_eq!(told["data"]["template"]["sid"], json!(content));
    assert_eq!(told["data"]["template"]["previousValue"], "pending");
    assert_eq!(told["data"]["template"]["currentValue"], "approved");
    let url = receiver.url(&arrived[0].path_and_query);
    assert!(url.contains("/events?bodySHA256="), "{url}");
    assert_eq!(arrived[0].header("x-twilio-signature"), sign(&bench.account.auth_token, &url, &[]));
}

#[tokio::test]
async fn nobody_is_told_without_a_subscription_or_while_the_sink_is_validated() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let (sink, subscription) = bench.subscribe(&receiver.url("/events")).await;
    let content = under_review(&bench).await;
    let tested = receiver.until_arrived(1).await.len();

    let test = bench.post(&format!("/v1/Sinks/{sink}/Test"), &[]).await;
    assert_eq!(test, (201, json!({"result": "submitted"})));
    let arrived = receiver.until_arrived(tested + 1).await;
    let told = event(arrived.last().unwrap());
    decide(&bench, &content, "approved").await;
    let validate = format!("/v1/Sinks/{sink}/Validate");
    let early = [("Description", "early"), ("SinkSid", sink.as_str()), ("Types", APPROVALS)];
    assert_eq!(bench.post("/v1/Subscriptions", &early).await.0, 400, "the sink is not active");
    let wrong = bench.post(&validate, &[("TestId", "TE00000000000000000000000000000000")]).await;
    assert_eq!(wrong.0, 400, "{}", wrong.1);
    let right = bench.post(&validate, &[("TestId", told["data"]["test_id"].as_str().unwrap())]).await;
    assert_eq!(right, (201, json!({"result": "valid"})));
    decide(&bench, &content, "paused").await;
    let arrived = receiver.until_arrived(tested + 2).await;
    assert_eq!(event(arrived.last().unwrap())["data"]["template"]["previousValue"], "approved");
    assert_eq!(event(arrived.last().unwrap())["data"]["template"]["currentValue"], "paused");

    assert_eq!(bench.delete(&format!("/v1/Sinks/{sink}")).await, 400, "a sink in use can't be deleted");
    assert_eq!(bench.delete(&format!("/v1/Subscriptions/{subscription}")).await, 204);
    decide(&bench, &content, "approved").await;
    assert_eq!(bench.delete(&format!("/v1/Sinks/{sink}")).await, 204);
    let sent = bench.control.webhooks(&WebhookFilter { kind: Some(WebhookKind::Event), ..Default::default() }).await;
    assert_eq!(sent.unwrap().len(), tested + 2);
}

#[tokio::test]
async fn an_event_can_be_lost_or_repeated() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let content = under_review(&bench).await;
    bench.subscribe(&receiver.url("/events")).await;
    let rule = |status: &str, effect| WebhookFault {
        kind: Some(WebhookKind::Event),
        status: Some(status.to_owned()),
        ..WebhookFault::new(effect)
    };
    bench.control.add_webhook_fault(rule("approved", WebhookEffect::Lose)).await.unwrap();
    bench.control.add_webhook_fault(rule("paused", WebhookEffect::Duplicate { times: 2 })).await.unwrap();
    decide(&bench, &content, "approved").await;
    decide(&bench, &content, "paused").await;
    let arrived = receiver.until_arrived(3).await;
    assert!(arrived.iter().all(|arrived| event(arrived)["data"]["template"]["currentValue"] == "paused"));
    let filter = WebhookFilter { message_sid: Some(content.clone()), ..WebhookFilter::default() };
    until("the first event is lost", async || {
        let sent = bench.control.webhooks(&filter).await.unwrap();
        (sent[0].state == WebhookState::Lost).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_account_neither_sees_nor_changes_another_ones_sinks_and_tells_them_nothing() {
    let (mut bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let (sink, subscription) = bench.subscribe(&receiver.url("/events")).await;
    let owner = bench.account.clone();
    bench.account = bench.control.create_account(&NewAccount::default()).await.unwrap();
    for path in [format!("/v1/Sinks/{sink}"), format!("/v1/Subscriptions/{subscription}")] {
        assert_eq!((bench.get(&path).await.0, bench.delete(&path).await), (404, 404), "{path}");
    }
    for (path, key) in [("/v1/Sinks", "sinks"), ("/v1/Subscriptions", "subscriptions")] {
        assert_eq!(bench.get(path).await.1[key], json!([]), "{path}");
    }
    let theirs = [("Description", "theirs"), ("SinkSid", sink.as_str()), ("Types", APPROVALS)];
    assert_eq!(bench.post("/v1/Subscriptions", &theirs).await.0, 400);
    let content = under_review(&bench).await;
    decide(&bench, &content, "approved").await;

    bench.account = owner;
    let content = under_review(&bench).await;
    decide(&bench, &content, "approved").await;
    // That it is under review, and that it is approved.
    let arrived = receiver.until_arrived(2).await;
    assert!(arrived.iter().all(|arrived| event(arrived)["data"]["template"]["sid"] == json!(content)));
}
