//! Reads the body of `POST /v1/messages` as a whole and notes every fault.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::clock::{after, before};
use messaging::config::Validity;
use messaging::content::OutboundContent;
use messaging::duration::Unit;
use messaging::id::{MessageId, PolicyName, SenderName, TemplateName};
use serde_json::Value;
use url::Url;

use crate::requests::fields::{Errors, Fields, escaped, wrong_type};
use crate::requests::problem::FieldError;
use crate::store::message::OnUnconfirmed;

/// Entries of `metadata`.
pub(super) const METADATA_ENTRIES: usize = 16;
/// Characters of a key, and of a value.
pub(super) const METADATA_KEY: usize = 64;
pub(super) const METADATA_VALUE: usize = 512;
/// Values of a template; no template has more variables.
pub(super) const TEMPLATE_VALUES: usize = 100;
/// Characters of a variable's key, and of its value.
pub(super) const TEMPLATE_KEY: usize = 64;
pub(super) const TEMPLATE_VALUE: usize = 4096;
/// How long ago a message may have been due: clocks differ, and requests take time.
const SCHEDULE_BEHIND: Duration = Duration::from_secs(60);
/// How far ahead a message may be scheduled.
const SCHEDULE_AHEAD: Duration = Duration::from_secs(366 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// A well-formed request to send. Policy has not checked it yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SendRequest {
    pub(super) to: Address,
    pub(super) route: RouteChoice,
    pub(super) content: OutboundContent,
    pub(super) reply_to: Option<Answers>,
    pub(super) scheduled_at: Option<Timestamp>,
    pub(super) valid_for: Option<Duration>,
    pub(super) on_unconfirmed: OnUnconfirmed,
    pub(super) metadata: BTreeMap<String, String>,
}

/// The message that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) id: MessageId,
    /// Refuse the message where it cannot quote that one.
    pub(super) required: bool,
}

/// What decides which sender the message leaves through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RouteChoice {
    Sender(SenderName),
    /// The sender with this number.
    Number(PhoneNumber),
    Policy(PolicyName),
    /// The tenant's own default.
    Default,
}

pub(super) fn read(body: Value, now: Timestamp) -> Result<SendRequest, Errors> {
    let mut errors = Errors::new();
    let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
    let to = to(&mut fields, &mut errors);
    let route = route(&mut fields, &mut errors);
    let content = content(&mut fields, &mut errors);
    let reply_to = reply_to(&mut fields, &mut errors);
    let scheduled_at = fields.parsed(
        "scheduleAt",
        "a time in RFC 3339 that is not past and at most 366 days ahead, such as 2026-12-01T09:00:00Z",
        |text| {
            let schedulable = before(now, SCHEDULE_BEHIND)..=after(now, SCHEDULE_AHEAD);
            text.parse().ok().filter(|at| schedulable.contains(at))
        },
        &mut errors,
    );
    let valid_for = fields.parsed(
        "validFor",
        "a duration from 10s to 30d: a whole number and one of s, m, h, d, such as 6h",
        duration,
        &mut errors,
    );
    let on_unconfirmed = fields.parsed(
        "onUnconfirmed",
        "fail, which is the default, or resend",
        |text| text.parse::<OnUnconfirmed>().ok(),
        &mut errors,
    );
    let metadata = metadata(&mut fields, &mut errors);
    fields.finish(&mut errors);
    match (to, route, content) {
        (Some(to), Some(route), Some(content)) if errors.is_empty() => {
            let on_unconfirmed = on_unconfirmed.unwrap_or_default();
            Ok(SendRequest { to, route, content, reply_to, scheduled_at, valid_for, on_unconfirmed, metadata })
        }
        _ => Err(errors),
    }
}

