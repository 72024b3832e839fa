//! Fixtures that follow the documented syntax.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use messaging::address::Address;
use messaging::content::InboundContent;
use messaging::failure::FailureClass;
use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::webhook::{Addressee, Part};
use messaging::provider::{InboundMessage, StatusUpdate, UserIdChange, WebhookEvent};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

const SECRET: &str = "app-secret";
const TIME: &str = "1791000000";

pub(super) fn endpoint(keys: &[&str], verify_tokens: &[&str]) -> Arc<dyn Endpoint> {
    let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>();
    MetaWebhooks.endpoint(&secrets(keys), &secrets(verify_tokens))
}

pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length").chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn asked(endpoint: &dyn Endpoint, body: &[u8], headers: &BTreeMap<String, String>) -> Result<usize, WebhookRejected> {
    let url = "https://hooks.example.com/webhooks/meta/app";
    let received = endpoint.receive(&WebhookRequest { route: "changes", method: "POST", url, headers, body })?;
    assert_eq!(received.parts, changes::parts(body));
    Ok(received.key)
}

/// Which key signed a request with this signature.
pub(super) fn signer(endpoint: &dyn Endpoint, body: &[u8], signature: &str) -> Result<usize, WebhookRejected> {
    asked(endpoint, body, &[("x-hub-signature-256".to_owned(), signature.to_owned())].into())
}

/// The parts of a correctly signed request.
pub(super) fn receive(body: &[u8]) -> Vec<Part<'_>> {
    assert_eq!(signer(&*endpoint(&[SECRET], &[]), body, &sign(SECRET, body)), Ok(0));
    changes::parts(body)
}

fn of_number(handle: &str, mut value: Value) -> Value {
    value["metadata"] = json!({ "display_phone_number": "1 (415) 555-0100", "phone_number_id": handle });
    json!({ "field": "messages", "value": value })
}

fn text(id: &str, body: &str) -> Value {
    json!({ "id": id, "from": "447700900123", "timestamp": TIME, "type": "text", "text": { "body": body } })
}

/// The events of one change of messages.
fn events(value: Value) -> Vec<WebhookEvent> {
    let change = of_number("1", value).to_string();
    MetaWebhooks.translate("changes", change.as_bytes())
}

fn inbound(value: Value) -> InboundMessage {
    match events(value).as_slice() {
        [WebhookEvent::Inbound(message)] => message.clone(),
        other => panic!("{other:?}"),
    }
}

fn status(status: &Value) -> StatusUpdate {
    match events(json!({ "statuses": [status] })).as_slice() {
        [WebhookEvent::Status(update)] => update.clone(),
        other => panic!("{other:?}"),
    }
}

