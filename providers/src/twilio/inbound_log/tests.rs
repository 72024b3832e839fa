use messaging::provider::{MessageLog as _, WebhookEvent};

use super::*;
use crate::twilio::webhook::translate::translate as translate_webhook;
use crate::twilio::webhook::urls::Route;

fn client() -> Client {
    let account = serde_json::from_value(json!({
        "accountSid": "AC1", "username": "AC1", "password": "secret", "webhookKeys": ["k"],
    }))
    .expect("an account");
    Client::new(&account, &crate::http_client(crate::HttpSettings::default()).expect("a client"))
}

fn row(sid: &str, second: u32) -> Value {
    json!({
        "sid": sid, "direction": "inbound", "status": "received", "from": "whatsapp:+447700900123",
        "to": "whatsapp:+14155238886", "body": "hello", "num_media": "0", "messaging_service_sid": "MG1",
        "date_created": format!("Fri, 21 Nov 2025 12:00:{second:02} +0000"), "date_sent": null,
    })
}

fn at(time: &str) -> jiff::Timestamp {
    time.parse().expect("a time")
}

fn understood(body: &str) -> WebhookEvent {
    read(body.as_bytes())
}

#[test]
fn an_entry_has_the_key_that_its_webhook_has_so_that_both_take_effect_once() {
    let entry = entry(&client(), row("SM1", 7)).expect("an entry");
    let from_log = understood(&entry.body);
    let from_webhook =
        translate_webhook(Route::Inbound, b"MessageSid=SM1&From=whatsapp%3A%2B447700900123&Body=hello&ProfileName=Ava");
    assert_eq!(from_log.dedupe_key(), from_webhook.dedupe_key());
    let (WebhookEvent::Inbound(log), WebhookEvent::Inbound(webhook)) = (from_log, from_webhook) else {
        panic!("both are messages")
    };
    assert_eq!((log.from, log.content), (webhook.from, webhook.content));
    assert_eq!(log.to.map(|to| to.to_string()).as_deref(), Some("+14155238886"));
    assert_eq!((log.said_at, webhook.said_at), (Some(at("2025-11-21T12:00:07Z")), None));
    assert_eq!(log.extra["RecoveredFromLog"], "true");
    assert_eq!(log.extra["MessagingServiceSid"], "MG1");
    assert_eq!(entry.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/SM1.json");
    assert_eq!(entry.created_at, Some(at("2025-11-21T12:00:07Z")));
}

#[test]
fn an_entry_is_the_same_text_in_whatever_order_twilio_writes_it() {
    let text = |row: &str| entry(&client(), serde_json::from_str(row).expect("JSON")).expect("an entry").body;
    assert_eq!(
        text(r#"{"sid":"SM1","direction":"inbound","body":"hello"}"#),
        text(r#"{"direction":"inbound","body":"hello","sid":"SM1"}"#)
    );
}

#[test]
fn a_nul_in_an_entrys_id_is_kept_as_the_escape_that_its_webhook_has() {
    let entry = entry(&client(), row("SM\0", 7)).expect("an entry");
    let from_webhook =
        translate_webhook(Route::Inbound, b"MessageSid=SM%00&From=whatsapp%3A%2B447700900123&Body=hello");
    assert_eq!(
        (entry.provider_message_id.as_str(), understood(&entry.body).dedupe_key()),
        (r"SM\u0000", from_webhook.dedupe_key())
    );
}

#[test]
fn a_row_of_ours_or_without_an_id_is_skipped() {
    for (key, value) in [("direction", json!("outbound-api")), ("sid", Value::Null)] {
        let mut row = row("SM1", 7);
        row[key] = value;
        assert_eq!(entry(&client(), row), None, "{key}");
    }
    assert_eq!(entry(&client(), json!("SM1")), None);
}

#[test]
fn a_page_that_reaches_back_far_enough_is_the_last() {
    let page = |seconds: &[u32]| {
        let entries = seconds.iter().filter_map(|s| entry(&client(), row(&format!("SM{s}"), *s))).collect();
        let page = cut(entries, Some("/next".into()), at("2025-11-21T12:00:05.5Z"));
        let sids: Vec<String> = page.entries.into_iter().map(|entry| entry.provider_message_id).collect();
        (sids.join(" "), page.next.is_some())
    };
    assert_eq!(page(&[9, 8]), ("SM9 SM8".into(), true));
    assert_eq!(page(&[9, 5]), ("SM9 SM5".into(), true), "the second of the time is kept whole");
    assert_eq!(page(&[9, 4]), ("SM9".into(), false));
    assert_eq!(page(&[]), (String::new(), true));
}

#[test]
fn content_that_the_log_lacks_is_other_and_a_broken_entry_is_unreadable() {
    let mut silent = row("SM1", 7);
    silent["body"] = json!("");
    match understood(&silent.to_string()) {
        WebhookEvent::Inbound(message) => {
            assert_eq!(message.content, InboundContent::Other { kind: None, body: None });
        }
        other => panic!("{other:?}"),
    }
    for broken in ["{", "{}", r#"{"sid":"SM1"}"#, r#"{"sid":"SM1","from":"shop"}"#, r#"{"sid":3}"#] {
        assert!(matches!(understood(broken), WebhookEvent::Unreadable { .. }), "{broken}");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_reached_is_an_error_and_not_an_empty_log() {
    let account = serde_json::from_value(json!({
        "accountSid": "AC1", "username": "AC1", "password": "secret", "webhookKeys": ["k"],
        "baseUrl": "http://127.0.0.1:1",
    }))
    .expect("an account");
    let http = crate::http_client(crate::HttpSettings::default()).expect("a client");
    let twilio = crate::twilio::Twilio::new(&account, &http);
    let query =
        InboundQuery { to: "+14155238886".parse().expect("an address"), since: at("2025-11-21T12:00:00Z"), page: None };
    assert!(twilio.inbound(&query).await.is_err());
}
