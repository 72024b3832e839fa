//! Senders v2: registering and changing WhatsApp senders. Changes take effect a while after they are accepted.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{call::Call, pages};
use crate::{
    address,
    http::Answer,
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, Step, phone_numbers::PhoneNumber, senders::Sender},
    },
};

/// The page size where the caller names none.
const PAGE_SIZE: usize = 20;

pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let body = call.json_object()?;
    let number = body
        .get("sender_id")
        .and_then(Value::as_str)
        .and_then(|id| id.strip_prefix(address::WHATSAPP))
        .filter(|number| address::is_phone_number(number))
        .ok_or_else(|| {
            ApiError::invalid(20001, "sender_id must be whatsapp: and a phone number such as +14155238886")
        })?;
    let name = body.get("profile").and_then(|profile| profile["name"].as_str()).unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid(20001, "profile.name is required for a WhatsApp sender"));
    }
    let mut known = desk.state.senders.values().filter(|sender| sender.try_out.is_none());
    if known.any(|sender| address::bare(&sender.address) == number) {
        return Err(ApiError::new(StatusCode::CONFLICT, 20409, format!("the sender {number} already exists")));
    }
    let mut sender = Sender::online(ids::sid(&mut desk.world.rng, "XE"), call.account.to_owned(), number);
    sender.change(&body)?;
    let verification = desk.state.verifications.get_mut(number);
    let is_twilios = verification.is_none();
    if let Some(verification) = verification {
        verification.register(desk.world.now())?;
        sender.must_be_verified();
    }
    "CREATING".clone_into(&mut sender.status);
    let rendered = sender.render(&call.request.base);
    let sid = sender.sid.clone();
    desk.state.senders.insert(sid.clone(), sender);
    if is_twilios {
        let sid = ids::sid(&mut desk.world.rng, "PN");
        let phone_number = PhoneNumber::new(sid, call.account, number, desk.world.now());
        desk.state.phone_numbers.insert(phone_number.sid.clone(), phone_number);
    }
    desk.after(desk.world.delays.sender, Step::SenderSettles(sid));
    Ok(Answer::json(StatusCode::ACCEPTED, &rendered))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let channel = call.request.query.text("Channel").unwrap_or_default();
    if !["whatsapp", "rcs"].contains(&channel) {
        return Err(ApiError::invalid(20001, "Channel is required: whatsapp or rcs"));
    }
    let of_account =
        |sender: &&Sender| sender.account == call.account && channel == "whatsapp" && sender.try_out.is_none();
    let senders = desk.state.senders.values().filter(of_account).collect();
    let render = |sender: &Sender| sender.render(&call.request.base);
    pages::absolute(call.request, "senders", senders, PAGE_SIZE, |sender| &sender.sid, render)
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render(&call.request.base)))
}

pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let body = call.json_object()?;
    let is_right = try_code(desk, call, &body)?;
    let sender = find(desk.state, call)?;
    sender.change(&body)?;
    match is_right {
        Some(is_right) => sender.claim(is_right),
        None if sender.awaits_code() => {}
        None if sender.is_online() => "ONLINE:UPDATING".clone_into(&mut sender.status),
        None => "VERIFYING".clone_into(&mut sender.status),
    }
    let (rendered, sid) = (sender.render(&call.request.base), sender.sid.clone());
    desk.after(desk.world.delays.sender, Step::SenderSettles(sid));
    Ok(Answer::json(StatusCode::ACCEPTED, &rendered))
}

/// Whether the code in the body is the one that WhatsApp waits for. `None` where there is none, or WhatsApp waits for
/// none.
fn try_code(desk: &mut Desk<'_>, call: &Call<'_>, body: &Map<String, Value>) -> Result<Option<bool>, ApiError> {
    let code = body.get("configuration").and_then(|configuration| configuration["verification_code"].as_str());
    let sender = find(desk.state, call)?;
    let (Some(code), true) = (code, sender.awaits_code()) else { return Ok(None) };
    let number = address::bare(&sender.address).to_owned();
    let verification = desk.state.verifications.get_mut(&number);
    verification.map(|verification| verification.try_code(code, desk.world.now())).transpose()
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sender = find(desk.state, call)?;
    let (sid, number) = (sender.sid.clone(), address::bare(&sender.address).to_owned());
    desk.state.senders.remove(&sid);
    desk.state.phone_numbers.retain(|_, phone_number| phone_number.number != number);
    for service in desk.state.services.values_mut() {
        service.senders.retain(|member| member.sid != sid);
    }
    Ok(Answer::no_content())
}

fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Sender, ApiError> {
    let sender = state.senders.get_mut(call.id(0));
    let sender = sender.filter(|sender| sender.account == call.account && sender.try_out.is_none());
    sender.ok_or_else(|| ApiError::not_found(&call.request.path))
}