fn reason(events: &[WebhookEvent]) -> &str {
    match events {
        [WebhookEvent::Unreadable { reason, .. }] => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_apps_path_has_two_segments_and_that_of_a_namespace_called_meta_has_more() {
    let location = MetaWebhooks.locate("meta/shop-app_1").expect("an app");
    assert_eq!((location.endpoint.as_str(), location.methods), ("meta/shop-app_1", &["GET", "POST"][..]));
    for path in
        ["meta", "meta/", "meta/a/", "meta/a/b", "meta/support/twilio/inbound", "meta/a b", "metal/a", "x/meta/a"]
    {
        assert_eq!(MetaWebhooks.locate(path), None, "{path}");
    }
}

#[test]
fn only_a_challenge_with_an_accepted_token_is_answered() {
    let endpoint = endpoint(&[], &["old", "new+1"]);
    let ask = |query: &str| {
        let url = format!("https://hooks.example.com/webhooks/meta/app{query}");
        let request =
            WebhookRequest { route: "changes", method: "GET", url: &url, headers: &BTreeMap::new(), body: b"" };
        endpoint.challenge(&request)
    };
    for token in ["old", "new%2B1"] {
        let answer = ask(&format!("?hub.mode=subscribe&hub.challenge=115%2022&hub.verify_token={token}"));
        let expected = WebhookAnswer { status: 200, content_type: Some("text/plain"), body: "115 22".to_owned() };
        assert_eq!(answer, Some(expected));
    }
    for query in [
        "",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=ol",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "?hub.mode=subscribe&hub.challenge=1",
        "?hub.mode=subscribe&hub.verify_token=old",
        "?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=old",
        "?hub.challenge=1&hub.verify_token=old",
    ] {
        assert_eq!(ask(query), None, "{query}");
    }
}

#[test]
fn any_accepted_secret_may_sign_and_the_verdict_names_which() {
    let body = json!({ "entry": [] }).to_string();
    let body = body.as_bytes();
    let verdict = |keys: &[&str], signature: &str| signer(&*endpoint(keys, &[]), body, signature);
    assert_eq!(verdict(&["new", SECRET], &sign(SECRET, body)), Ok(1));
    assert_eq!(verdict(&["new", SECRET], &sign("new", body)), Ok(0));
    let signature = sign(SECRET, body);
    for wrong in [&sign("other", body), &signature[7..], &signature[..70], &signature.replace("sha256", "sha1"), ""] {
        assert_eq!(verdict(&["new", SECRET], wrong), Err(WebhookRejected::WrongSignature), "{wrong}");
    }
    assert_eq!(verdict(&[], &signature), Err(WebhookRejected::NoKey));
    let unsigned = asked(&*endpoint(&[SECRET], &[]), body, &BTreeMap::new());
    assert_eq!(unsigned, Err(WebhookRejected::Unsigned { header: "X-Hub-Signature-256" }));
}

#[test]
fn each_change_is_a_part_with_its_own_bytes_and_addressee() {
    // Spaces and escapes stay as they are.
    let first = r#"{"value" : {"metadata":{"phone_number_id":"11"},"messages":[{"id":"a\/1"}]}, "field":"messages"}"#;
    let second = r#"{"field":"messages","value":{"metadata":{"phone_number_id":22},"statuses":[]}}"#;
    let template = r#"{"field":"message_template_status_update","value":{"reason":null}}"#;
    let partner = r#"{"field":"account_update","value":{"waba_info":{"waba_id":"900"}}}"#;
    let odd = r#"{"field":"messages","value":{"metadata":"none"}}"#;
    let no_entry = r#"{"id":"4","messaging":[]}"#;
    let body = format!(
        r#"{{"object":"whatsapp_business_account", "entry":[
            {{"id":"100","changes":[ {first},{second} , {odd}]}}, {no_entry},
            {{"id":"300","time":1791000003,"changes":[{template}, {partner}]}}, {{"changes":[{template}]}}
        ]}}"#
    );
    let parts = receive(body.as_bytes());
    let seen: Vec<_> =
        parts.iter().map(|p| (p.addressee.clone(), &*p.route, std::str::from_utf8(p.body).expect("text"))).collect();
    let (handle, account) = (|id: &str| Addressee::Handle(id.to_owned()), |id: &str| Addressee::Account(id.to_owned()));
    assert_eq!(
        seen,
        [
            (handle("11"), "changes", first),
            (handle("22"), "changes", second),
            (Addressee::Endpoint, "changes", odd),
            (Addressee::Endpoint, "changes", no_entry),
            (account("300"), "changes/1791000003", template),
            (account("900"), "changes/1791000003", partner),
            (Addressee::Endpoint, "changes", template),
        ]
    );
    for part in &parts {
        assert_eq!(MetaWebhooks.translate(&part.route, part.body), part.events);
        assert!(!part.events.is_empty());
    }
}

#[test]
fn a_body_that_is_not_a_notification_is_kept_whole_for_no_sender() {
    for body in [&b""[..], b"[]", b"{}", b"{\"entry\":{}}", b"\xff", b"{\"entry\":[\"\xff\"]}"] {
        let [part] = receive(body).try_into().unwrap_or_else(|parts| panic!("{parts:?}"));
        assert_eq!((part.addressee, part.body), (Addressee::Endpoint, body));
        reason(&part.events);
    }
}

