//! Webhooks: what they carry, how they are signed, and how often they are sent.

use sandbox::{
    twilio::signature::sign,
    types::{Reply, WebhookEffect, WebhookFault, WebhookKind, WebhookRecord, WebhookState},
};

use crate::support::{Bench, CUSTOMER, FROM, Manner, Receiver, TO, statuses, until};

fn all_done(webhooks: &[WebhookRecord]) -> bool {
    statuses(webhooks).contains(&"delivered")
        && webhooks.iter().all(|webhook| !matches!(webhook.state, WebhookState::Pending | WebhookState::Held))
}

/// Sends a message whose status callbacks go to `url`, and waits until the last one is settled.
async fn callbacks(bench: &Bench, url: &str) -> Vec<WebhookRecord> {
    bench.open_window().await;
    let sid = bench.sent(&[("Body", "Hello"), ("StatusCallback", url)]).await;
    bench.until_webhooks(&sid, all_done).await
}

#[tokio::test]
async fn a_status_callback_is_signed_over_the_url_without_its_fragment() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    callbacks(&bench, &receiver.url("/status/42?a=b#rc=5&rp=all")).await;
    for arrived in receiver.until_arrived(2).await {
        assert_eq!(arrived.path_and_query, "/status/42?a=b");
        let url = receiver.url("/status/42?a=b");
        assert_eq!(arrived.header("x-twilio-signature"), sign(&bench.account.auth_token, &url, &arrived.form()));
    }
}

#[tokio::test]
async fn status_callbacks_report_every_status_after_the_initial_one() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let webhooks = callbacks(&bench, &receiver.url("/status")).await;
    assert_eq!(statuses(&webhooks), ["sent", "delivered"]);

    let fields = [("From", ""), ("MessagingServiceSid", bench.service()), ("Body", "Hello")];
    let url = receiver.url("/status");
    let sid = bench.sent(&[&fields[..], &[("StatusCallback", &url)]].concat()).await;
    let webhooks = bench.until_webhooks(&sid, all_done).await;
    assert_eq!(statuses(&webhooks), ["queued", "sent", "delivered"]);
}

#[tokio::test]
async fn a_status_callback_carries_the_fields_that_twilio_sends() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let webhooks = callbacks(&bench, &receiver.url("/status")).await;
    let arrived = receiver.until_arrived(2).await;
    let delivered = arrived.iter().find(|a| a.value("MessageStatus").as_deref() == Some("delivered")).unwrap();
    let sid = webhooks[0].message_sid.as_str();
    let expected = [
        ("MessageSid", sid),
        ("SmsSid", sid),
        ("SmsStatus", "delivered"),
        ("AccountSid", &bench.account.account_sid),
        ("From", FROM),
        ("To", TO),
        ("ApiVersion", "2010-04-01"),
        ("ChannelPrefix", "whatsapp"),
        ("ChannelInstallSid", &bench.account.senders[0].sid),
        ("ChannelToAddress", "+44770090XXXX"),
        ("StructuredMessage", "false"),
    ];
    for (name, value) in expected {
        assert_eq!(delivered.value(name).as_deref(), Some(value), "{name}");
    }
    for absent in ["ErrorCode", "EventType", "MessagingServiceSid"] {
        assert_eq!(delivered.value(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn reading_is_reported_when_the_customer_reads() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let sid = callbacks(&bench, &receiver.url("/status")).await[0].message_sid.clone();
    assert_eq!(bench.control.read(CUSTOMER, Some(&sid)).await.unwrap(), 1);
    assert_eq!(bench.control.read(CUSTOMER, Some(&sid)).await.unwrap(), 0);
    let arrived = receiver.until_arrived(3).await;
    assert_eq!(arrived[2].value("MessageStatus").as_deref(), Some("read"));
    assert_eq!(arrived[2].value("EventType").as_deref(), Some("READ"));
}

#[tokio::test]
async fn a_failure_carries_its_code() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    bench.sent(&[("Body", "Hello"), ("StatusCallback", &receiver.url("/status"))]).await;
    let arrived = receiver.until_arrived(1).await;
    assert_eq!(arrived[0].value("ErrorCode").as_deref(), Some("63016"));
    assert_eq!(arrived[0].value("MessageStatus").as_deref(), Some("failed"));
}

#[tokio::test]
async fn without_overrides_a_500_is_not_retried() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[Manner::Status(500)]).await);
    let webhooks = callbacks(&bench, &receiver.url("/status")).await;
    let sent = webhooks.iter().find(|webhook| webhook.state == WebhookState::Failed).unwrap();
    assert_eq!(sent.attempts.len(), 1);
    assert_eq!(receiver.arrived().len(), 2);
}

