//! Twilio's HTTP API: finds the route, authenticates the caller, acts.
//!
//! All of Twilio's hosts share one here, so the path alone must identify the API. So far every path does.

mod accounts;
mod alerts;
mod approval;
mod auth;
mod call;
mod channel_senders;
mod content;
mod keys;
mod media;
mod messages;
mod new_message;
mod pages;
mod routes;
mod senders;
mod services;
mod sinks;
mod subscriptions;

use http::StatusCode;

pub(super) use self::auth::basic;
use self::{call::Call, routes::Search};
use super::{
    desk::Desk,
    errors::{ApiError, Outcome},
};
use crate::{http::Request, ids, provider::Answered, types::ErrorShape};

/// Answers one request.
pub(super) fn answer(desk: &mut Desk<'_>, request: &Request) -> Answered {
    let caller = match auth::authenticate(desk.state, request) {
        Ok(caller) => caller,
        Err(error) => return Answered { answer: error.answer(), account: None },
    };
    let outcome = act(desk, request, &caller);
    let request_id = ids::sid(&mut desk.world.rng, "RQ");
    let is_senders_api = request.path.starts_with("/v2/Channels/");
    let mut answer = outcome.unwrap_or_else(|error| {
        let shape = if is_senders_api { ErrorShape::Problem } else { error.shape };
        error.in_shape(shape).answer()
    });
    if is_senders_api {
        answer = answer.with_header("t-request-id", request_id.clone());
    }
    Answered { answer: answer.with_header("twilio-request-id", request_id), account: Some(caller.account) }
}

fn act(desk: &mut Desk<'_>, request: &Request, caller: &auth::Caller) -> Outcome {
    let found = match routes::find(request.method.as_str(), &request.segments) {
        Search::Found(found) => found,
        Search::OtherMethod => {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 20004, "Method not allowed"));
        }
        Search::Nothing => return Err(ApiError::not_found(&request.path)),
    };
    let account = auth::authorize(desk.state, caller, found.route.access, found.account)?;
    (found.route.act)(desk, &Call { request, account: &account, ids: found.ids })
}

/// The simulated operations: method, and path as in the official OpenAPI documents.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.method, route.path))
}