/// An id, or an object with one.
fn reply_to(fields: &mut Fields, errors: &mut Errors) -> Option<Answers> {
    const EXPECTED: &str = "the id of a message, such as msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978";
    let id = |text: &str, pointer: String, errors: &mut Errors| {
        let id = text.parse().ok();
        if id.is_none() {
            errors.push(FieldError::body(pointer, "invalid", format!("the id is {text:?}"), EXPECTED));
        }
        id
    };
    match fields.value("replyTo")? {
        Value::String(text) => Some(Answers { id: id(&text, fields.pointer("replyTo"), errors)?, required: false }),
        value @ Value::Object(_) => {
            let mut object = Fields::of(fields.pointer("replyTo"), value, errors)?;
            let text = object.required_string("id", EXPECTED, errors);
            let required = match object.value("required") {
                None => false,
                Some(Value::Bool(required)) => required,
                Some(other) => {
                    errors.push(wrong_type(&object.pointer("required"), &other, "true or false"));
                    false
                }
            };
            let id = text.and_then(|text| id(&text, object.pointer("id"), errors));
            object.finish(errors);
            Some(Answers { id: id?, required })
        }
        other => {
            let expected = format!("{EXPECTED}; or an object with id and required");
            errors.push(wrong_type(&fields.pointer("replyTo"), &other, &expected));
            None
        }
    }
}

fn to(fields: &mut Fields, errors: &mut Errors) -> Option<Address> {
    let expected = "a phone number in E.164 such as +447700900123, or a business-scoped user id such as GB.1a2b3c";
    let text = fields.required_string("to", expected, errors)?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        errors.push(FieldError::body("/to", "invalid", format!("to is {text:?}"), expected));
    }
    parsed
}

fn route(fields: &mut Fields, errors: &mut Errors) -> Option<RouteChoice> {
    let was = errors.len();
    let sender = fields.parsed("from", A_SENDER, of_sender, errors);
    let policy = fields.parsed("policy", "the name of a RoutingPolicy", |text| PolicyName::new(text).ok(), errors);
    match (sender, policy) {
        (Some(_), Some(_)) => {
            let detail = "both from and policy decide which sender the message leaves through";
            errors.push(FieldError::body("/policy", "invalid", detail, "one of from and policy, or neither"));
            None
        }
        (Some(sender), None) => Some(sender),
        (None, Some(policy)) => Some(RouteChoice::Policy(policy)),
        (None, None) if errors.len() == was => Some(RouteChoice::Default),
        (None, None) => None,
    }
}

/// What names a sender.
pub(super) const A_SENDER: &str = "a WhatsAppSender, by its name or by its number in E.164";

/// A sender by its name, or by its number.
pub(super) fn of_sender(text: &str) -> Option<RouteChoice> {
    let number = || text.parse().ok().map(RouteChoice::Number);
    SenderName::new(text).ok().map(RouteChoice::Sender).or_else(number)
}

