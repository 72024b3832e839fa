//! The JSON Schemas of the events that applications receive, made from the types that are published, and the page of
//! the documentation that describes them. Examples are events that the same rules made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use jiff::Timestamp;
use messaging::content::{InboundContent, OutboundContent};
use messaging::event::{CloudEvent, EventKind};
use messaging::id::{AttemptId, MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::policy::Purpose;
use messaging::provider::InboundMessage;
use messaging::routing::Route;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::requests::problem::Problem;
use crate::rules::event::{self, ContactData, ReceivedData, StatusData};
use crate::schema;
use crate::store::message::{Message, OnUnconfirmed, Priority, Reason};

static SCHEMAS: LazyLock<BTreeMap<String, Value>> =
    LazyLock::new(|| kinds().map(|kind| (kind.as_type(), schema_of(kind))).collect());

/// Every kind of event that is published.
fn kinds() -> impl Iterator<Item = EventKind> {
    let statuses = MessageStatus::ALL.into_iter().filter(|status| event::is_published(*status));
    [EventKind::MessageReceived]
        .into_iter()
        .chain(statuses.map(EventKind::MessageStatus))
        .chain([EventKind::ContactOptedOut, EventKind::ContactOptedIn])
}

pub(super) async fn list() -> Json<Value> {
    let item = |kind: &String| json!({ "type": kind, "schema": format!("/schemas/{kind}.json") });
    Json(json!({ "items": SCHEMAS.keys().map(item).collect::<Vec<_>>() }))
}

pub(super) async fn read(Path(file): Path<String>) -> Response {
    match file.strip_suffix(".json").and_then(|kind| SCHEMAS.get(kind)) {
        Some(schema) => {
            ([(header::CONTENT_TYPE, "application/schema+json")], Json(schema).0.to_string()).into_response()
        }
        None => {
            let detail = "there is no event of this type; GET /schemas/ lists them";
            Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail).into_response()
        }
    }
}

#[derive(OpenApi)]
#[openapi(components(schemas(StatusData<'_>, ReceivedData<'_>, ContactData<'_>, schema::EventId, schema::TenantId)))]
struct Data;

/// The schemas that the events' schemas refer to.
fn definitions() -> Map<String, Value> {
    let text = Data::openapi().to_json().unwrap_or_else(|e| unreachable!("a description is JSON: {e}"));
    let text = text.replace("#/components/schemas/", "#/$defs/");
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    match document["components"]["schemas"].take() {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}

/// The name of the schema of an event's data.
fn data_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::MessageReceived => "MessageReceivedData",
        EventKind::MessageStatus(_) => "MessageStatusData",
        EventKind::ContactOptedOut | EventKind::ContactOptedIn => "ContactData",
    }
}

/// When an event is published.
fn when(kind: EventKind) -> &'static str {
    match kind {
        EventKind::MessageReceived => "A customer wrote.",
        EventKind::MessageStatus(status) => match status {
            MessageStatus::Queued | MessageStatus::Submitted => "Not published.",
            MessageStatus::Unconfirmed => {
                "Nobody knows yet whether the message was sent. It is not sent again meanwhile."
            }
            MessageStatus::Accepted => "The provider accepted the message.",
            MessageStatus::Sent => "WhatsApp has the message.",
            MessageStatus::Delivered => "The message is on the customer's device.",
            MessageStatus::Read => "The customer read the message.",
            MessageStatus::Failed => "The message could not be sent or delivered, for `reason`.",
            MessageStatus::Expired => "The message's validity ended before it left.",
            MessageStatus::Suppressed => "The customer must not be written to.",
            MessageStatus::Rejected => "Policy forbids the message now, although it allowed it when it was accepted.",
            MessageStatus::Canceled => "The tenant or an operator canceled the message.",
        },
        EventKind::ContactOptedOut => "A customer said STOP.",
        EventKind::ContactOptedIn => "A customer said START.",
    }
}

fn schema_of(kind: EventKind) -> Value {
    let mut data = json!({ "$ref": format!("#/$defs/{}", data_of(kind)) });
    if let EventKind::MessageStatus(status) = kind {
        data["properties"] = json!({ "status": { "const": status } });
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.as_type(),
        "description": when(kind),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "tenant", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "$ref": "#/$defs/EventId" },
            "source": { "type": "string", "description": "`/tenants/{tenant}/senders/{sender}`." },
            "type": { "const": kind.as_type() },
            "subject": { "type": "string", "description": "The message's id, or the contact's address." },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "const": "application/json" },
            "tenant": { "$ref": "#/$defs/TenantId" },
            "data": data,
        },
        "examples": [example(kind)],
    });
    schema["$defs"] = Value::Object(reachable(&schema, definitions()));
    schema
}

