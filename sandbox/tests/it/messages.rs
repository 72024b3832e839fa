//! The lifecycle of messages.

use std::time::Duration;

use sandbox::twilio::types::{MessageFilter, NewAccount};
use sandbox::types::{Behaviour, Reply};
use serde_json::json;

use crate::support::{Bench, CUSTOMER, FROM, SENDER, TO};

#[tokio::test]
async fn a_message_from_a_sender_is_queued_then_sent_then_delivered() {
    let bench = Bench::start().await;
    bench.open_window().await;
    let (status, message) = bench.send(&[("Body", "Hello")]).await;
    assert_eq!(status, 201);
    assert_eq!(message["status"], "queued");
    assert_eq!(message["from"], FROM);
    assert_eq!(message["num_segments"], "1");
    assert!(message["sid"].as_str().unwrap().starts_with("SM"));
    let message = bench.until_status(message["sid"].as_str().unwrap(), "delivered").await;
    let history: Vec<_> = message.history.iter().map(|change| change.status.as_str()).collect();
    assert_eq!(history, ["queued", "sent", "delivered"]);
}

#[tokio::test]
async fn a_messaging_service_accepts_first_and_chooses_the_sender_later() {
    let bench = Bench::start().await;
    bench.open_window().await;
    let fields = [("From", ""), ("MessagingServiceSid", bench.service()), ("Body", "Hello")];
    let (_, message) = bench.send(&fields).await;
    assert_eq!(message["status"], "accepted");
    assert_eq!(message["from"], json!(null));
    assert_eq!(message["num_segments"], "0");
    let message = bench.until_status(message["sid"].as_str().unwrap(), "delivered").await;
    assert_eq!(message.from.as_deref(), Some(FROM));
    assert_eq!(message.history[1].status, "queued");
}

#[tokio::test]
async fn free_text_outside_the_window_fails_later_with_63016() {
    let bench = Bench::start().await;
    let sid = bench.sent(&[("Body", "Hello")]).await;
    assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(63016));
}

#[tokio::test]
async fn the_window_closes_after_24_hours() {
    let bench = Bench::start().await;
    bench.open_window().await;
    bench.control.advance_clock(Duration::from_secs(24 * 3600)).await.unwrap();
    let sid = bench.sent(&[("Body", "Hello")]).await;
    assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(63016));
}

#[tokio::test]
async fn a_customers_behaviour_decides_how_a_message_ends() {
    let cases = [
        (json!({"onWhatsapp": false}), "undelivered", Some(63024)),
        (json!({"inExperiment": true}), "undelivered", Some(63032)),
        (json!({"failsWith": 63049}), "undelivered", Some(63049)),
        (json!({"reads": true}), "read", None),
    ];
    for (behaviour, status, code) in cases {
        let bench = Bench::start().await;
        bench.open_window().await;
        let behaviour: Behaviour = serde_json::from_value(behaviour).unwrap();
        bench.control.behave(CUSTOMER, &behaviour).await.unwrap();
        let sid = bench.sent(&[("Body", "Hello")]).await;
        assert_eq!(bench.until_status(&sid, status).await.error_code, code);
    }
}

#[tokio::test]
async fn a_message_to_a_customer_who_blocked_the_sender_stays_sent() {
    let bench = Bench::start().await;
    bench.open_window().await;
    bench.control.block(CUSTOMER, Some(SENDER)).await.unwrap();
    bench.control.reply("+447700900124", &Reply::default()).await.unwrap();
    let sid = bench.sent(&[("Body", "Hello")]).await;
    // Sent later, so the first message is due before it.
    let other = bench.sent(&[("To", "whatsapp:+447700900124"), ("Body", "Hello")]).await;
    bench.until_status(&other, "delivered").await;
    assert_eq!(bench.message(&sid).await.status, "sent");
    bench.control.unblock(CUSTOMER, Some(SENDER)).await.unwrap();
    let other = bench.sent(&[("Body", "Hello")]).await;
    bench.until_status(&other, "delivered").await;
    assert_eq!(bench.message(&sid).await.status, "sent");
}

#[tokio::test]
async fn stop_takes_effect_at_once_and_start_undoes_it() {
    let bench = Bench::start().await;
    let say = async |body: &str| {
        let reply = Reply { body: body.to_owned(), ..Reply::default() };
        bench.control.reply(CUSTOMER, &reply).await.unwrap();
    };
    say("Stop").await;
    let (status, error) = bench.send(&[("Body", "Hello")]).await;
    assert_eq!((status, &error["code"]), (400, &json!(21610)));
    let through_service = [("From", ""), ("MessagingServiceSid", bench.service()), ("Body", "Hello")];
    assert_eq!(bench.send(&through_service).await.1["code"], 21610);
    say("START").await;
    bench.sent(&[("Body", "Hello")]).await;
}

#[tokio::test]
async fn an_account_may_leave_opt_outs_to_the_application() {
    let mut bench = Bench::start().await;
    let account =
        NewAccount { opt_out_handling: Some(false), senders: vec!["+15005550006".into()], ..Default::default() };
    let account = bench.control.create_account(&account).await.unwrap();
    let reply = Reply { to: Some("+15005550006".to_owned()), body: "STOP".to_owned(), ..Reply::default() };
    bench.control.reply(CUSTOMER, &reply).await.unwrap();
    bench.account = account;
    bench.sent(&[("From", "whatsapp:+15005550006"), ("Body", "You will not hear from us again")]).await;
}

