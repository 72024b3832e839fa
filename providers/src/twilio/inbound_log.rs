//! Customers' messages in Twilio's log, for those that no webhook brought.
//!
//! The log knows less than the webhook: no profile name, no payload of a button or a list (a tap is only its text), no
//! location, no referral, no user id beside a phone number, and no reference to the message that was replied to. Files
//! take a further call. A message that was recovered from the log is marked in `extra`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use messaging::content::{InboundContent, MediaItem};
use messaging::provider::{InboundEntry, InboundMessage, InboundPage, InboundQuery, ProviderError, WebhookEvent};
use messaging::text::without_nul;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::address::{self, channel_address};
use super::client::Client;
use super::hosts::{Host, Segment};
use super::messages::date;
use super::webhook::translate::received;

/// Twilio allows up to 1,000; most queries find less than one page of any size.
const PAGE_SIZE: &str = "200";
/// A webhook has no more either.
const MOST_FILES: usize = 10;
/// The member that [`with_files`] adds to an entry.
const FILES: &str = "media";
/// Marks in `extra` a message that came from the log, and so may lack what the log lacks.
const RECOVERED: &str = "RecoveredFromLog";

/// The fields of an entry that are translated. Every field may be null.
#[derive(Debug, Deserialize)]
struct Entry {
    sid: Option<String>,
    from: Option<String>,
    to: Option<String>,
    body: Option<String>,
    num_media: Option<String>,
    messaging_service_sid: Option<String>,
    date_created: Option<String>,
    date_sent: Option<String>,
    #[serde(default)]
    media: Vec<MediaItem>,
}

#[derive(Debug, Deserialize)]
struct File {
    sid: String,
    content_type: Option<String>,
}

/// Twilio filters by the day of sending, which for a customer's message is the day of its arrival.
pub(crate) async fn page(client: &Client, query: &InboundQuery) -> Result<InboundPage, ProviderError> {
    let InboundQuery { to, since, page } = query;
    let path = page.clone().unwrap_or_else(|| {
        let filters = form_urlencoded::Serializer::new(String::new())
            .append_pair("To", &channel_address(to.as_str()))
            .append_pair("DateSent>", &since.to_zoned(TimeZone::UTC).date().to_string())
            .append_pair("PageSize", PAGE_SIZE)
            .finish();
        client.account_path(&format!("Messages.json?{filters}"))
    });
    let answer = client.page(Host::Api, &path, "messages").await?;
    let entries: Vec<InboundEntry> = answer.rows.into_iter().filter_map(|row| entry(client, row)).collect();
    Ok(cut(entries, answer.next.filter(|next| *next != path), *since))
}

/// Drops entries that are too old, and the next page if this one reaches back far enough. Twilio's dates are whole
/// seconds.
fn cut(mut entries: Vec<InboundEntry>, next: Option<String>, since: jiff::Timestamp) -> InboundPage {
    let too_old = |entry: &InboundEntry| entry.created_at.is_some_and(|at| at.as_second() < since.as_second());
    let reached = entries.last().is_some_and(too_old);
    entries.retain(|entry| !too_old(entry));
    InboundPage { entries, next: next.filter(|_| !reached) }
}

/// `None` for what is not a message from a customer: `To` may also be one of our senders that another of them writes
/// to.
fn entry(client: &Client, row: Value) -> Option<InboundEntry> {
    let Value::Object(row) = row else { return None };
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    if text("direction") != Some("inbound") {
        return None;
    }
    let sid = without_nul(text("sid")?).into_owned();
    Some(InboundEntry {
        created_at: text("date_created").or_else(|| text("date_sent")).and_then(date),
        url: client.url(Host::Api, &client.account_path(&format!("Messages/{}.json", Segment(&sid)))),
        is_incomplete: text("num_media").is_some_and(|number| number != "0"),
        body: canonical(&row),
        provider_message_id: sid,
    })
}

/// The entry as text, always the same for the same entry.
fn canonical(row: &Map<String, Value>) -> String {
    let sorted: BTreeMap<&String, &Value> = row.iter().collect();
    json!(sorted).to_string()
}

/// Adds the files' URLs, as a webhook would have had them. Deleted files are left out.
pub(crate) async fn with_files(client: &Client, entry: InboundEntry) -> Result<InboundEntry, ProviderError> {
    let below = client.account_path(&format!("Messages/{}/Media", Segment(&entry.provider_message_id)));
    let rows = match client.list(Host::Api, format!("{below}.json"), "media_list").await {
        Ok(list) => list.rows,
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error),
    };
    let files: Vec<MediaItem> = rows
        .into_iter()
        .filter_map(|row| serde_json::from_value::<File>(row).ok())
        .take(MOST_FILES)
        .map(|file| MediaItem {
            url: client.url(Host::Api, &format!("{below}/{}", Segment(&file.sid))),
            content_type: file.content_type,
        })
        .collect();
    let mut row: Map<String, Value> =
        serde_json::from_str(&entry.body).map_err(|error| client.unreadable_read(&error.to_string()))?;
    row.insert(FILES.to_owned(), json!(files));
    Ok(InboundEntry { body: canonical(&row), is_incomplete: false, ..entry })
}

/// Reads an entry as the event that its webhook would have been, as far as the log knows.
pub(crate) fn read(body: &[u8]) -> WebhookEvent {
    received(translate(body), body)
}

fn translate(body: &[u8]) -> Result<InboundMessage, String> {
    let Entry { sid, from, to, body, num_media, messaging_service_sid, date_created, date_sent, media } =
        serde_json::from_slice(body).map_err(|error| format!("an entry of Twilio's log cannot be read: {error}"))?;
    let Some(provider_message_id) = sid.map(|sid| without_nul(&sid).into_owned()) else {
        return Err("an entry of Twilio's log has no sid".to_owned());
    };
    let Some(from) = from.as_deref().and_then(address::parse) else {
        return Err(format!("the log's entry of {provider_message_id} has no WhatsApp address in from"));
    };
    let body = body.filter(|body| !body.is_empty());
    let content = match (body, media.is_empty()) {
        (body, false) => InboundContent::Media { body, items: media },
        (Some(body), true) => InboundContent::Text { body },
        (None, true) => InboundContent::Other { kind: None, body: None },
    };
    let mut extra = BTreeMap::from([(RECOVERED.to_owned(), "true".to_owned())]);
    extra.extend(messaging_service_sid.map(|sid| ("MessagingServiceSid".to_owned(), sid)));
    extra.extend(num_media.filter(|number| number != "0").map(|number| ("NumMedia".to_owned(), number)));
    Ok(InboundMessage {
        provider_message_id,
        from,
        from_user_id: None,
        to: to.as_deref().and_then(address::parse),
        profile_name: None,
        content,
        opt_change: None,
        said_at: date_created.or(date_sent).as_deref().and_then(date),
        in_reply_to: None,
        extra,
    })
}

#[cfg(test)]
mod tests;