/// The definitions that a schema refers to, directly or through another.
fn reachable(schema: &Value, mut all: Map<String, Value>) -> Map<String, Value> {
    let mut found = BTreeMap::new();
    let mut open = references(schema);
    while let Some(name) = open.pop_first() {
        if let Some(definition) = all.remove(&name) {
            open.extend(references(&definition));
            found.insert(name, definition);
        }
    }
    found.into_iter().collect()
}

fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix("#/$defs/"));
            own.map(str::to_owned).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// An event of a kind, as the rules make it.
pub(super) fn example(kind: EventKind) -> CloudEvent {
    let (tenant, sender) = (parsed::<TenantId>("shop"), parsed::<SenderName>("support"));
    let at: Timestamp = parsed("2026-11-01T12:00:02Z");
    let message = InboundMessage {
        provider_message_id: "SM0123456789abcdef0123456789abcdef".into(),
        from: parsed("+447700900123"),
        from_user_id: None,
        to: Some(parsed("+14155238886")),
        profile_name: Some("Ava".into()),
        content: InboundContent::Text { body: "Where is my parcel?".into() },
        opt_change: None,
        said_at: None,
        in_reply_to: None,
        extra: BTreeMap::from([("WaId".to_owned(), "447700900123".to_owned())]),
    };
    match kind {
        EventKind::MessageReceived => event::received(&tenant, &sender, message_id(), &message, at),
        EventKind::ContactOptedOut => event::keyword(&tenant, &sender, OptChange::Stop, "STOP", &message, at),
        EventKind::ContactOptedIn => event::keyword(&tenant, &sender, OptChange::Start, "START", &message, at),
        EventKind::MessageStatus(status) => event::status(&sent(tenant, sender, status, at), MessageStatus::Sent, at),
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| unreachable!("an example is valid: {error:?}"))
}

fn message_id() -> MessageId {
    parsed("msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978")
}

fn sent(tenant: TenantId, sender: SenderName, status: MessageStatus, at: Timestamp) -> Message {
    let reason = match status {
        MessageStatus::Failed => Some(Reason::new(Some("63024"), "Invalid message recipient")),
        MessageStatus::Expired => Some(Reason::new(Some("expired"), "the message expired before it could leave")),
        MessageStatus::Suppressed => Some(Reason::new(Some("suppressed"), "+447700900123 opted out: STOP")),
        MessageStatus::Rejected => Some(Reason::new(Some("template_paused"), "the template is paused by WhatsApp")),
        MessageStatus::Canceled => Some(Reason::new(Some("canceled"), "canceled by apikey/shop")),
        MessageStatus::Unconfirmed => Some(Reason::new(None, "the provider did not answer in time")),
        _ => None,
    };
    let was_called = reason.is_none() || matches!(status, MessageStatus::Failed | MessageStatus::Unconfirmed);
    let is_known = was_called && status != MessageStatus::Unconfirmed;
    Message {
        id: message_id(),
        tenant,
        route: Route::direct(sender),
        from: Some(parsed("+14155238886")),
        to: parsed("+447700900123"),
        content: Some(OutboundContent::Text { body: String::new() }),
        purpose: Purpose::Message,
        priority: Priority::Utility,
        reply_to: None,
        served_language: None,
        metadata: BTreeMap::from([("order".to_owned(), "18473".to_owned())]),
        on_unconfirmed: OnUnconfirmed::Fail,
        status,
        reason,
        provider_message_id: is_known.then(|| "MM0123456789abcdef0123456789abcdef".to_owned()),
        attempt: was_called.then(|| parsed::<AttemptId>("att-0192d3b8c7aa7b3e8f1e2d3c4b5a6978")),
        attempts: u32::from(was_called),
        created_at: at,
        updated_at: at,
        scheduled_at: None,
        expires_at: None,
    }
}

const INTRODUCTION: &str = include_str!("events.md");

