use messaging::content::{InboundContent, MediaItem};
use messaging::failure::FailureClass;
use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::provider::{InboundMessage, StatusUpdate, WebhookEvent};

use super::{Route, translate};

fn event(route: Route, fields: &[(&str, &str)]) -> WebhookEvent {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    translate(route, body.as_bytes())
}

/// A message from a customer, with these fields in addition to the usual ones.
fn inbound(fields: &[(&str, &str)]) -> InboundMessage {
    let mut all = vec![("MessageSid", "SM1"), ("From", "whatsapp:+447700900123"), ("To", "whatsapp:+14155238886")];
    all.retain(|(key, _)| fields.iter().all(|(other, _)| other != key));
    all.extend_from_slice(fields);
    match event(Route::Inbound, &all) {
        WebhookEvent::Inbound(message) => message,
        other => panic!("{other:?}"),
    }
}

fn status(fields: &[(&str, &str)]) -> StatusUpdate {
    let all: Vec<_> = [("MessageSid", "SM1")].into_iter().chain(fields.iter().copied()).collect();
    match event(Route::Status { attempt: None }, &all) {
        WebhookEvent::Status(update) => update,
        other => panic!("{other:?}"),
    }
}

fn unreadable(route: Route, fields: &[(&str, &str)]) -> String {
    match event(route, fields) {
        WebhookEvent::Unreadable { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tap_on_a_button_is_read_whole_and_unknown_fields_are_kept() {
    let channel = r#"{"type":"whatsapp","data":{"context":{"ButtonText":"Yes"}}}"#;
    let message = inbound(&[
        ("OriginalRepliedMessageSender", "whatsapp:+14155238886"),
        ("ExternalUserId", "whatsapp:GB.1234567"),
        ("SmsMessageSid", "SM1"),
        ("FrequentlyForwarded", "false"),
        ("NumMedia", "0"),
        ("ProfileName", "Ava"),
        ("MessageType", "interactive"),
        ("WaId", "447700900123"),
        ("SmsStatus", "received"),
        ("Body", "Yes"),
        ("ButtonText", "Yes"),
        ("ButtonPayload", "confirm-1"),
        ("OriginalRepliedMessageSid", "MM9"),
        ("ChannelMetadata", channel),
        ("SomethingNew", "2027"),
    ]);
    assert_eq!(message.content, InboundContent::Button { text: "Yes".into(), payload: Some("confirm-1".into()) });
    assert_eq!(message.from.as_str(), "+447700900123");
    assert_eq!(message.from_user_id.as_ref().map(|id| id.as_str()), Some("GB.1234567"));
    assert_eq!(message.to.as_ref().map(|to| to.as_str()), Some("+14155238886"));
    assert_eq!((message.profile_name.as_deref(), message.in_reply_to.as_deref()), (Some("Ava"), Some("MM9")));
    let extra: Vec<_> = message.extra.keys().map(String::as_str).collect();
    assert_eq!(
        extra,
        [
            "ChannelMetadata",
            "FrequentlyForwarded",
            "MessageType",
            "NumMedia",
            "OriginalRepliedMessageSender",
            "SmsMessageSid",
            "SmsStatus",
            "SomethingNew",
            "WaId"
        ]
    );
    assert_eq!(message.extra["ChannelMetadata"], channel);
}

#[test]
fn every_kind_of_content_is_recognised() {
    assert_eq!(
        inbound(&[("Body", " Hello\n"), ("MessageType", "text")]).content,
        InboundContent::Text { body: " Hello\n".into() }
    );
    assert_eq!(inbound(&[("Body", "STOP")]).content, InboundContent::Text { body: "STOP".into() });
    assert_eq!(
        inbound(&[("ListTitle", "Refund"), ("ListId", "r1"), ("Body", "Refund")]).content,
        InboundContent::Button { text: "Refund".into(), payload: Some("r1".into()) }
    );
    assert_eq!(
        inbound(&[("Latitude", "51.5"), ("Longitude", "-0.12"), ("Label", "Here"), ("Address", "1 High St")]).content,
        InboundContent::Location {
            latitude: 51.5,
            longitude: -0.12,
            label: Some("Here".into()),
            address: Some("1 High St".into())
        }
    );
    let item = |n: u8| MediaItem { url: format!("https://m/{n}"), content_type: Some("image/jpeg".into()) };
    let message = inbound(&[
        ("NumMedia", "2"),
        ("MediaUrl0", "https://m/0"),
        ("MediaContentType0", "image/jpeg"),
        ("MediaUrl1", "https://m/1"),
        ("MediaContentType1", "image/jpeg"),
        ("Body", "look"),
        ("MessageType", "image"),
    ]);
    assert_eq!(message.content, InboundContent::Media { body: Some("look".into()), items: vec![item(0), item(1)] });
    assert!(!message.extra.contains_key("NumMedia"));
    assert_eq!(
        inbound(&[("MessageType", "contacts"), ("Body", "")]).content,
        InboundContent::Other { kind: Some("contacts".into()), body: None }
    );
    assert_eq!(inbound(&[("NumMedia", "0")]).content, InboundContent::Other { kind: None, body: None });
}

#[test]
fn a_nul_from_a_customer_or_in_an_id_is_kept_as_its_escape() {
    let message = inbound(&[("MessageSid", "SM\0 1"), ("Body", "a\0b"), ("Odd\0", "\0")]);
    assert_eq!(message.provider_message_id, r"SM\u0000 1");
    assert_eq!(message.content, InboundContent::Text { body: r"a\u0000b".into() });
    assert_eq!(message.extra[r"Odd\u0000"], r"\u0000");
    let failed =
        [("MessageSid", "SM1"), ("MessageStatus", "failed"), ("ErrorCode", "630\x0016"), ("ErrorMessage", "n\0")];
    let failed = event(Route::Status { attempt: None }, &failed);
    assert_eq!(failed.dedupe_key(), r"st:SM1:failed:630\u000016");
}

#[test]
fn a_message_of_another_channel_is_not_a_whatsapp_message() {
    let channel = |route, fields: &[(&str, &str)]| match event(route, fields) {
        WebhookEvent::OtherChannel { channel, .. } => Some(channel),
        _ => None,
    };
    let sms = [("MessageSid", "SM1"), ("From", "+447700988002"), ("To", "+14155238886"), ("Body", "STOP")];
    assert_eq!(channel(Route::Inbound, &sms).as_deref(), Some("sms"));
    let messenger = [("MessageSid", "SM1"), ("From", "messenger:12"), ("To", "messenger:34")];
    assert_eq!(channel(Route::Inbound, &messenger).as_deref(), Some("messenger"));
    let status = [("MessageSid", "SM1"), ("From", "+14155238886"), ("To", "+447700988002"), ("MessageStatus", "sent")];
    assert_eq!(channel(Route::Status { attempt: None }, &status).as_deref(), Some("sms"));
    let mixed = [("MessageSid", "SM1"), ("From", "ACME"), ("To", "whatsapp:+447700988002"), ("MessageStatus", "sent")];
    assert_eq!(channel(Route::Status { attempt: None }, &mixed), None, "either end shows the channel");
}

#[test]
fn the_providers_verdict_on_an_opt_out_is_read() {
    for (word, change) in [("STOP", Some(OptChange::Stop)), ("start", Some(OptChange::Start)), ("HELP", None)] {
        let message = inbound(&[("Body", "hallo"), ("OptOutType", word)]);
        assert_eq!(message.opt_change, change, "{word}");
        assert_eq!(message.extra.contains_key("OptOutType"), change.is_none(), "what has no field is kept");
    }
}

#[test]
fn impossible_coordinates_are_not_a_location_and_are_kept() {
    for (latitude, longitude) in [("91", "0"), ("NaN", "0"), ("0", "inf"), ("north", "0"), ("0", "")] {
        let message = inbound(&[("Latitude", latitude), ("Longitude", longitude), ("Body", "here")]);
        assert_eq!(message.content, InboundContent::Text { body: "here".into() });
        assert_eq!(message.extra["Latitude"], latitude);
    }
}

#[test]
fn a_button_whose_body_differs_loses_nothing() {
    let message = inbound(&[("ButtonText", "Yes"), ("Body", "Yes, please")]);
    assert_eq!(message.extra["Body"], "Yes, please");
    let only_payload = inbound(&[("ButtonPayload", "p"), ("Body", "Yes")]);
    assert_eq!(only_payload.content, InboundContent::Button { text: "Yes".into(), payload: Some("p".into()) });
}

#[test]
fn a_customer_without_a_number_is_known_by_the_user_id() {
    let id = "whatsapp:US.ENT.9f8e7d";
    let message = inbound(&[("From", id), ("ExternalUserId", id), ("Body", "hi")]);
    assert_eq!((message.from.as_str(), message.from_user_id), ("US.ENT.9f8e7d", None));
    let nameless = inbound(&[("From", "whatsapp:somebody"), ("ExternalUserId", id), ("Body", "hi")]);
    assert_eq!((nameless.from.as_str(), nameless.extra["From"].as_str()), ("US.ENT.9f8e7d", "whatsapp:somebody"));
}

#[test]
fn each_status_word_has_its_status_in_any_letter_case() {
    for (word, expected) in [
        ("queued", MessageStatus::Accepted),
        ("accepted", MessageStatus::Accepted),
        ("scheduled", MessageStatus::Accepted),
        ("sending", MessageStatus::Accepted),
        ("sent", MessageStatus::Sent),
        ("Delivered", MessageStatus::Delivered),
        ("read", MessageStatus::Read),
        ("canceled", MessageStatus::Canceled),
        ("undelivered", MessageStatus::Failed),
        ("FAILED", MessageStatus::Failed),
    ] {
        assert_eq!(status(&[("MessageStatus", word)]).status, expected, "{word}");
        assert_eq!(status(&[("SmsStatus", word)]).status, expected, "{word}");
    }
    assert_eq!(status(&[("MessageStatus", "delivered"), ("EventType", "READ")]).status, MessageStatus::Read);
}

#[test]
fn a_failure_carries_its_code_its_class_and_the_channels_own_words() {
    let update = status(&[
        ("MessageStatus", "undelivered"),
        ("ErrorCode", "63016"),
        ("ErrorMessage", "Failed to send freeform message"),
        ("ChannelStatusMessage", "Re-engagement message"),
        ("ChannelPrefix", "whatsapp"),
    ]);
    let failure = update.failure.expect("a failure");
    assert_eq!((failure.code.as_deref(), failure.message.as_str()), (Some("63016"), "Re-engagement message"));
    assert_eq!(failure.class, FailureClass::Fallback);
    assert_eq!(update.extra["ErrorMessage"], "Failed to send freeform message");
    assert_eq!(update.extra["ChannelPrefix"], "whatsapp");

    let bare = status(&[("MessageStatus", "failed")]).failure.expect("a failure");
    assert_eq!((bare.code, bare.message.as_str()), (None, "Twilio gave no explanation"));
    assert_eq!(status(&[("MessageStatus", "delivered"), ("ErrorCode", "63037")]).failure, None);
}

#[test]
fn a_status_belongs_to_the_attempt_of_its_route() {
    let attempt = Some(AttemptId::new(jiff::Timestamp::UNIX_EPOCH, &[1; 10]));
    let fields = [("MessageSid", "SM1"), ("MessageStatus", "sent")];
    match event(Route::Status { attempt }, &fields) {
        WebhookEvent::Status(update) => assert_eq!(update.attempt, attempt),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_understood_says_why_and_keeps_its_key() {
    let status = Route::Status { attempt: None };
    let levitating = [("MessageSid", "SM1"), ("MessageStatus", "levitating")];
    assert!(unreadable(status, &levitating).contains("SM1 has the MessageStatus \"levitating\""));
    assert!(unreadable(status, &[("MessageSid", "SM1"), ("MessageStatus", "received")]).contains("received"));
    assert!(unreadable(status, &[("MessageStatus", "sent")]).contains("neither MessageSid nor SmsSid"));
    assert!(unreadable(status, &[("MessageSid", "SM1")]).contains("no MessageStatus"));
    assert!(
        unreadable(Route::Inbound, &[("MessageSid", "SM1"), ("From", "whatsapp:INFO")])
            .contains("no WhatsApp address in From")
    );
    assert!(
        unreadable(
            Route::Inbound,
            &[("MessageSid", "SM1"), ("From", "whatsapp:+14155238886"), ("MessageStatus", "sent")]
        )
        .contains("status URL was configured as the inbound URL")
    );
    assert_eq!(event(status, &levitating).dedupe_key(), event(status, &levitating).dedupe_key());
    assert_ne!(event(status, &levitating).dedupe_key(), event(status, &[]).dedupe_key());
}

#[test]
fn a_field_that_comes_twice_is_kept_twice() {
    let message = inbound(&[("Body", "hi"), ("Tag", "a"), ("Tag", "b")]);
    assert_eq!(message.extra["Tag"], "a\nb");
}
