//! Twilio's own Sandbox for WhatsApp.

use std::time::Duration;

use sandbox::Client;
use sandbox::twilio::types::{NewAccount, NewTryOut};
use sandbox::types::Reply;
use serde_json::json;

use crate::support::{Bench, CUSTOMER, SENDER};

/// A bench whose account has the Sandbox only.
async fn start() -> Bench {
    let mut bench = Bench::start().await;
    let sandbox = NewTryOut { join_code: "plenty-tiger".to_owned(), ..NewTryOut::default() };
    let new = NewAccount { sandbox: Some(sandbox), ..NewAccount::default() };
    bench.account = bench.control.create_account(&new).await.unwrap();
    bench
}

async fn writes(control: &Client, words: &str) -> Result<(), String> {
    let reply = Reply { to: Some(SENDER.to_owned()), body: words.to_owned(), ..Reply::default() };
    control.reply(CUSTOMER, &reply).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_phone_that_has_not_joined_gets_63015_and_after_joining_the_message() {
    let bench = start().await;
    let sid = bench.sent(&[("Body", "Hello")]).await;
    assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(63015));
    writes(&bench.control, "join plenty-tiger").await.unwrap();
    bench.control.advance_clock(Duration::from_secs(3)).await.unwrap();
    let sid = bench.sent(&[("Body", "Hello")]).await;
    bench.until_status(&sid, "delivered").await;

    bench.control.advance_clock(Duration::from_secs(72 * 3600)).await.unwrap();
    let sid = bench.sent(&[("Body", "Hello")]).await;
    assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(63015), "three days later");
}

#[tokio::test]
async fn a_second_message_within_three_seconds_is_refused_with_63018() {
    let bench = start().await;
    bench.sent(&[("Body", "Hello")]).await;
    let (status, refused) = bench.send(&[("Body", "Hello")]).await;
    assert_eq!((status, &refused["code"]), (429, &json!(63018)), "{refused}");
    bench.control.advance_clock(Duration::from_secs(3)).await.unwrap();
    bench.sent(&[("Body", "Hello")]).await;
}

#[tokio::test]
async fn its_templates_leave_outside_the_window_and_no_list_has_them_or_the_sender() {
    let bench = start().await;
    writes(&bench.control, "join plenty-tiger").await.unwrap();
    bench.control.advance_clock(Duration::from_secs(25 * 3600)).await.unwrap();
    let fields = [("ContentSid", "HX229f5a04fd0510ce1b071852155d3e75"), ("ContentVariables", r#"{"1":"4711"}"#)];
    let sid = bench.sent(&fields).await;
    let message = bench.until_status(&sid, "delivered").await;
    assert_eq!(message.body, "4711 is your verification code. For your security, do not share this code.");
    for (path, key) in [("/v2/Channels/Senders?Channel=whatsapp", "senders"), ("/v1/Content", "contents")] {
        let (_, list) = bench.get(path).await;
        assert_eq!(list[key], json!([]), "{path}");
    }
}
