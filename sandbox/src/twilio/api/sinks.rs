//! Sinks of Event Streams: create, list, rename, delete, test and validate.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{call::Call, pages};
use crate::{
    http::{Answer, Pairs},
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, streams::Sink},
        traffic::events,
    },
};

const TYPES: [&str; 4] = ["kinesis", "webhook", "segment", "email"];

/// A webhook sink is active from the beginning; any other must be validated first.
pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let sink_type = required(&form, "SinkType")?;
    if !TYPES.contains(&sink_type.as_str()) {
        return Err(ApiError::invalid(
            20001,
            format!("SinkType must be one of {}, not '{sink_type}'", TYPES.join(", ")),
        ));
    }
    let is_webhook = sink_type == "webhook";
    let sink = Sink {
        description: required(&form, "Description")?,
        configuration: configuration(&required(&form, "SinkConfiguration")?, is_webhook)?,
        sid: ids::sid(&mut desk.world.rng, "DG"),
        account: call.account.to_owned(),
        sink_type,
        status: if is_webhook { "active" } else { "initialized" }.to_owned(),
        test_id: None,
        created: now,
        updated: now,
    };
    let rendered = sink.render(&call.request.base);
    desk.state.streams.sinks.insert(sink.sid.clone(), sink);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

fn configuration(text: &str, is_webhook: bool) -> Result<Map<String, Value>, ApiError> {
    let Ok(Value::Object(configuration)) = serde_json::from_str(text) else {
        return Err(ApiError::invalid(20001, "SinkConfiguration must be a JSON object"));
    };
    let destination = configuration.get("destination").and_then(Value::as_str).unwrap_or_default();
    let is_callable = url::Url::parse(destination).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
    if is_webhook && !is_callable {
        return Err(ApiError::invalid(20001, "SinkConfiguration must have a destination that is a URL"));
    }
    if is_webhook && configuration.get("method").is_some_and(|method| method != "POST" && method != "GET") {
        return Err(ApiError::invalid(20001, "SinkConfiguration's method must be POST or GET"));
    }
    Ok(configuration)
}

pub(super) fn required(form: &Pairs, name: &'static str) -> Result<String, ApiError> {
    let missing = || ApiError::invalid(20001, format!("Missing required parameter {name} in the post body"));
    form.text(name).map(str::to_owned).ok_or_else(missing)
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let (status, in_use) = (call.request.query.text("Status"), call.request.query.flag("InUse"));
    let subscriptions = &desk.state.streams.subscriptions;
    let is_used = |sink: &Sink| subscriptions.values().any(|subscription| subscription.sink == sink.sid);
    let mut sinks: Vec<_> = desk.state.streams.sinks.values().filter(|sink| sink.account == call.account).collect();
    sinks.retain(|sink| status.is_none_or(|status| sink.status == status));
    sinks.retain(|sink| in_use.is_none_or(|in_use| is_used(sink) == in_use));
    sinks.sort_by_key(|sink| (sink.created, sink.sid.clone()));
    pages::absolute(call.request, "sinks", sinks, 50, |sink| &sink.sid, |sink| sink.render(&call.request.base))
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render(&call.request.base)))
}

/// Only its description can change.
pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let description = required(&call.request.form(), "Description")?;
    let sink = find(desk.state, call)?;
    sink.description = description;
    sink.updated = now;
    Ok(Answer::json(StatusCode::OK, &sink.render(&call.request.base)))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sid = find(desk.state, call)?.sid.clone();
    if desk.state.streams.subscriptions.values().any(|subscription| subscription.sink == sid) {
        return Err(ApiError::invalid(20001, "the sink has subscriptions; delete those first"));
    }
    desk.state.streams.sinks.remove(&sid);
    Ok(Answer::no_content())
}

/// Sends a test event, after which the sink must be validated.
pub(crate) fn test(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let test_id = ids::sid(&mut desk.world.rng, "TE");
    let sink = find(desk.state, call)?;
    "validating".clone_into(&mut sink.status);
    sink.test_id = Some(test_id.clone());
    sink.updated = now;
    if let Some(destination) = sink.destination().map(str::to_owned) {
        events::test(desk, call.account, &destination, &test_id);
    }
    Ok(Answer::json(StatusCode::CREATED, &json!({"result": "submitted"})))
}

pub(crate) fn validate(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let test_id = required(&call.request.form(), "TestId")?;
    let sink = find(desk.state, call)?;
    if sink.test_id.as_deref() != Some(test_id.as_str()) {
        return Err(ApiError::invalid(20001, "TestId is not the one of the last test event"));
    }
    "active".clone_into(&mut sink.status);
    sink.updated = now;
    Ok(Answer::json(StatusCode::CREATED, &json!({"result": "valid"})))
}

fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Sink, ApiError> {
    let sink = state.streams.sinks.get_mut(call.id(0)).filter(|sink| sink.account == call.account);
    sink.ok_or_else(|| ApiError::not_found(&call.request.path))
}
