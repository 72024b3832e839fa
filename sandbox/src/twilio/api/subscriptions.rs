//! Subscriptions of Event Streams, and the types of events that they choose.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use super::{call::Call, pages, sinks::required};
use crate::{
    http::Answer,
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, streams::Subscription},
    },
};

pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let (description, sink) = (required(&form, "Description")?, required(&form, "SinkSid")?);
    let types = form.all("Types").iter().map(|text| subscribed(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
    if types.is_empty() {
        return Err(ApiError::invalid(20001, "Missing required parameter Types in the post body"));
    }
    let found = desk.state.streams.sinks.get(&sink).filter(|found| found.account == call.account);
    if found.is_none_or(|found| found.status != "active") {
        return Err(ApiError::invalid(20001, "SinkSid must name an active sink of the account"));
    }
    let subscription = Subscription {
        sid: ids::sid(&mut desk.world.rng, "DF"),
        account: call.account.to_owned(),
        description,
        sink,
        types,
        created: now,
        updated: now,
    };
    let rendered = subscription.render(&call.request.base);
    desk.state.streams.subscriptions.insert(subscription.sid.clone(), subscription);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

/// One of `Types`: a JSON object with a type, and perhaps a version of its schema.
fn subscribed(text: &str) -> Result<(String, u64), ApiError> {
    let invalid = || ApiError::invalid(20001, "Types must be JSON objects such as {\"type\": \"com.twilio.…\"}");
    let subscribed: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    let name = subscribed["type"].as_str().filter(|name| name.starts_with("com.twilio.")).ok_or_else(invalid)?;
    Ok((name.to_owned(), subscribed["schema_version"].as_u64().unwrap_or(1)))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sink = call.request.query.text("SinkSid");
    let subscriptions = desk.state.streams.subscriptions.values();
    let mut found: Vec<_> = subscriptions.filter(|subscription| subscription.account == call.account).collect();
    found.retain(|subscription| sink.is_none_or(|sink| subscription.sink == sink));
    found.sort_by_key(|subscription| (subscription.created, subscription.sid.clone()));
    let render = |subscription: &Subscription| subscription.render(&call.request.base);
    pages::absolute(call.request, "subscriptions", found, 50, |subscription| &subscription.sid, render)
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render(&call.request.base)))
}

pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let subscription = find(desk.state, call)?;
    if let Some(description) = call.request.form().text("Description") {
        description.clone_into(&mut subscription.description);
    }
    subscription.updated = now;
    Ok(Answer::json(StatusCode::OK, &subscription.render(&call.request.base)))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sid = find(desk.state, call)?.sid.clone();
    desk.state.streams.subscriptions.remove(&sid);
    Ok(Answer::no_content())
}

pub(crate) fn list_types(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let subscription = find(desk.state, call)?;
    let types = subscription.types.iter().collect();
    let render = |subscribed| subscription.render_type(&call.request.base, subscribed);
    pages::absolute(call.request, "types", types, 50, |(name, _)| name, render)
}

fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Subscription, ApiError> {
    let found = state.streams.subscriptions.get_mut(call.id(0));
    let found = found.filter(|subscription| subscription.account == call.account);
    found.ok_or_else(|| ApiError::not_found(&call.request.path))
}
