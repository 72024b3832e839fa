//! Messaging services: create, list, change, delete.

use http::StatusCode;

use super::{call::Call, pages};
use crate::{
    http::Answer,
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, services::Service},
    },
};

pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    if form.text("FriendlyName").is_none() {
        return Err(ApiError::invalid(20001, "Missing required parameter FriendlyName in the post body"));
    }
    let mut service = Service::new(ids::sid(&mut desk.world.rng, "MG"), call.account.to_owned(), String::new(), now);
    service.change(&form, now)?;
    let rendered = service.render(&call.request.base);
    desk.state.services.insert(service.sid.clone(), service);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let mut services: Vec<_> = desk.state.services.values().filter(|service| service.account == call.account).collect();
    services.sort_by_key(|service| std::cmp::Reverse(service.created));
    let render = |service: &Service| service.render(&call.request.base);
    pages::absolute(call.request, "services", services, 50, |service| &service.sid, render)
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render(&call.request.base)))
}

pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let service = find(desk.state, call)?;
    // All of the change or none of it.
    let mut changed = service.clone();
    changed.change(&call.request.form(), now)?;
    *service = changed;
    Ok(Answer::json(StatusCode::OK, &service.render(&call.request.base)))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sid = find(desk.state, call)?.sid.clone();
    desk.state.services.remove(&sid);
    Ok(Answer::no_content())
}

pub(crate) fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Service, ApiError> {
    let service = state.services.get_mut(call.id(0)).filter(|service| service.account == call.account);
    service.ok_or_else(|| ApiError::not_found(&call.request.path))
}
