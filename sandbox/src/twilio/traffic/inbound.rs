//! Messages from customers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use jiff::Timestamp;
use serde_json::json;

use super::webhooks::{self, Outgoing};
use crate::{
    address::{self, WHATSAPP},
    ids,
    twilio::{
        desk::Desk,
        state::{
            State,
            messages::{Media, Message, Status},
            senders::Sender,
            services::Service,
            try_out,
        },
    },
    types::{Reply, ReplyAccepted, ReplyMedia, WebhookKind},
    world::{World, customers::Customer, webhooks::About},
};

const STOP: [&str; 8] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
const START: [&str; 3] = ["START", "UNSTOP", "YES"];

/// Why a customer's message is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("there is no sender {0}")]
    NoSuchSender(String),
    #[error("the customer has not joined the Sandbox of any account: they write `join` and its code first")]
    NotJoined,
    #[error("`to` is required, because there is not exactly one sender")]
    WhichSender,
    #[error("media[{0}].data is not base64")]
    Media(usize),
    #[error("media[{0}].contentType is not a media type such as image/png")]
    ContentType(usize),
}

/// Receives a customer's message: opens the window, handles STOP and START, and sends the inbound webhook.
pub(crate) fn receive(desk: &mut Desk<'_>, customer: &str, reply: &Reply) -> Result<ReplyAccepted, ReplyError> {
    let now = desk.world.now();
    let try_out = of_try_out(desk.state, customer, reply, now)?;
    let sender = match &try_out {
        Some(sid) => desk.state.senders[sid].clone(),
        None => sender(desk.state, reply.to.as_deref())?.clone(),
    };
    let joins = sender.try_out.as_ref().is_some_and(|try_out| try_out.is_joined_by(&reply.body));
    if let Some(joined) =
        desk.state.senders.get_mut(&sender.sid).and_then(|sender| sender.try_out.as_mut().filter(|_| joins))
    {
        joined.join(address::bare(customer), now);
    }
    let service = desk.state.service_of(&sender.sid).cloned();
    let media = media(desk.world, reply)?;

    let sender_number = address::bare(&sender.address).to_owned();
    let person = desk.world.customers.of_mut(customer);
    person.writes_to(&sender_number, now);
    if let Some(name) = &reply.profile_name {
        name.clone_into(&mut person.profile_name);
    }
    let word = reply.body.trim().to_ascii_uppercase();
    if STOP.contains(&word.as_str()) || START.contains(&word.as_str()) {
        let out = STOP.contains(&word.as_str());
        person.opt(out, &sender_number);
        if let Some(service) = &service {
            person.opt(out, &service.sid);
        }
    }
    let person = person.clone();

    let message = Message {
        sid: ids::sid(&mut desk.world.rng, "SM"),
        account: sender.account.clone(),
        service: service.as_ref().map(|service| service.sid.clone()),
        direction: "inbound",
        from: Some(from(&person, customer)),
        to: sender.address.clone(),
        body: reply.body.clone(),
        media,
        content: None,
        status: Status::Received,
        error_code: None,
        status_callback: None,
        created: now,
        updated: now,
        sent: Some(now),
        expires: None,
        history: vec![(now, Status::Received)],
        deleted: false,
    };
    let message_sid = message.sid.clone();
    let webhook = target(&sender, service.as_ref()).map(|target| Outgoing {
        about: About {
            kind: WebhookKind::Inbound,
            account: message.account.clone(),
            message_sid: message.sid.clone(),
            message_status: "received".to_owned(),
            to: message.to.clone(),
        },
        method: target.method,
        url: target.url,
        form: form(&message, &person, reply, desk.world.public_base()),
        fallback: target.fallback,
    });
    desk.state.messages.add(message, desk.world.keep);
    // Twilio answers the words that join by itself.
    let webhook = webhook.filter(|_| !joins).and_then(|webhook| webhooks::send(desk, webhook));
    Ok(ReplyAccepted { message_sid, webhook })
}

/// The SID of the part of Twilio's Sandbox that a customer's message is for: the one that it joins, or that the
/// customer has joined. `None` for a message to another number.
fn of_try_out(state: &State, customer: &str, reply: &Reply, now: Timestamp) -> Result<Option<String>, ReplyError> {
    let is_addressed = reply.to.as_deref().is_some_and(|to| address::bare(to) == try_out::NUMBER);
    let mut parts =
        state.senders.values().filter_map(|sender| Some((&sender.sid, sender.try_out.as_ref()?))).peekable();
    if !is_addressed || parts.peek().is_none() {
        return Ok(None);
    }
    let parts: Vec<_> = parts.collect();
    let joins = parts.iter().find(|(_, part)| part.is_joined_by(&reply.body));
    let joined = || parts.iter().find(|(_, part)| part.has_joined(address::bare(customer), now));
    match joins.or_else(joined) {
        Some((sid, _)) => Ok(Some((*sid).clone())),
        // A seed may have a sender of its own with this number.
        None if state
            .senders
            .values()
            .any(|sender| sender.try_out.is_none() && address::bare(&sender.address) == try_out::NUMBER) =>
        {
            Ok(None)
        }
        None => Err(ReplyError::NotJoined),
    }
}

fn sender<'s>(state: &'s State, to: Option<&str>) -> Result<&'s Sender, ReplyError> {
    let mut senders = state.senders.values().filter(|sender| sender.try_out.is_none());
    match to {
        Some(to) => senders
            .find(|sender| address::bare(&sender.address) == address::bare(to))
            .ok_or_else(|| ReplyError::NoSuchSender(to.to_owned())),
        None => senders.next().filter(|_| senders.next().is_none()).ok_or(ReplyError::WhichSender),
    }
}

