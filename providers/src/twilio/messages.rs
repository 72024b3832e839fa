//! Messages (2010-04-01): create, fetch and list.
//!
//! Twilio has no idempotency key for messages, so an unanswered call is settled by its status callback or by this log,
//! and never by calling again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use messaging::address::Address;
use messaging::failure::FailureClass;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{
    Direction, MessageFilter, OutboundMessage, ProviderError, ProviderMessage, RenderedContent, SendOutcome, Sent,
};
use serde::Deserialize;
use serde_json::Value;

use super::address::{self, channel_address};
use super::client::Client;
use super::codes;
use super::hosts::{Host, Segment};
use super::webhook::urls::with_connection_overrides;
use super::words::{logged_status, outbound_status};
use crate::transport::{Answer, Unanswered};

/// The range of `ValidityPeriod`.
const SHORTEST_VALIDITY: Duration = Duration::from_secs(1);
const LONGEST_VALIDITY: Duration = Duration::from_secs(36_000);

/// The fields of Twilio's message resource that matter here. Every field may be null.
#[derive(Debug, Deserialize)]
struct MessageResource {
    sid: Option<String>,
    direction: Option<String>,
    from: Option<String>,
    to: Option<String>,
    body: Option<String>,
    num_media: Option<String>,
    status: Option<String>,
    error_code: Option<Value>,
    error_message: Option<String>,
    date_created: Option<String>,
}

pub(crate) async fn create(client: &Client, message: &OutboundMessage) -> Sent {
    let path = client.account_path("Messages.json");
    match client.post_form_raw(Host::Api, &path, &creation_form(message)).await {
        Err(Unanswered::NotSent(reason)) => SendOutcome::NotSent { reason: client.clean(&reason) }.into(),
        Err(Unanswered::Unsettled(reason)) => SendOutcome::Ambiguous { reason: client.clean(&reason) }.into(),
        Ok(answer) => Sent { outcome: outcome(client, &answer), request_id: answer.request_id },
    }
}

/// The outcome that an answer to a create proves. Only success with a message in it, or a 4xx, proves anything. Twilio
/// says of its 5xx that "sending is not idempotent" (docs, error 20500), and a redirect may come from a proxy that has
/// forwarded the request.
fn outcome(client: &Client, answer: &Answer) -> SendOutcome {
    match (answer.status, &answer.body) {
        (200..=299, Ok(body)) => match serde_json::from_slice::<MessageResource>(body) {
            Ok(MessageResource { sid: Some(sid), status, .. }) => SendOutcome::Accepted {
                provider_message_id: sid,
                status: status.as_deref().and_then(outbound_status).unwrap_or(MessageStatus::Accepted),
            },
            Ok(_) => SendOutcome::Ambiguous { reason: "Twilio's answer has no message sid".to_owned() },
            Err(error) => ambiguous(client, &error.to_string()),
        },
        (200..=299, Err(reason)) => ambiguous(client, reason),
        (400..=499, _) => {
            let refusal = client.refusal(answer);
            if refusal.failure.class == FailureClass::Ambiguous {
                SendOutcome::Ambiguous { reason: refusal.to_string() }
            } else {
                SendOutcome::Refused(refusal)
            }
        }
        (status, _) => {
            SendOutcome::Ambiguous { reason: format!("Twilio answered HTTP {status}: {}", client.refusal(answer)) }
        }
    }
}

fn ambiguous(client: &Client, reason: &str) -> SendOutcome {
    SendOutcome::Ambiguous { reason: client.clean(&format!("Twilio's answer could not be read: {reason}")) }
}

/// The fields of a create. `reply_to` has no counterpart: Twilio's API cannot quote the message that is replied to.
fn creation_form(message: &OutboundMessage) -> Vec<(&'static str, String)> {
    let OutboundMessage { attempt: _, from, via, to, content, status_callback, validity, reply_to: _ } = message;
    let mut form = vec![("To", channel_address(to.as_str()))];
    form.extend(via.as_ref().map(|service| ("MessagingServiceSid", service.as_str().to_owned())));
    // The window of a free-form message is the number's, not the service's, so the number of the service's pool is
    // named. (Twilio docs, Messages resource: `From` beside `MessagingServiceSid` picks a sender of the pool.)
    if via.is_none() || !matches!(content, RenderedContent::Template { .. }) {
        form.push(("From", channel_address(from.as_str())));
    }
    match content {
        RenderedContent::Text { body } => form.push(("Body", body.clone())),
        RenderedContent::Media { url, caption } => {
            form.extend(caption.clone().map(|caption| ("Body", caption)));
            form.push(("MediaUrl", url.as_str().to_owned()));
        }
        // The language is the content's own.
        RenderedContent::Template { handle, language: _, values } => {
            form.push(("ContentSid", handle.clone()));
            if !values.is_empty() {
                // A JSON object, as text (error 21656).
                form.push(("ContentVariables", serde_json::json!(values).to_string()));
            }
        }
    }
    if let Some(url) = status_callback {
        form.push(("StatusCallback", with_connection_overrides(url.as_str())));
    }
    if let Some(validity) = validity {
        let seconds = (*validity).clamp(SHORTEST_VALIDITY, LONGEST_VALIDITY).as_secs();
        form.push(("ValidityPeriod", seconds.to_string()));
    }
    form
}

