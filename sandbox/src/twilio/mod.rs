//! Twilio: find the route, find out who calls, act.
//!
//! Every host of Twilio is this one, so a path must tell the API by itself; so far all of them do.

pub(crate) mod accounts;
pub(crate) mod address;
pub(crate) mod approval;
pub(crate) mod auth;
pub(crate) mod callbacks;
pub(crate) mod channel_senders;
pub(crate) mod content;
pub(crate) mod content_types;
pub(crate) mod errors;
pub(crate) mod inbound;
pub(crate) mod keys;
pub(crate) mod lifecycle;
pub(crate) mod media;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod new_message;
pub(crate) mod pages;
pub(crate) mod review;
pub(crate) mod routes;
pub(crate) mod senders;
pub(crate) mod services;
pub mod signature;

use std::collections::BTreeMap;

use http::StatusCode;

use self::{
    accounts::Account,
    channel_senders::PhoneNumber,
    content::Content,
    errors::{ApiError, Outcome},
    message::Messages,
    routes::Search,
    senders::Sender,
    services::Service,
};
use crate::{
    control::types::ErrorShape,
    http::{Answer, Request},
    ids,
    world::World,
};

/// Everything that Twilio knows, by SID.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) messages: Messages,
    pub(crate) contents: BTreeMap<String, Content>,
    pub(crate) senders: BTreeMap<String, Sender>,
    pub(crate) phone_numbers: BTreeMap<String, PhoneNumber>,
    pub(crate) services: BTreeMap<String, Service>,
}

impl State {
    /// The account that a call acts on.
    pub(crate) fn account(&self, call: &Call<'_>) -> Result<&Account, ApiError> {
        self.accounts.get(call.account).ok_or_else(|| ApiError::not_found(&call.request.path))
    }

    pub(crate) fn account_mut(&mut self, call: &Call<'_>) -> Result<&mut Account, ApiError> {
        self.accounts.get_mut(call.account).ok_or_else(|| ApiError::not_found(&call.request.path))
    }
}

/// A request whose caller is known and may do this.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) request: &'r Request,
    /// The account that is acted on.
    pub(crate) account: &'r str,
    /// What stands in the path's variable places, after the account.
    ids: Vec<&'r str>,
}

impl<'r> Call<'r> {
    pub(crate) fn id(&self, place: usize) -> &'r str {
        self.ids.get(place).copied().unwrap_or_default()
    }
}

/// An answer, and whose credentials the request carried.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) account: Option<String>,
}

/// Answers one request.
pub(crate) fn answer(world: &mut World, request: &Request) -> Answered {
    let caller = match auth::authenticate(&world.twilio, request) {
        Ok(caller) => caller,
        Err(error) => return Answered { answer: error.answer(), account: None },
    };
    let outcome = act(world, request, &caller);
    let request_id = ids::sid(&mut world.rng, "RQ");
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

fn act(world: &mut World, request: &Request, caller: &auth::Caller) -> Outcome {
    let found = match routes::find(request.method.as_str(), &request.segments) {
        Search::Found(found) => found,
        Search::OtherMethod => {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 20004, "Method not allowed"));
        }
        Search::Nothing => return Err(ApiError::not_found(&request.path)),
    };
    let account = auth::authorize(&world.twilio, caller, found.route.access, found.account)?;
    (found.route.act)(world, &Call { request, account: &account, ids: found.ids })
}

/// The operations that are imitated: method, and path as the official OpenAPI documents write it.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.method, route.path))
}