#[tokio::test]
async fn mistakes_are_refused_at_once_with_their_codes() {
    let bench = Bench::start().await;
    let long = "x".repeat(1601);
    let cases: &[(&[(&str, &str)], i64)] = &[
        (&[("To", ""), ("Body", "x")], 21604),
        (&[("From", ""), ("Body", "x")], 21603),
        (&[("To", "whatsapp:123"), ("Body", "x")], 21211),
        (&[("From", SENDER), ("Body", "x")], 21910),
        (&[("To", FROM), ("Body", "x")], 63031),
        (&[("From", "whatsapp:+15005550001"), ("Body", "x")], 63007),
        (&[], 21619),
        (&[("Body", &long)], 21617),
        (&[("ContentVariables", "{}")], 21654),
        (&[("ContentSid", "HX00000000000000000000000000000000")], 21655),
        (&[("From", ""), ("MessagingServiceSid", "MG00000000000000000000000000000000"), ("Body", "x")], 21701),
        (&[("Body", "x"), ("StatusCallback", "http://my_host/x")], 21609),
        (&[("Body", "x"), ("ValidityPeriod", "36001")], 21624),
        (&[("Body", "x"), ("ScheduleType", "fixed"), ("SendAt", "2099-01-01T00:00:00Z")], 35118),
        (&[("Body", "x"), ("ScheduleType", "fixed")], 35111),
    ];
    for (fields, code) in cases {
        let (status, error) = bench.send(fields).await;
        assert_eq!((status, error["code"].as_i64()), (400, Some(*code)), "{fields:?}: {error}");
        assert_eq!(error["status"], 400);
        assert!(error["more_info"].as_str().unwrap().ends_with(&code.to_string()));
    }
    assert!(bench.control.messages(&MessageFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn content_variables_must_be_a_json_object_in_a_string() {
    let bench = Bench::start().await;
    let content = bench.content("x", "Hi {{1}}, all is well").await;
    for variables in ["{", "[]", "\"x\"", "{\"1\": {}}"] {
        let (_, error) = bench.send(&[("ContentSid", &content), ("ContentVariables", variables)]).await;
        assert_eq!(error["code"], 21656, "{variables}");
    }
}

#[tokio::test]
async fn a_scheduled_message_waits_and_can_be_canceled() {
    let bench = Bench::start().await;
    bench.open_window().await;
    let in_an_hour = (bench.control.health().await.unwrap().now + jiff::SignedDuration::from_hours(1)).to_string();
    let scheduled = async || {
        let fields = [
            ("From", ""),
            ("MessagingServiceSid", bench.service()),
            ("Body", "Hello"),
            ("ScheduleType", "fixed"),
            ("SendAt", &in_an_hour),
        ];
        let (_, message) = bench.send(&fields).await;
        assert_eq!(message["status"], "scheduled");
        message["sid"].as_str().unwrap().to_owned()
    };
    let (canceled, sent) = (scheduled().await, scheduled().await);
    let path = bench.path(&format!("Messages/{canceled}.json"));
    assert_eq!(bench.post(&path, &[("Status", "canceled")]).await.1["status"], "canceled");
    bench.control.advance_clock(Duration::from_secs(3601)).await.unwrap();
    bench.until_status(&sent, "delivered").await;
    assert_eq!(bench.message(&canceled).await.status, "canceled");
}

#[tokio::test]
async fn a_message_can_be_redacted_and_deleted_once_it_is_complete() {
    let bench = Bench::start().await;
    bench.open_window().await;
    let sid = bench.sent(&[("Body", "Hello")]).await;
    bench.until_status(&sid, "delivered").await;
    let path = bench.path(&format!("Messages/{sid}.json"));
    assert_eq!(bench.post(&path, &[("Body", "Bye")]).await.0, 400);
    assert_eq!(bench.post(&path, &[("Body", "")]).await.1["body"], "");
    assert_eq!(bench.delete(&path).await, 204);
    assert_eq!(bench.get(&path).await.0, 404);
    assert!(bench.message(&sid).await.deleted);
}

#[tokio::test]
async fn a_business_scoped_user_id_is_a_recipient() {
    let bench = Bench::start().await;
    let behaviour = Behaviour {
        external_user_id: Some("US.42".to_owned()),
        phone_number_hidden: Some(true),
        ..Behaviour::default()
    };
    bench.control.behave(CUSTOMER, &behaviour).await.unwrap();
    bench.open_window().await;
    let sid = bench.sent(&[("To", "whatsapp:US.42"), ("Body", "Hello")]).await;
    bench.until_status(&sid, "delivered").await;
    let inbound = bench.control.messages(&MessageFilter { to: Some(SENDER.to_owned()), ..Default::default() }).await;
    assert_eq!(inbound.unwrap()[0].from.as_deref(), Some("whatsapp:US.42"));
}

#[tokio::test]
async fn media_of_a_customer_can_be_downloaded_with_credentials() {
    let bench = Bench::start().await;
    let reply = json!({"media": [{"contentType": "image/png", "data": "aGVsbG8="}]});
    let reply = bench.control.reply(CUSTOMER, &serde_json::from_value(reply).unwrap()).await.unwrap();
    let (_, list) = bench.get(&bench.path(&format!("Messages/{}/Media.json", reply.message_sid))).await;
    let uri = list["media_list"][0]["uri"].as_str().unwrap();
    let response = bench.request(reqwest::Method::GET, uri.strip_suffix(".json").unwrap()).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.bytes().await.unwrap(), "hello");
}

#[tokio::test]
async fn only_the_newest_messages_are_kept() {
    let bench = Bench::start_with(sandbox::Config { keep: 3, ..Default::default() }).await;
    let mut last = String::new();
    for _ in 0..5 {
        last = bench.sent(&[("Body", "Hello")]).await;
    }
    assert_eq!(bench.control.messages(&MessageFilter::default()).await.unwrap().len(), 3);
    assert_eq!(bench.control.requests(&Default::default()).await.unwrap().len(), 3);
    assert_eq!(bench.message(&last).await.to, TO);
}