pub(crate) async fn fetch(client: &Client, sid: &str) -> Result<Option<ProviderMessage>, ProviderError> {
    let path = client.account_path(&format!("Messages/{}.json", Segment(sid)));
    Ok(client.get::<MessageResource>(Host::Api, &path).await?.and_then(logged))
}

/// Reads the smallest page of messages: a harmless call that every credential for messaging may make. Fetching the
/// account itself would not do, because a standard API key gets 401 for it.
pub(crate) async fn probe(client: &Client) -> Result<(), ProviderError> {
    client.page(Host::Api, &client.account_path("Messages.json?PageSize=1"), "messages").await.map(drop)
}

/// The log since a time, oldest first.
///
/// Twilio filters by the day of sending, which messages still waiting to be sent do not have. So with a recipient, the
/// newest page without that filter is read too.
pub(crate) async fn list(client: &Client, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError> {
    let MessageFilter { from, to, since } = filter;
    let undated = client.account_path(&format!("Messages.json?{}", pair_query(from.as_ref(), to.as_ref())));
    let day = since.to_zoned(TimeZone::UTC).date();
    let mut rows = client.list(Host::Api, format!("{undated}&DateSent%3E={day}"), "messages").await?.rows;
    if to.is_some() {
        rows.extend(client.page(Host::Api, &undated, "messages").await?.rows);
    }
    Ok(since_oldest_first(rows, *since))
}

fn pair_query(from: Option<&Address>, to: Option<&Address>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(to.map(|to| ("To", channel_address(to.as_str()))))
        .extend_pairs(from.map(|from| ("From", channel_address(from.as_str()))))
        .append_pair("PageSize", "200")
        .finish()
}

/// Twilio lists the newest first, in whole seconds. A row without a date is kept; a row that cannot be read is not a
/// message.
fn since_oldest_first(rows: Vec<Value>, since: Timestamp) -> Vec<ProviderMessage> {
    let mut seen = std::collections::HashSet::new();
    let mut messages: Vec<ProviderMessage> = rows
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok().and_then(logged))
        .filter(|message| message.created_at.is_none_or(|at| at.as_second() >= since.as_second()))
        .filter(|message| seen.insert(message.provider_message_id.clone()))
        .collect();
    messages.reverse();
    messages.sort_by_key(|message| message.created_at);
    messages
}

/// `None` for a row without a SID.
fn logged(resource: MessageResource) -> Option<ProviderMessage> {
    let MessageResource { sid, direction, from, to, body, num_media, status, error_code, error_message, date_created } =
        resource;
    let address = |text: Option<String>| -> Option<Address> { address::parse(&text?) };
    let code = match error_code {
        Some(Value::Number(code)) => Some(code.to_string()),
        Some(Value::String(code)) if !code.is_empty() => Some(code),
        _ => None,
    };
    let status = status.as_deref().map_or(MessageStatus::Accepted, |word| logged_status(&word.to_ascii_lowercase()));
    let failure = (status == MessageStatus::Failed).then(|| {
        let message = error_message.unwrap_or_else(|| codes::NO_EXPLANATION.to_owned());
        codes::failure(code, None, message)
    });
    Some(ProviderMessage {
        provider_message_id: sid?,
        direction: if direction.as_deref() == Some("inbound") { Direction::Inbound } else { Direction::Outbound },
        from: address(from),
        to: address(to),
        body: body.filter(|body| !body.is_empty()),
        files: num_media.and_then(|number| number.parse().ok()),
        status,
        failure,
        created_at: date_created.as_deref().and_then(date),
    })
}

/// A date as the 2010 API writes it.
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

#[cfg(test)]
mod tests;
