use std::collections::BTreeMap;

use messaging::id::AttemptId;
use serde_json::json;

use super::*;

fn message(content: RenderedContent) -> OutboundMessage {
    OutboundMessage {
        attempt: AttemptId::new(Timestamp::UNIX_EPOCH, &[7; 10]),
        from: "+14155238886".parse().expect("a number"),
        via: None,
        to: "+447700900123".parse().expect("an address"),
        content,
        status_callback: None,
        validity: None,
        reply_to: None,
    }
}

fn form(message: &OutboundMessage) -> BTreeMap<&'static str, String> {
    creation_form(message).into_iter().collect()
}

#[test]
fn a_text_goes_from_the_number_and_reports_to_the_attempts_url() {
    let mut text = message(RenderedContent::Text { body: "hello".into() });
    text.status_callback = Some("https://hooks.example.com/status/att-1".parse().expect("a URL"));
    assert_eq!(
        form(&text),
        [
            ("To", "whatsapp:+447700900123"),
            ("From", "whatsapp:+14155238886"),
            ("Body", "hello"),
            ("StatusCallback", "https://hooks.example.com/status/att-1#rc=5&rp=all"),
        ]
        .map(|(key, value)| (key, value.to_owned()))
        .into()
    );
}

#[test]
fn a_service_replaces_the_senders_number_and_a_user_id_the_recipients() {
    let content = RenderedContent::Template { handle: "HX1".into(), language: "en".into(), values: BTreeMap::new() };
    let mut template = message(content);
    template.via = Some(messaging::id::PoolId::new("MG1"));
    template.to = "GB.1a2b".parse().expect("an address");
    let form = form(&template);
    assert_eq!(form.get("MessagingServiceSid").map(String::as_str), Some("MG1"));
    assert_eq!(form.get("To").map(String::as_str), Some("whatsapp:GB.1a2b"));
    assert!(!form.contains_key("From"));
}

#[test]
fn a_free_form_message_through_a_service_leaves_from_the_number_whose_window_is_open() {
    let mut text = message(RenderedContent::Text { body: "hello".into() });
    text.via = Some(messaging::id::PoolId::new("MG1"));
    let form = form(&text);
    assert_eq!(form.get("MessagingServiceSid").map(String::as_str), Some("MG1"));
    assert_eq!(form.get("From").map(String::as_str), Some("whatsapp:+14155238886"));
}

#[test]
fn a_templates_values_are_json_text() {
    let values = [("1".to_owned(), "Ava \"A\"".to_owned())].into();
    let form = form(&message(RenderedContent::Template { handle: "HX1".into(), language: "en".into(), values }));
    assert_eq!(form.get("ContentSid").map(String::as_str), Some("HX1"));
    assert_eq!(form.get("ContentVariables").map(String::as_str), Some(r#"{"1":"Ava \"A\""}"#));
    assert!(!form.contains_key("Body"));
}

#[test]
fn a_file_has_its_caption_as_body() {
    let url: url::Url = "https://cdn.example.com/a.pdf?s=1".parse().expect("a URL");
    let form = form(&message(RenderedContent::Media { url: url.clone(), caption: Some("invoice".into()) }));
    assert_eq!((form["MediaUrl"].as_str(), form["Body"].as_str()), (url.as_str(), "invoice"));
}

#[test]
fn a_validity_is_clamped_to_twilios_range() {
    for (seconds, sent) in [(0, "1"), (60, "60"), (36_001, "36000")] {
        let mut text = message(RenderedContent::Text { body: "hello".into() });
        text.validity = Some(Duration::from_secs(seconds));
        assert_eq!(form(&text)["ValidityPeriod"], sent);
    }
}

#[test]
fn the_log_starts_at_the_given_time_oldest_first() {
    let row = |sid: &str, date: Option<&str>| json!({"sid": sid, "status": "sent", "direction": "outbound-api", "date_created": date});
    let rows = vec![
        row("SM4", Some("Fri, 21 Nov 2025 12:00:03 +0000")),
        row("SM3", Some("Fri, 21 Nov 2025 12:00:02 +0000")),
        row("SM2", Some("Fri, 21 Nov 2025 12:00:02 +0000")),
        row("SM1", Some("Fri, 21 Nov 2025 12:00:01 +0000")),
        row("SM3", Some("Fri, 21 Nov 2025 12:00:02 +0000")),
        row("SM0", None),
        json!({"status": "sent"}),
        json!(3),
    ];
    let since = "2025-11-21T12:00:02.7Z".parse().expect("a time");
    let sids: Vec<_> = since_oldest_first(rows, since).into_iter().map(|m| m.provider_message_id).collect();
    // Twilio's dates have whole seconds, so the second of `since` is kept whole.
    assert_eq!(sids, ["SM0", "SM2", "SM3", "SM4"]);
}

#[test]
fn a_logged_failure_keeps_its_code_and_an_unknown_word_is_at_least_accepted() {
    let of = |row: Value| serde_json::from_value(row).ok().and_then(logged).expect("a message");
    let failed = of(json!({"sid": "MM1", "status": "undelivered", "direction": "outbound-api", "error_code": 63024,
        "error_message": null, "from": "whatsapp:+14155238886", "to": "whatsapp:+447700900123", "body": "",
        "num_media": "2"}));
    let failure = failed.failure.expect("a failure");
    assert_eq!((failed.status, failure.code.as_deref(), failed.body), (MessageStatus::Failed, Some("63024"), None));
    assert_eq!(failed.files, Some(2));
    assert_eq!(failed.to.map(|to| to.to_string()).as_deref(), Some("+447700900123"));
    assert_eq!(of(json!({"sid": "SM1", "status": "levitating"})).status, MessageStatus::Accepted);
    let inbound = of(json!({"sid": "SM1", "status": "received", "direction": "inbound"}));
    assert_eq!((inbound.status, inbound.direction), (MessageStatus::Delivered, Direction::Inbound));
}
