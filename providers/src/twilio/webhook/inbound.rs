//! Messages from customers. (Twilio docs, webhook request parameters of messaging and of WhatsApp, 2026-03.)

use std::borrow::Cow;

use messaging::address::Address;
use messaging::content::{InboundContent, MediaItem};
use messaging::opt_out::OptChange;
use messaging::provider::InboundMessage;

use super::fields::Fields;
use crate::twilio::address;

pub(crate) fn translate(mut fields: Fields) -> Result<InboundMessage, String> {
    let Some(provider_message_id) = fields.take("MessageSid").or_else(|| fields.take("SmsMessageSid")) else {
        return Err("an inbound webhook has neither MessageSid nor SmsMessageSid".to_owned());
    };
    if let Some(status) = fields.peek("MessageStatus").filter(|status| !status.eq_ignore_ascii_case("received")) {
        return Err(format!(
            "the inbound webhook of {provider_message_id} is a status callback ({status}): the status URL was configured as the inbound URL"
        ));
    }
    let user_id = take_address(&mut fields, "ExternalUserId");
    let Some(from) = take_address(&mut fields, "From").or_else(|| user_id.clone()) else {
        return Err(format!("the inbound webhook of {provider_message_id} has no WhatsApp address in From"));
    };
    // Twilio repeats the id in From where it knows no number. There is something to link only where both are known.
    let from_user_id = user_id.filter(|id| *id != from);
    let to = take_address(&mut fields, "To");
    let opt_change = opt_change(&mut fields);
    let content = content(&mut fields);
    Ok(InboundMessage {
        provider_message_id,
        from,
        from_user_id,
        to,
        profile_name: fields.take("ProfileName"),
        content,
        opt_change,
        // The webhook tells no time.
        said_at: None,
        in_reply_to: fields.take("OriginalRepliedMessageSid"),
        extra: fields.rest(),
    })
}

/// A value that is not an address is not taken, and so ends up in `extra`.
fn take_address(fields: &mut Fields, key: &str) -> Option<Address> {
    let address = address::parse(&fields.peek(key)?)?;
    fields.take(key);
    Some(address)
}

/// The verdict of a Messaging Service that manages opt-outs itself; its third value, `HELP`, changes nothing. (Twilio
/// docs, Advanced Opt-Out: the `OptOutType` of an inbound webhook.)
fn opt_change(fields: &mut Fields) -> Option<OptChange> {
    let change = match fields.peek("OptOutType")?.trim() {
        verdict if verdict.eq_ignore_ascii_case("STOP") => OptChange::Stop,
        verdict if verdict.eq_ignore_ascii_case("START") => OptChange::Start,
        _ => return None,
    };
    fields.take("OptOutType");
    Some(change)
}

/// The most specific content that the fields describe.
fn content(fields: &mut Fields) -> InboundContent {
    if let Some(button) = button(fields) {
        return button;
    }
    if let Some(location) = location(fields) {
        return location;
    }
    let items = media(fields);
    if !items.is_empty() {
        return InboundContent::Media { body: fields.take("Body"), items };
    }
    let kind = fields.peek("MessageType").map(Cow::into_owned);
    match (fields.take("Body"), kind.as_deref()) {
        (Some(body), None | Some("text")) => InboundContent::Text { body },
        (body, _) => InboundContent::Other { kind, body },
    }
}

/// A quick reply (`ButtonText`, `ButtonPayload`) or an item of a list (`ListTitle`, `ListId`).
fn button(fields: &mut Fields) -> Option<InboundContent> {
    let payload = fields.take("ButtonPayload").or_else(|| fields.take("ListId"));
    let text = fields.take("ButtonText").or_else(|| fields.take("ListTitle"));
    if payload.is_none() && text.is_none() {
        return None;
    }
    // Body repeats the text; if it ever differs, it is kept.
    let body =
        if text.is_none() || fields.peek("Body").as_deref() == text.as_deref() { fields.take("Body") } else { None };
    Some(InboundContent::Button { text: text.or(body).unwrap_or_default(), payload })
}

fn location(fields: &mut Fields) -> Option<InboundContent> {
    let degrees = |key: &str, limit: f64| {
        fields.peek(key)?.trim().parse::<f64>().ok().filter(|degrees| (-limit..=limit).contains(degrees))
    };
    let (latitude, longitude) = (degrees("Latitude", 90.0)?, degrees("Longitude", 180.0)?);
    fields.take("Latitude");
    fields.take("Longitude");
    Some(InboundContent::Location { latitude, longitude, label: fields.take("Label"), address: fields.take("Address") })
}

/// `MediaUrl0`, `MediaUrl1` and so on, up to the first gap; `NumMedia` only repeats their number.
fn media(fields: &mut Fields) -> Vec<MediaItem> {
    let items: Vec<MediaItem> = (0..)
        .map_while(|n| {
            let url = fields.take(&format!("MediaUrl{n}"))?;
            Some(MediaItem { url, content_type: fields.take(&format!("MediaContentType{n}")) })
        })
        .collect();
    if fields.peek("NumMedia").and_then(|number| number.parse().ok()) == Some(items.len()) {
        fields.take("NumMedia");
    }
    items
}
