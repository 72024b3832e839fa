//! Translates one change into this project's terms. Accepts any bytes and never panics.
//!
//! Only texts, statuses and changes of a user id are translated so far. (Meta docs, webhook reference of `messages`,
//! 2026-09.)

use jiff::Timestamp;
use messaging::address::Address;
use messaging::content::InboundContent;
use messaging::failure::Failure;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{InboundMessage, StatusUpdate, UserIdChange, WebhookEvent};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::fields::{Fields, Text};
use super::route::Route;
use crate::meta::codes;

/// The events of a change; at least one.
pub(super) fn translate(route: Route, change: &[u8]) -> Vec<WebhookEvent> {
    let whole = |reason: String| vec![unreadable(reason, route, change)];
    let Some(fields) = std::str::from_utf8(change).ok().and_then(Fields::parse) else {
        return whole("a change is not a JSON object".to_owned());
    };
    let Some(field) = fields.peek::<String>("field") else {
        return whole("a change does not name its field".to_owned());
    };
    if field != "messages" && field != UPDATES {
        return whole(format!("changes of {field:?} are not supported"));
    }
    let Some(value) = fields.object("value") else {
        return whole(format!("a change of {field} has no object in value"));
    };

    let contacts: Vec<Contact<'_>> = value.list("contacts").into_iter().filter_map(Contact::parse).collect();
    let our_number =
        value.object("metadata").and_then(|mut metadata| phone(&metadata.take_text("display_phone_number")?));
    let read = |item: &RawValue, event: Result<WebhookEvent, String>| {
        event.unwrap_or_else(|reason| unreadable(reason, route, item.get().as_bytes()))
    };
    let mut events = Vec::new();
    for item in value.list("messages") {
        let event =
            system(item).unwrap_or_else(|| message(item, &contacts, our_number.as_ref()).map(WebhookEvent::Inbound));
        events.push(read(item, event));
    }
    for item in value.list("statuses") {
        events.push(read(item, status(item).map(WebhookEvent::Status)));
    }
    for item in value.list(UPDATES) {
        events.push(read(item, update(item).ok_or_else(|| "an update of a user id does not name both ids".to_owned())));
    }
    for item in value.list("errors") {
        events.push(read(item, Err(format!("Meta reports an error that concerns no message: {}", failure(item)))));
    }
    if events.is_empty() {
        return whole("a change of messages has neither messages nor statuses nor errors".to_owned());
    }
    events
}

/// The same change may happen again with the same bytes, so the key includes the time of its entry.
fn unreadable(reason: String, route: Route, bytes: &[u8]) -> WebhookEvent {
    let digest = Sha256::new().chain_update(route.to_string()).chain_update([0]).chain_update(bytes).finalize();
    WebhookEvent::Unreadable { reason, dedupe_key: hex::encode(&digest[..16]) }
}

/// The sender of a message, as Meta describes them.
struct Contact<'a> {
    wa_id: Option<String>,
    user_id: Option<String>,
    name: Option<String>,
    raw: &'a RawValue,
}

impl<'a> Contact<'a> {
    fn parse(raw: &'a RawValue) -> Option<Self> {
        let mut fields = Fields::parse(raw.get())?;
        let name = fields.object("profile").and_then(|mut profile| profile.take_text("name"));
        Some(Self { wa_id: fields.take_text("wa_id"), user_id: fields.take_text("user_id"), name, raw })
    }

    fn is(&self, wa_id: Option<&String>, user_id: Option<&String>) -> bool {
        let same = |own: &Option<String>, other: Option<&String>| own.is_some() && own.as_ref() == other;
        same(&self.wa_id, wa_id) || same(&self.user_id, user_id)
    }
}