#[tokio::test]
async fn a_500_is_retried_where_the_overrides_say_so_under_one_idempotency_token() {
    let manners = [Manner::Status(500), Manner::Status(503)];
    let (bench, receiver) = (Bench::start().await, Receiver::start(&manners).await);
    bench.sent(&[("Body", "Hello"), ("StatusCallback", &receiver.url("/status#rc=2&rp=5xx"))]).await;
    let arrived = receiver.until_arrived(3).await;
    let tokens: Vec<_> = arrived.iter().map(|arrived| arrived.header("i-twilio-idempotency-token")).collect();
    assert!(!tokens[0].is_empty() && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert!(arrived.iter().all(|other| other.body == arrived[0].body));
}

#[tokio::test]
async fn a_404_is_not_retried_under_a_policy_of_5xx() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[Manner::Status(404)]).await);
    let sid = bench.sent(&[("Body", "Hello"), ("StatusCallback", &receiver.url("/status#rc=5&rp=5xx"))]).await;
    let failed = |webhooks: &[WebhookRecord]| webhooks.iter().any(|webhook| webhook.state == WebhookState::Failed);
    assert_eq!(bench.until_webhooks(&sid, failed).await[0].attempts.len(), 1);
}

#[tokio::test]
async fn a_failed_connection_is_retried_once_by_default() {
    let bench = Bench::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let webhooks = callbacks(&bench, &format!("http://{closed}/status")).await;
    for webhook in webhooks {
        assert_eq!(webhook.state, WebhookState::Failed);
        let errors: Vec<_> = webhook.attempts.iter().map(|attempt| attempt.error.as_deref()).collect();
        assert_eq!(errors, [Some("connect"), Some("connect")]);
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_delays_no_other() {
    let silent = Receiver::start(&[Manner::Silence; 100]).await;
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    bench.open_window().await;
    for _ in 0..20 {
        bench.sent(&[("Body", "Hello"), ("StatusCallback", &silent.url("/status"))]).await;
    }
    silent.until_arrived(20).await;
    callbacks(&bench, &receiver.url("/status")).await;
}

#[tokio::test]
async fn an_inbound_message_goes_to_the_services_url_or_else_to_the_senders() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let sender = format!("/v2/Channels/Senders/{}", bench.account.senders[0].sid);
    let webhook = serde_json::json!({"webhook": {"callback_url": receiver.url("/sender")}});
    assert_eq!(bench.post_json(&sender, &webhook).await.0, 202);
    bench.open_window().await;
    receiver.until_arrived(1).await;

    let service = format!("/v1/Services/{}", bench.service());
    assert_eq!(bench.post(&service, &[("InboundRequestUrl", &receiver.url("/service"))]).await.0, 200);
    bench.open_window().await;
    let arrived = receiver.until_arrived(2).await;
    assert_eq!(arrived[0].path_and_query, "/sender");
    assert_eq!(arrived[1].path_and_query, "/service");
    let form = arrived[1].form();
    let url = receiver.url("/service");
    assert_eq!(arrived[1].header("x-twilio-signature"), sign(&bench.account.auth_token, &url, &form));
    let expected = [
        ("From", TO),
        ("To", FROM),
        ("Body", "Hello"),
        ("WaId", "447700900123"),
        ("SmsStatus", "received"),
        ("NumMedia", "0"),
        ("MessageType", "text"),
        ("MessagingServiceSid", bench.service()),
    ];
    for (name, value) in expected {
        assert_eq!(arrived[1].value(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_inbound_message_that_is_not_accepted_goes_to_the_fallback() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[Manner::Status(500)]).await);
    let service = format!("/v1/Services/{}", bench.service());
    let (inbound, fallback) = (receiver.url("/in"), receiver.url("/fallback"));
    bench.post(&service, &[("InboundRequestUrl", &inbound), ("FallbackUrl", &fallback)]).await;
    bench.open_window().await;
    let arrived = receiver.until_arrived(2).await;
    assert_eq!(arrived[1].path_and_query, "/fallback");
    assert_eq!(arrived[1].value("ErrorUrl"), Some(inbound));
    assert_eq!(arrived[1].value("Body").as_deref(), Some("Hello"));
}

#[tokio::test]
async fn a_service_may_receive_webhooks_by_get() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let service = format!("/v1/Services/{}", bench.service());
    bench.post(&service, &[("InboundRequestUrl", &receiver.url("/in?a=1")), ("InboundMethod", "GET")]).await;
    bench.open_window().await;
    let arrived = &receiver.until_arrived(1).await[0];
    assert_eq!(arrived.method, "GET");
    assert!(arrived.path_and_query.contains("&Body=Hello"), "{}", arrived.path_and_query);
    let signature = sign(&bench.account.auth_token, &receiver.url(&arrived.path_and_query), &[]);
    assert_eq!(arrived.header("x-twilio-signature"), signature);
}

#[tokio::test]
async fn a_pressed_button_names_itself_and_its_message() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let service = format!("/v1/Services/{}", bench.service());
    bench.post(&service, &[("InboundRequestUrl", &receiver.url("/in"))]).await;
    let reply = Reply {
        body: "Yes".to_owned(),
        button_text: Some("Yes".to_owned()),
        button_payload: Some("confirm".to_owned()),
        replies_to: Some("MM00000000000000000000000000000001".to_owned()),
        ..Reply::default()
    };
    bench.control.reply(CUSTOMER, &reply).await.unwrap();
    let arrived = &receiver.until_arrived(1).await[0];
    assert_eq!(arrived.value("ButtonPayload").as_deref(), Some("confirm"));
    assert_eq!(arrived.value("MessageType").as_deref(), Some("interactive"));
    assert_eq!(arrived.value("OriginalRepliedMessageSid"), reply.replies_to);
}

