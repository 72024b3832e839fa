//! The senders and phone numbers of a messaging service.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{call::Call, pages, services};
use crate::{
    address, clock,
    http::Answer,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{
            State,
            services::{Member, Service},
        },
    },
};

pub(crate) fn add(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let sid = form.text("Sid").unwrap_or_default();
    let service = services::find(desk.state, call)?.sid.clone();
    if desk.state.senders.get(sid).is_none_or(|sender| sender.account != call.account) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, 20404, format!("There is no sender '{sid}'")));
    }
    let member = join(desk.state, &service, sid, now, |service| &mut service.senders)?;
    Ok(Answer::json(StatusCode::CREATED, &render_sender(desk.state, call, &member)))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let members = services::find(desk.state, call)?.senders.clone();
    let state = &*desk.state;
    pages::absolute(
        call.request,
        "senders",
        members,
        50,
        |member| &member.sid,
        |member| render_sender(state, call, &member),
    )
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let member = member(services::find(desk.state, call)?.senders.as_slice(), call)?;
    Ok(Answer::json(StatusCode::OK, &render_sender(desk.state, call, &member)))
}

pub(crate) fn remove(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let service = services::find(desk.state, call)?;
    member(&service.senders, call)?;
    service.senders.retain(|member| member.sid != call.id(1));
    Ok(Answer::no_content())
}

pub(crate) fn add_number(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let sid = form.text("PhoneNumberSid").unwrap_or_default();
    let service = services::find(desk.state, call)?.sid.clone();
    if desk.state.phone_numbers.get(sid).is_none_or(|number| number.account != call.account) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, 20404, format!("There is no phone number '{sid}'")));
    }
    let member = join(desk.state, &service, sid, now, |service| &mut service.numbers)?;
    Ok(Answer::json(StatusCode::CREATED, &render_number(desk.state, call, &member)))
}

pub(crate) fn list_numbers(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let members = services::find(desk.state, call)?.numbers.clone();
    let state = &*desk.state;
    pages::absolute(
        call.request,
        "phone_numbers",
        members,
        50,
        |member| &member.sid,
        |member| render_number(state, call, &member),
    )
}

pub(crate) fn fetch_number(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let member = member(services::find(desk.state, call)?.numbers.as_slice(), call)?;
    Ok(Answer::json(StatusCode::OK, &render_number(desk.state, call, &member)))
}

pub(crate) fn remove_number(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let service = services::find(desk.state, call)?;
    member(&service.numbers, call)?;
    service.numbers.retain(|member| member.sid != call.id(1));
    Ok(Answer::no_content())
}

fn member(members: &[Member], call: &Call<'_>) -> Result<Member, ApiError> {
    let found = members.iter().find(|member| member.sid == call.id(1)).cloned();
    found.ok_or_else(|| ApiError::not_found(&call.request.path))
}

/// Puts a sender or number into a service. It can be in only one.
fn join(
    state: &mut State,
    service: &str,
    sid: &str,
    now: Timestamp,
    members: impl Fn(&mut Service) -> &mut Vec<Member>,
) -> Result<Member, ApiError> {
    let conflict = |code, message: String| Err(ApiError::new(StatusCode::CONFLICT, code, message));
    for other in state.services.values_mut() {
        if members(other).iter().any(|member| member.sid == sid) {
            return if other.sid == service {
                conflict(21710, format!("{sid} is already in the Messaging Service"))
            } else {
                conflict(21712, format!("{sid} is associated with another Messaging Service, {}", other.sid))
            };
        }
    }
    let member = Member { sid: sid.to_owned(), since: now };
    if let Some(service) = state.services.get_mut(service) {
        members(service).push(member.clone());
    }
    Ok(member)
}

fn render_sender(state: &State, call: &Call<'_>, member: &Member) -> Value {
    let service = call.id(0);
    let sender = state.senders.get(&member.sid).map(|sender| sender.address.as_str()).unwrap_or_default();
    json!({
        "account_sid": call.account,
        "messaging_service_sid": service,
        "sid": member.sid,
        "sender": sender,
        "sender_type": "WhatsApp",
        "country_code": address::country(sender),
        "date_created": clock::iso8601(member.since),
        "date_updated": clock::iso8601(member.since),
        "url": format!("{}/v1/Services/{service}/ChannelSenders/{}", call.request.base, member.sid),
    })
}

fn render_number(state: &State, call: &Call<'_>, member: &Member) -> Value {
    let service = call.id(0);
    let number = state.phone_numbers.get(&member.sid);
    let digits = number.map(|number| number.number.as_str()).unwrap_or_default();
    json!({
        "sid": member.sid,
        "account_sid": call.account,
        "service_sid": service,
        "date_created": clock::iso8601(number.map_or(member.since, |number| number.created)),
        "date_updated": clock::iso8601(member.since),
        "phone_number": digits,
        "country_code": address::country(digits),
        "capabilities": ["MMS", "SMS"],
        "url": format!("{}/v1/Services/{service}/PhoneNumbers/{}", call.request.base, member.sid),
    })
}