#[test]
fn a_text_is_a_message_and_its_other_fields_are_kept() {
    let message = inbound(json!({
        "contacts": [
            { "profile": { "name": "Other" }, "wa_id": "447700900999" },
            { "profile": { "name": "Ada" }, "wa_id": "447700900123", "user_id": "GB.1a" },
        ],
        "messages": [{
            "id": "wamid.1", "from": "447700900123", "from_user_id": "GB.1a", "timestamp": TIME, "type": "text",
            "text": { "body": "caf\u{e9} \u{1f44d}" }, "context": { "id": "wamid.0" }, "big": 123456789012345678901234567890_f64,
        }],
    }));
    assert_eq!(message.provider_message_id, "wamid.1");
    assert_eq!(message.content, InboundContent::Text { body: "caf\u{e9} \u{1f44d}".to_owned() });
    assert_eq!(
        (message.from.as_str(), message.from_user_id.as_ref().map(Address::as_str)),
        ("+447700900123", Some("GB.1a"))
    );
    assert_eq!(message.to.as_ref().map(Address::as_str), Some("+14155550100"));
    assert_eq!((message.profile_name.as_deref(), message.in_reply_to.as_deref()), (Some("Ada"), Some("wamid.0")));
    assert_eq!(message.said_at.map(|at| at.as_second().to_string()).as_deref(), Some(TIME));
    assert_eq!(message.extra["timestamp"], TIME);
    assert!(message.extra["contact"].contains("GB.1a") && !message.extra.contains_key("text"));
}

#[test]
fn a_nul_in_an_id_is_kept_as_its_escape() {
    let message = inbound(json!({"messages": [text("wamid\0.1", "a")]}));
    assert_eq!(message.provider_message_id, r"wamid\u0000.1");
}

#[test]
fn a_customer_without_a_number_is_known_by_their_user_id() {
    let message = inbound(json!({ "messages": [
        { "id": "wamid.1", "from_user_id": "GB.1a", "type": "text", "text": { "body": "hi" } },
    ]}));
    assert_eq!((message.from.as_str(), message.from_user_id), ("GB.1a", None));
}

#[test]
fn an_unsupported_kind_of_message_is_still_a_message() {
    let message = inbound(json!({ "messages": [
        { "id": "wamid.1", "from": "447700900123", "type": "reaction", "reaction": { "message_id": "wamid.0" } },
    ]}));
    assert_eq!(message.content, InboundContent::Other { kind: Some("reaction".to_owned()), body: None });
    assert_eq!(message.extra["reaction"], r#"{"message_id":"wamid.0"}"#);
}

#[test]
fn a_status_finds_its_attempt_and_a_failure_is_classified() {
    let attempt = AttemptId::new(jiff::Timestamp::UNIX_EPOCH, &[1; 10]);
    for (word, expected) in
        [("sent", MessageStatus::Sent), ("delivered", MessageStatus::Delivered), ("read", MessageStatus::Read)]
    {
        let update = status(&json!({
            "id": "wamid.1", "status": word, "timestamp": TIME, "biz_opaque_callback_data": attempt.to_string(),
        }));
        assert_eq!((update.provider_message_id.as_str(), update.status), ("wamid.1", expected));
        assert_eq!((update.attempt, update.failure), (Some(attempt), None));
    }
    let failed = status(&json!({
        "id": "wamid.1", "status": "failed", "biz_opaque_callback_data": "theirs",
        "errors": [{ "code": 131047, "title": "Re-engagement message", "error_data": { "details": "24 hours passed" } }],
    }));
    assert_eq!((failed.attempt, failed.extra["biz_opaque_callback_data"].as_str()), (None, "theirs"));
    let failure = failed.failure.expect("a failure");
    assert_eq!((failure.code.as_deref(), failure.class), (Some("131047"), FailureClass::Fallback));
    assert_eq!(failure.message, "24 hours passed");
    assert!(status(&json!({ "id": "wamid.1", "status": "failed" })).failure.is_some());
}

#[test]
fn another_id_of_a_customer_is_told_in_a_system_message_or_in_a_change_of_its_own() {
    let system = |system: Value| json!({ "messages": [{ "id": "wamid.1", "from": "16505551234", "type": "system", "system": system }] });
    let expected = WebhookEvent::UserIdChange(UserIdChange {
        previous: "US.134".parse().expect("an id"),
        current: "US.999".parse().expect("an id"),
        number: Some("+16505551234".parse().expect("a number")),
    });
    let body = "User Sheena changed from Ohio changed from US.134 to US.999";
    let kind = "user_changed_user_id";
    let in_body = json!({ "type": kind, "body": body, "user_id": "US.999" });
    assert_eq!(events(system(in_body)), std::slice::from_ref(&expected));
    let named = json!({ "type": kind, "body": "changed", "user_id": "US.999", "previous_user_id": "US.134" });
    assert_eq!(events(system(named)), std::slice::from_ref(&expected));
    let ids = json!({ "previous": "US.134", "current": "US.999" });
    let update = json!({ "user_id_update": [{ "wa_id": "16505551234", "user_id": ids }] });
    let change = json!({ "field": "user_id_update", "value": update }).to_string();
    assert_eq!(MetaWebhooks.translate("changes", change.as_bytes()), [expected]);
    for about in [json!({ "type": "user_changed_number", "wa_id": "16505550000" }), json!({ "type": kind })] {
        assert!(reason(&events(system(about))).contains("about a customer"));
    }
}

#[test]
fn a_bad_item_affects_no_other() {
    let good = text("wamid.1", "hi");
    let events = events(json!({
        "messages": [7, { "id": "wamid.2" }, good, { "id": "wamid.3", "type": "system", "system": {} }],
        "statuses": [{ "id": "wamid.4", "status": "levitating" }],
        "errors": [{ "code": 130429, "title": "Rate limit hit" }],
    }));
    let reasons: Vec<_> = events.iter().filter(|event| matches!(event, WebhookEvent::Unreadable { .. })).collect();
    assert_eq!((events.len(), reasons.len()), (6, 5));
    assert!(matches!(&events[2], WebhookEvent::Inbound(message) if message.provider_message_id == "wamid.1"));
    assert!(reason(&events[5..]).contains("130429: Rate limit hit"), "{events:?}");
    let mut keys: Vec<_> = events.iter().map(WebhookEvent::dedupe_key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), events.len());
}