fn content(fields: &mut Fields, errors: &mut Errors) -> Option<OutboundContent> {
    const EXPECTED: &str = "exactly one of template, text and media";
    let given: Vec<(&'static str, Value)> = ["template", "text", "media"]
        .into_iter()
        .filter_map(|name| fields.value(name).map(|value| (name, value)))
        .collect();
    let mut contents = given.into_iter();
    let Some((name, value)) = contents.next() else {
        errors.push(FieldError::body("", "required", "the message has no content", EXPECTED));
        return None;
    };
    let mut others = 0;
    for (other, _) in contents {
        let detail = format!("the message has {name} and {other}");
        errors.push(FieldError::body(fields.pointer(other), "invalid", detail, EXPECTED));
        others += 1;
    }
    let pointer = fields.pointer(name);
    let mut part = Fields::of(pointer, value, errors)?;
    let content = match name {
        "template" => template(&mut part, errors),
        "text" => part.required_string("body", "the text", errors).map(|body| OutboundContent::Text { body }),
        _ => media(&mut part, errors),
    };
    part.finish(errors);
    content.filter(|_| others == 0)
}

fn template(fields: &mut Fields, errors: &mut Errors) -> Option<OutboundContent> {
    let expected = "the name of a MessageTemplate";
    let name = fields.required_string("name", expected, errors).and_then(|text| {
        let name = TemplateName::new(text.as_str()).ok();
        if name.is_none() {
            errors.push(FieldError::body(fields.pointer("name"), "invalid", format!("name is {text:?}"), expected));
        }
        name
    });
    let language = fields.string("language", errors);
    let values = fields.value("values").map_or_else(BTreeMap::new, |value| {
        let limits = Limits { entries: TEMPLATE_VALUES, key: TEMPLATE_KEY, value: TEMPLATE_VALUE };
        strings(&fields.pointer("values"), value, &limits, errors)
    });
    Some(OutboundContent::Template { name: name?, language, values })
}

fn media(fields: &mut Fields, errors: &mut Errors) -> Option<OutboundContent> {
    let expected = "an http or https URL that the provider can fetch the file from";
    let url = fields.required_string("url", expected, errors).and_then(|text| {
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            errors.push(FieldError::body(fields.pointer("url"), "invalid", format!("url is {text:?}"), expected));
        }
        url
    });
    let caption = fields.string("caption", errors);
    Some(OutboundContent::Media { url: url?, caption })
}

fn metadata(fields: &mut Fields, errors: &mut Errors) -> BTreeMap<String, String> {
    let limits = Limits { entries: METADATA_ENTRIES, key: METADATA_KEY, value: METADATA_VALUE };
    fields.value("metadata").map_or_else(BTreeMap::new, |value| strings("/metadata", value, &limits, errors))
}

/// How much a map may hold.
struct Limits {
    entries: usize,
    key: usize,
    value: usize,
}

/// A map of strings to strings.
fn strings(pointer: &str, value: Value, limits: &Limits, errors: &mut Errors) -> BTreeMap<String, String> {
    let object = match value {
        Value::Object(object) => object,
        other => {
            errors.push(wrong_type(pointer, &other, "an object of strings"));
            return BTreeMap::new();
        }
    };
    if object.len() > limits.entries {
        let detail = format!("{} entries", object.len());
        errors.push(FieldError::body(pointer, "invalid", detail, format!("at most {}", limits.entries)));
        return BTreeMap::new();
    }
    let mut strings = BTreeMap::new();
    for (key, value) in object {
        let at = format!("{pointer}/{}", escaped(&key));
        match value {
            Value::String(text) if key.chars().count() <= limits.key && text.chars().count() <= limits.value => {
                strings.insert(key, text);
            }
            Value::String(_) => {
                let expected = format!("at most {} characters in a key and {} in a value", limits.key, limits.value);
                errors.push(FieldError::body(at, "invalid", "the entry is too long", expected));
            }
            other => errors.push(wrong_type(&at, &other, "a string")),
        }
    }
    strings
}