fn media(world: &mut World, reply: &Reply) -> Result<Vec<Media>, ReplyError> {
    let now = world.now();
    let decode = |(place, media): (usize, &ReplyMedia)| {
        if media.content_type.is_empty() || http::HeaderValue::from_str(&media.content_type).is_err() {
            return Err(ReplyError::ContentType(place));
        }
        let data = STANDARD.decode(&media.data).map_err(|_| ReplyError::Media(place))?;
        let sid = ids::sid(&mut world.rng, "ME");
        Ok(Media { sid, content_type: media.content_type.clone(), data: data.into(), created: now })
    };
    reply.media.iter().enumerate().map(decode).collect()
}

/// The phone number, unless it is unknown or hidden; then the business-scoped user id.
fn from(person: &Customer, named: &str) -> String {
    let number = person.phone_number.as_deref().filter(|_| !person.phone_number_hidden);
    let bare = number.or(person.external_user_id.as_deref()).unwrap_or(address::bare(named));
    format!("{WHATSAPP}{bare}")
}

/// Where a sender's inbound messages are reported.
struct Target {
    method: Method,
    url: String,
    fallback: Option<(Method, String)>,
}

/// The service's URL if there is one, else the sender's.
fn target(sender: &Sender, service: Option<&Service>) -> Option<Target> {
    let method = |name: &str| name.parse().unwrap_or(Method::POST);
    let of_service = service.filter(|service| !service.uses_webhook_on_number()).and_then(|service| {
        Some(Target {
            method: method(&service.inbound_method),
            url: service.inbound_request_url.clone()?,
            fallback: service.fallback_url.clone().map(|url| (method(&service.fallback_method), url)),
        })
    });
    of_service.or_else(|| {
        let text = |name| sender.webhook_text(name);
        let fallback_method = method(&text("fallback_method").unwrap_or_default());
        Some(Target {
            method: method(&text("callback_method").unwrap_or_default()),
            url: text("callback_url")?,
            fallback: text("fallback_url").map(|url| (fallback_method, url)),
        })
    })
}

fn form(message: &Message, person: &Customer, reply: &Reply, base: &str) -> Vec<(String, String)> {
    let from = message.from.clone().unwrap_or_default();
    let wa_id = from.strip_prefix("whatsapp:+").map(str::to_owned);
    let button = reply.button_text.as_deref().or(reply.button_payload.as_deref());
    let kind = match (reply.media.first(), button, &reply.latitude) {
        (Some(media), ..) => match media.content_type.split('/').next().unwrap_or_default() {
            kind @ ("image" | "audio" | "video") => kind.to_owned(),
            _ => "document".to_owned(),
        },
        (None, Some(_), _) => "interactive".to_owned(),
        (None, None, Some(_)) => "location".to_owned(),
        (None, None, None) => "text".to_owned(),
    };
    let mut context = json!({"ProfileName": person.profile_name, "Forwarded": "false", "FrequentlyForwarded": "false"});
    let mut form: Vec<(&str, String)> = vec![
        ("SmsMessageSid", message.sid.clone()),
        ("NumMedia", message.media.len().to_string()),
        ("ProfileName", person.profile_name.clone()),
        ("MessageType", kind),
        ("SmsSid", message.sid.clone()),
    ];
    if let Some(wa_id) = wa_id {
        context["WaId"] = json!(wa_id);
        form.push(("WaId", wa_id));
    }
    form.push(("SmsStatus", "received".to_owned()));
    form.push(("Body", message.body.clone()));
    form.push(("Forwarded", "false".to_owned()));
    form.push(("FrequentlyForwarded", "false".to_owned()));
    form.push(("To", message.to.clone()));
    if let Some(service) = &message.service {
        form.push(("MessagingServiceSid", service.clone()));
    }
    form.push(("NumSegments", "1".to_owned()));
    form.push(("ReferralNumMedia", "0".to_owned()));
    form.push(("MessageSid", message.sid.clone()));
    form.push(("AccountSid", message.account.clone()));
    if let Some(id) = &person.external_user_id {
        form.push(("ExternalUserId", format!("{WHATSAPP}{id}")));
    }
    if let Some(text) = button {
        context["ButtonText"] = json!(text);
        form.push(("ButtonText", text.to_owned()));
        form.push(("ButtonPayload", reply.button_payload.clone().unwrap_or_default()));
    }
    if let Some(sid) = &reply.replies_to {
        form.push(("OriginalRepliedMessageSid", sid.clone()));
        form.push(("OriginalRepliedMessageSender", message.to.clone()));
    }
    if let (Some(latitude), Some(longitude)) = (&reply.latitude, &reply.longitude) {
        form.push(("Latitude", latitude.clone()));
        form.push(("Longitude", longitude.clone()));
    }
    form.push(("ChannelMetadata", json!({"type": "whatsapp", "data": {"context": context}}).to_string()));
    form.push(("From", from));
    form.push(("ApiVersion", "2010-04-01".to_owned()));
    let mut form: Vec<(String, String)> = form.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for (place, media) in message.media.iter().enumerate() {
        let uri = message.uri(&format!("/Media/{}", media.sid));
        let uri = uri.strip_suffix(".json").unwrap_or(&uri);
        form.push((format!("MediaContentType{place}"), media.content_type.clone()));
        form.push((format!("MediaUrl{place}"), format!("{base}{uri}")));
    }
    form.extend(reply.extra.clone());
    form
}