#[test]
fn a_change_that_happens_again_later_is_a_new_one_and_a_redelivery_is_not() {
    let body = |time: i64| {
        let change = json!({ "field": "message_template_status_update", "value": { "event": "PAUSED" } });
        json!({ "entry": [{ "id": "1", "time": time, "changes": [change] }] }).to_string()
    };
    let key = |time: i64| receive(body(time).as_bytes())[0].events[0].dedupe_key();
    assert_eq!(key(1), key(1));
    assert_ne!(key(1), key(2));
}

/// JSON like Meta's, with values of the wrong type anywhere.
fn json_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["messages", "text", "system", "failed", "447700900123", "GB.1a", "wamid.1"])
            .prop_map(Value::from),
    ];
    let names = vec![
        "entry",
        "changes",
        "field",
        "value",
        "metadata",
        "phone_number_id",
        "waba_info",
        "waba_id",
        "messages",
        "statuses",
        "errors",
        "contacts",
        "id",
        "from",
        "type",
        "text",
        "body",
        "status",
        "time",
        "code",
    ];
    leaf.prop_recursive(8, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.clone()), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_part_reads_again_as_it_was_received(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            json_like().prop_map(|value| value.to_string().into_bytes()),
            json_like().prop_map(|value| json!({ "entry": [{ "id": "1", "changes": [value] }] }).to_string().into_bytes()),
            json_like().prop_map(|value| json!({ "entry": [{ "changes": [of_number("1", json!({ "messages": [value] }))] }] })
                .to_string().into_bytes()),
        ],
        route in ".{0,20}",
    ) {
        for part in receive(&body) {
            prop_assert!(!part.events.is_empty());
            prop_assert!(body.is_empty() || body.as_ptr_range().contains(&part.body.as_ptr()));
            prop_assert_eq!(MetaWebhooks.translate(&part.route, part.body), part.events);
        }
        MetaWebhooks.translate(&route, &body);
        MetaWebhooks.locate(&route);
    }
}