/// The page of the documentation that describes the events.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let definitions = definitions();
    let mut described = None;
    for kind in kinds() {
        let data = data_of(kind);
        if described.replace(data) != Some(data) {
            let title = definitions.get(data).and_then(|schema| schema["description"].as_str()).unwrap_or_default();
            let title = title.trim_start_matches("What the ").trim_end_matches(" say.").trim_end_matches(" says.");
            let mut letters = title.chars();
            let title: String =
                letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
            add(&mut page, format_args!("\n## {title}\n\n"));
            add(&mut page, format_args!("| `data` | | |\n|---|---|---|\n"));
            fields(&mut page, definitions.get(data).unwrap_or(&Value::Null));
        }
        let example = serde_json::to_string_pretty(&example(kind)).unwrap_or_default();
        add(&mut page, format_args!("\n### `{}`\n\n{}\n\n```json\n{example}\n```\n", kind.as_type(), when(kind)));
    }
    page
}

/// One row for each field: its name, what it is, and whether it may be absent.
fn fields(page: &mut String, schema: &Value) {
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let kind = [property, &property["oneOf"][0]].into_iter().find_map(|of| {
            of["$ref"].as_str().and_then(|at| at.rsplit('/').next()).or(of["type"].as_str()).or(of["type"][0].as_str())
        });
        let presence = if required.contains(name.as_str()) { "" } else { ", may be absent" };
        let text =
            property["description"].as_str().or(property["oneOf"][0]["description"].as_str()).unwrap_or_default();
        let text = text.replace('\n', " ");
        add(page, format_args!("| `{name}` | {}{presence} | {text} |\n", kind.unwrap_or("object")));
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;

    fn validator(kind: EventKind) -> Validator {
        jsonschema::draft202012::options().should_validate_formats(true).build(&SCHEMAS[&kind.as_type()]).unwrap()
    }

    fn faults(kind: EventKind, event: &CloudEvent) -> Vec<String> {
        validator(kind).iter_errors(&json!(event)).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn every_event_is_as_its_schema_says() {
        for kind in kinds() {
            let example = example(kind);
            assert_eq!(faults(kind, &example), Vec::<String>::new(), "{example:?}");
            let properties = &SCHEMAS[&kind.as_type()]["properties"];
            let described: BTreeSet<_> = properties.as_object().unwrap().keys().cloned().collect();
            let fields: BTreeSet<_> = json!(example).as_object().unwrap().keys().cloned().collect();
            assert_eq!(described, fields, "{kind:?}");
        }
        let read = example(EventKind::MessageStatus(MessageStatus::Read));
        assert!(!faults(EventKind::MessageStatus(MessageStatus::Sent), &read).is_empty(), "it is another kind");
    }

    #[test]
    fn every_kind_of_content_is_as_the_schema_of_a_received_message_says() {
        let (tenant, sender) = (parsed::<TenantId>("shop"), parsed::<SenderName>("support"));
        let file = messaging::content::MediaItem { url: "https://x/1".into(), content_type: None };
        for content in [
            InboundContent::Text { body: String::new() },
            InboundContent::Media { body: None, items: vec![file] },
            InboundContent::Location {
                latitude: 51.5,
                longitude: -0.1,
                label: None,
                address: Some("1 High St".into()),
            },
            InboundContent::Button { text: "Yes".into(), payload: Some("yes".into()) },
            InboundContent::Other { kind: None, body: None },
        ] {
            let message = InboundMessage {
                provider_message_id: "SM1".into(),
                from: parsed("GB.1a2b3c"),
                from_user_id: Some(parsed("GB.1a2b3c")),
                to: None,
                profile_name: None,
                content,
                opt_change: None,
                said_at: None,
                in_reply_to: Some("SM0".into()),
                extra: BTreeMap::new(),
            };
            let event = event::received(&tenant, &sender, message_id(), &message, Timestamp::UNIX_EPOCH);
            let event = event::answering(event, message_id());
            assert_eq!(faults(EventKind::MessageReceived, &event), Vec::<String>::new(), "{event:?}");
        }
    }

    #[test]
    fn every_event_names_the_sender_and_who_wrote_to_whom() {
        for kind in kinds() {
            let data = example(kind).data;
            let (from, to) = match kind {
                EventKind::MessageStatus(_) => ("+14155238886", "+447700900123"),
                _ => ("+447700900123", "+14155238886"),
            };
            assert_eq!((&data["sender"], &data["from"], &data["to"]), (&json!("support"), &json!(from), &json!(to)));
        }
    }
}
