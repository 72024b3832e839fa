//! Messages: create, read, redact, cancel, delete.

use http::StatusCode;
use jiff::civil::Date;
use serde_json::json;

use super::{call::Call, new_message, pages};
use crate::{
    clock,
    http::Answer,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{
            State, Step,
            messages::{Message, Status},
        },
    },
};

pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let new = new_message::check(desk, call.account, &form, now)?;
    let send_at = new.send_at;
    let message = new.into_message(&mut desk.world.rng, call.account, now);
    if let Some(sender) = message.from.as_deref().and_then(|from| desk.state.sender_at_mut(call.account, from)) {
        sender.try_out.iter_mut().for_each(|try_out| try_out.sends(now));
    }
    let (sid, rendered) = (message.sid.clone(), message.render());
    desk.state.messages.add(message, desk.world.keep);
    match send_at {
        Some(send_at) => desk.at(send_at, Step::Advance(sid)),
        None => desk.after(desk.world.delays.status, Step::Advance(sid)),
    }
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render()))
}

/// Newest first.
pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let query = &call.request.query;
    let day = |name: &str| {
        let day = query.text(name).map(|text| text.get(..10).unwrap_or(text).parse::<Date>()).transpose();
        day.map_err(|_| ApiError::invalid(20001, format!("{name} must be a date such as 2026-01-31")))
    };
    let (on, until, from) = (day("DateSent")?, day("DateSent<")?, day("DateSent>")?);
    let wanted = |message: &&Message| {
        let sent = message.sent.unwrap_or(message.created).to_zoned(jiff::tz::TimeZone::UTC).date();
        message.account == call.account
            && !message.deleted
            && query.text("To").is_none_or(|to| message.to == to)
            && query.text("From").is_none_or(|from| message.from.as_deref() == Some(from))
            && on.is_none_or(|on| sent == on)
            && until.is_none_or(|until| sent <= until)
            && from.is_none_or(|from| sent >= from)
    };
    let messages = desk.state.messages.oldest_first().rev().filter(wanted).collect();
    pages::relative(call.request, "messages", messages, |message| &message.sid, Message::render)
}

/// Redacts (an empty `Body`) or cancels (`Status=canceled`).
pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let message = find(desk.state, call)?;
    if let Some(status) = form.text("Status") {
        if status != "canceled" {
            return Err(ApiError::invalid(20001, format!("Status can only become canceled, not '{status}'")));
        }
        if message.status != Status::Scheduled {
            let message = format!("Only a scheduled message can be canceled; this one is {}", message.status.as_str());
            return Err(ApiError::invalid(30409, message));
        }
        message.becomes(Status::Canceled, now);
    }
    match form.get("Body") {
        None => {}
        Some("") if message.status.has_left() => message.body.clear(),
        Some("") => return Err(ApiError::invalid(20009, "Cannot redact a message before it is sent")),
        Some(_) => return Err(ApiError::invalid(20001, "Body can only become empty")),
    }
    Ok(Answer::json(StatusCode::OK, &message.render()))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let message = find(desk.state, call)?;
    if !message.status.has_left() {
        return Err(ApiError::new(StatusCode::CONFLICT, 20009, "Cannot delete a message before it is complete"));
    }
    message.deleted = true;
    Ok(Answer::no_content())
}

pub(crate) fn feedback(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = clock::rfc2822(desk.world.now());
    let form = call.request.form();
    let outcome = form.text("Outcome").unwrap_or("confirmed");
    if !["confirmed", "unconfirmed"].contains(&outcome) {
        return Err(ApiError::invalid(20001, format!("Outcome must be confirmed or unconfirmed, not '{outcome}'")));
    }
    let message = find(desk.state, call)?;
    let body = json!({
        "account_sid": message.account,
        "message_sid": message.sid,
        "outcome": outcome,
        "date_created": now,
        "date_updated": now,
        "uri": message.uri("/Feedback"),
    });
    Ok(Answer::json(StatusCode::OK, &body))
}

/// Shows the customer a typing indicator, and marks the customer's message as read.
pub(crate) fn typing(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let form = call.request.form();
    if form.text("channel") != Some("whatsapp") {
        return Err(ApiError::invalid(20001, "channel must be whatsapp"));
    }
    let sid = form.text("messageId").unwrap_or_default();
    let inbound = |message: &&Message| message.account == call.account && message.status == Status::Received;
    desk.state.messages.get(sid).filter(inbound).ok_or_else(|| ApiError::not_found(&call.request.path))?;
    Ok(Answer::json(StatusCode::OK, &json!({"success": true})))
}

pub(crate) fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Message, ApiError> {
    let message = state.messages.get_mut(call.id(0));
    let message = message.filter(|message| message.account == call.account && !message.deleted);
    message.ok_or_else(|| ApiError::not_found(&call.request.path))
}