fn duration(text: &str) -> Option<Duration> {
    messaging::duration::parse(text, &[Unit::Seconds, Unit::Minutes, Unit::Hours, Unit::Days])
        .filter(|duration| Validity::BOUNDS.contains(&duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn pointers(body: Value) -> Vec<String> {
        read(body, now()).unwrap_err().into_iter().filter_map(|e| e.pointer).collect()
    }

    #[test]
    fn a_whole_request_is_read() {
        let request = read(
            json!({
                "to": "+447700900123", "from": "support",
                "template": {"name": "order-shipped", "language": "de", "values": {"1": "Ava"}},
                "replyTo": "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978", "scheduleAt": "2026-12-01T09:00:00Z",
                "validFor": "6h", "metadata": {"order": "18473"},
            }),
            now(),
        )
        .unwrap();
        assert_eq!(request.route, RouteChoice::Sender(SenderName::new("support").unwrap()));
        assert_eq!(request.valid_for, Some(Duration::from_secs(6 * 3600)));
        assert_eq!(request.metadata["order"], "18473");
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let body = json!({
            "to": "07700", "from": "Support!", "policy": 7, "text": {"bdy": "x"}, "media": {"url": "ftp://x"},
            "replyTo": "1", "scheduleAt": "tomorrow", "validFor": "6", "metadata": {"a": 1}, "colour": "red",
        });
        let mut found = pointers(body);
        found.sort();
        let expected = [
            "/colour",
            "/from",
            "/media",
            "/metadata/a",
            "/policy",
            "/replyTo",
            "/scheduleAt",
            "/text/bdy",
            "/text/body",
            "/to",
            "/validFor",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_message_that_is_answered_is_an_id_or_an_object_with_one() {
        let id = "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978";
        let with = |reply_to: Value| json!({"to": "+447700900123", "text": {"body": "x"}, "replyTo": reply_to});
        for (given, required) in [
            (json!(id), false),
            (json!({ "id": id }), false),
            (json!({"id": id, "required": false}), false),
            (json!({"id": id, "required": true}), true),
        ] {
            let answers = Answers { id: id.parse().unwrap(), required };
            assert_eq!(read(with(given), now()).unwrap().reply_to, Some(answers));
        }
        for (given, wrong) in [
            (json!("msg_1"), "/replyTo"),
            (json!(7), "/replyTo"),
            (json!({}), "/replyTo/id"),
            (json!({"id": "msg_1"}), "/replyTo/id"),
            (json!({"id": id, "required": "yes"}), "/replyTo/required"),
            (json!({"id": id, "quote": true}), "/replyTo/quote"),
        ] {
            assert_eq!(pointers(with(given.clone())), [wrong], "{given}");
        }
    }

    #[test]
    fn an_unknown_field_is_answered_with_the_known_ones() {
        let errors = read(json!({"to": "+447700900123", "text": {"body": "x"}, "a/b": 1}), now()).unwrap_err();
        assert_eq!(errors[0].pointer.as_deref(), Some("/a~1b"));
        assert!(errors[0].expected.contains("scheduleAt"), "{}", errors[0].expected);
    }

    #[test]
    fn a_message_has_one_content_and_one_way_out() {
        assert_eq!(pointers(json!({"to": "+447700900123"})), [""]);
        assert_eq!(
            pointers(json!({"to": "+447700900123", "text": {"body": "x"}, "from": "a", "policy": "b"})),
            ["/policy"]
        );
        assert_eq!(pointers(json!([])), [""]);
    }

    #[test]
    fn a_message_is_scheduled_for_a_time_that_is_not_past() {
        let of =
            |at: Timestamp| pointers(json!({"to": "+447700900123", "text": {"body": "x"}, "scheduleAt": at, "x": 1}));
        for good in [before(now(), SCHEDULE_BEHIND), now(), after(now(), SCHEDULE_AHEAD)] {
            assert_eq!(of(good), ["/x"], "{good}");
        }
        for bad in [
            before(now(), SCHEDULE_BEHIND + Duration::from_secs(1)),
            after(now(), SCHEDULE_AHEAD + Duration::from_secs(1)),
        ] {
            assert_eq!(of(bad), ["/scheduleAt", "/x"], "{bad}");
        }
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("10s", 10), ("5m", 300), ("6h", 21_600), ("30d", 30 * 86_400)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "s", "9s", "31d", "6", "-6h", "6 h", "6hours", "1.5h", "6ĥ", "99999999999999999999d"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(text in r#"\{("[a-z/~]{0,8}":("[^"\\]{0,8}"|[0-9]{1,3}|null|\[\]|\{("[a-z]{0,4}":"x")?\})(,"(to|text|template|media|values|metadata|validFor)":("[^"\\]{0,4}"|\{"body":1\}|\{\}))?)?\}"#) {
            if let Ok(body) = serde_json::from_str(&text) {
                drop(read(body, now()));
            }
        }
    }
}