#[tokio::test]
async fn a_lost_webhook_is_never_sent_and_a_duplicate_arrives_twice() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let rule = |status: &str, effect| WebhookFault { status: Some(status.to_owned()), ..WebhookFault::new(effect) };
    bench.control.add_webhook_fault(rule("sent", WebhookEffect::Lose)).await.unwrap();
    bench.control.add_webhook_fault(rule("delivered", WebhookEffect::Duplicate { times: 1 })).await.unwrap();
    let webhooks = callbacks(&bench, &receiver.url("/status")).await;
    assert_eq!(webhooks[0].state, WebhookState::Lost);
    let arrived = receiver.until_arrived(2).await;
    assert!(arrived.iter().all(|arrived| arrived.value("MessageStatus").as_deref() == Some("delivered")));
    assert_eq!(arrived[0].header("i-twilio-idempotency-token"), arrived[1].header("i-twilio-idempotency-token"));
}

#[tokio::test]
async fn reordering_delivers_a_status_after_the_one_that_follows_it() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let rule = WebhookFault {
        kind: Some(WebhookKind::Status),
        status: Some("sent".to_owned()),
        to: Some("447700900123$".to_owned()),
        ..WebhookFault::new(WebhookEffect::Reorder)
    };
    bench.control.add_webhook_fault(rule).await.unwrap();
    callbacks(&bench, &receiver.url("/status")).await;
    let arrived = receiver.until_arrived(2).await;
    let reported: Vec<_> = arrived.iter().filter_map(|arrived| arrived.value("MessageStatus")).collect();
    assert_eq!(reported, ["delivered", "sent"]);
    assert_eq!(bench.control.faults().await.unwrap().webhooks[0].hits, 1);
}

#[tokio::test]
async fn a_redelivery_repeats_the_bytes_and_the_token() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let webhook = callbacks(&bench, &receiver.url("/status")).await[0].id;
    for concurrent in [false, true] {
        let redelivered = bench.control.redeliver(webhook, 3, concurrent).await.unwrap();
        assert_eq!(redelivered.attempts.len(), 3);
        assert!(redelivered.attempts.iter().all(|attempt| attempt.status == Some(204) && attempt.redelivery));
    }
    let arrived = receiver.until_arrived(8).await;
    let first = arrived.iter().find(|a| a.value("MessageStatus").as_deref() == Some("sent")).unwrap();
    let same = |other: &&crate::support::Arrived| {
        other.body == first.body
            && other.headers.get("i-twilio-idempotency-token") == first.headers.get("i-twilio-idempotency-token")
            && other.headers.get("x-twilio-signature") == first.headers.get("x-twilio-signature")
    };
    assert_eq!(arrived.iter().filter(same).count(), 7);
}

#[tokio::test]
async fn webhooks_are_signed_with_the_primary_token_until_the_secondary_is_promoted() {
    let (mut bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let service = format!("/v1/Services/{}", bench.service());
    bench.post(&service, &[("InboundRequestUrl", &receiver.url("/in"))]).await;
    let (_, secondary) = bench.post("/v1/AuthTokens/Secondary", &[]).await;
    let secondary = secondary["secondary_auth_token"].as_str().unwrap().to_owned();
    let signed_with = async |count: usize, token: &str| {
        let arrived = receiver.until_arrived(count).await.pop().unwrap();
        assert_eq!(arrived.header("x-twilio-signature"), sign(token, &receiver.url("/in"), &arrived.form()));
    };
    bench.open_window().await;
    signed_with(1, &bench.account.auth_token).await;
    assert_eq!(bench.post("/v1/AuthTokens/Promote", &[]).await.1["auth_token"], secondary);
    assert_eq!(bench.get("/v1/Services").await.0, 401);
    bench.account.auth_token = secondary;
    bench.open_window().await;
    signed_with(2, &bench.account.auth_token).await;
}

#[tokio::test]
async fn webhooks_of_a_messaging_service_go_where_it_says() {
    let (bench, receiver) = (Bench::start().await, Receiver::start(&[]).await);
    let service = format!("/v1/Services/{}", bench.service());
    bench.post(&service, &[("StatusCallback", &receiver.url("/of-service"))]).await;
    bench.sent(&[("From", ""), ("MessagingServiceSid", bench.service()), ("Body", "Hello")]).await;
    let arrived = receiver.until_arrived(1).await;
    assert_eq!(arrived[0].path_and_query, "/of-service");
    until("the log has it", async || {
        let webhooks = bench.control.webhooks(&Default::default()).await.unwrap();
        webhooks.iter().any(|webhook| webhook.state == WebhookState::Delivered).then_some(())
    })
    .await;
}