fn message(item: &RawValue, contacts: &[Contact<'_>], to: Option<&Address>) -> Result<InboundMessage, String> {
    let mut fields = Fields::parse(item.get()).ok_or("a message is not a JSON object")?;
    let provider_message_id = fields.take_text("id").ok_or("a message has no id")?;
    let kind = fields.take_text("type");
    let (wa_id, user_id) = (fields.take_text("from"), fields.take_text("from_user_id"));
    let number = wa_id.as_deref().and_then(phone);
    let id = user_id.as_deref().and_then(|id| id.parse().ok()).map(Address::User);
    let Some(from) = number.clone().or_else(|| id.clone()) else {
        return Err(format!("the message {provider_message_id} has neither a number nor a user id of its sender"));
    };
    let contact = contacts.iter().find(|contact| contact.is(wa_id.as_ref(), user_id.as_ref()));
    let content = match (kind.as_deref(), fields.object("text").and_then(|mut text| text.take::<String>("body"))) {
        (Some("text"), Some(body)) => {
            fields.take::<&RawValue>("text");
            InboundContent::Text { body }
        }
        _ => InboundContent::Other { kind, body: None },
    };
    let said_at =
        fields.peek::<Text<'_>>("timestamp").and_then(|time| Timestamp::from_second(time.0.parse().ok()?).ok());
    let in_reply_to = fields.object("context").and_then(|mut context| context.take_text("id"));
    let mut extra = fields.rest();
    extra.extend(contact.map(|contact| ("contact".to_owned(), contact.raw.get().to_owned())));
    Ok(InboundMessage {
        provider_message_id,
        from,
        // There is something to link only where both are known.
        from_user_id: id.filter(|_| number.is_some()),
        to: to.cloned(),
        profile_name: contact.and_then(|contact| contact.name.clone()),
        content,
        opt_change: None,
        said_at,
        in_reply_to,
        extra,
    })
}

/// The field of changes, and the list in it, by which Meta reports other user ids besides system messages. (Meta docs,
/// page on business-scoped user ids, 2026-05; the list of fields to subscribe to does not have it.)
const UPDATES: &str = "user_id_update";

/// What a system message says; `None` for any other. It is about a customer, not from one, and only that they have
/// another id is understood. (Meta docs, webhook reference of `messages`, 2026-09. `previous_user_id` is read by
/// several programs of 2026; Meta's own text only has the previous id in the body.)
fn system(item: &RawValue) -> Option<Result<WebhookEvent, String>> {
    let mut fields = Fields::parse(item.get())?;
    fields.take_text("type").filter(|kind| kind == "system")?;
    let id = fields.take_text("id").unwrap_or_default();
    let changed = fields.object("system").and_then(|mut system| {
        system.take_text("type").filter(|kind| kind == "user_changed_user_id")?;
        let previous = system.take_text("previous_user_id").or_else(|| {
            let body = system.take_text("body")?;
            let (_, ids) = body.rsplit_once(" changed from ")?;
            Some(ids.split_once(" to ")?.0.to_owned())
        });
        id_change(previous.as_deref(), system.take_text("user_id").as_deref(), fields.take_text("from").as_deref())
    });
    Some(changed.ok_or_else(|| format!("the system message {id} is about a customer, not from one")))
}

fn update(item: &RawValue) -> Option<WebhookEvent> {
    let mut fields = Fields::parse(item.get())?;
    let mut ids = fields.object("user_id")?;
    let [previous, current] = ["previous", "current"].map(|key| ids.take_text(key));
    id_change(previous.as_deref(), current.as_deref(), fields.take_text("wa_id").as_deref())
}

fn id_change(previous: Option<&str>, current: Option<&str>, wa_id: Option<&str>) -> Option<WebhookEvent> {
    let number = wa_id.and_then(phone).and_then(|address| match address {
        Address::Phone(number) => Some(number),
        Address::User(_) => None,
    });
    let (previous, current) = (previous?.parse().ok()?, current?.parse().ok()?);
    Some(WebhookEvent::UserIdChange(UserIdChange { previous, current, number }))
}

/// Meta writes numbers with or without `+`, and displays them with spaces.
fn phone(number: &str) -> Option<Address> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '+')).collect();
    format!("+{digits}").parse().ok().map(Address::Phone)
}

fn status(item: &RawValue) -> Result<StatusUpdate, String> {
    let mut fields = Fields::parse(item.get()).ok_or("a status is not a JSON object")?;
    let provider_message_id = fields.take_text("id").ok_or("a status has no id")?;
    let word = fields.take_text("status").ok_or_else(|| format!("the status of {provider_message_id} is missing"))?;
    let status = match word.as_str() {
        "sent" => MessageStatus::Sent,
        "delivered" => MessageStatus::Delivered,
        "read" => MessageStatus::Read,
        "failed" => MessageStatus::Failed,
        _ => return Err(format!("the status {word:?} of {provider_message_id} is not supported")),
    };
    let failure = (status == MessageStatus::Failed).then(|| match fields.list("errors").first() {
        Some(error) => failure(error),
        None => codes::reported(None, None, None),
    });
    let attempt = fields.peek::<Text<'_>>("biz_opaque_callback_data").and_then(|data| data.0.parse().ok());
    if attempt.is_some() {
        fields.take::<Text<'_>>("biz_opaque_callback_data");
    }
    Ok(StatusUpdate { provider_message_id, attempt, status, failure, extra: fields.rest() })
}

/// The details say more than the title, which `message` repeats.
fn failure(error: &RawValue) -> Failure {
    let Some(mut fields) = Fields::parse(error.get()) else { return codes::reported(None, None, None) };
    let details = fields.object("error_data").and_then(|mut data| data.take_text("details"));
    let message = details.or_else(|| fields.take_text("message")).or_else(|| fields.take_text("title"));
    codes::reported(fields.take_text("code"), fields.take_text("error_subcode"), message)
}
