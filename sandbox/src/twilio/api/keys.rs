//! API keys, in the 2010 API and in IAM v1.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{accounts, call::Call, pages};
use crate::{
    http::{Answer, Pairs},
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, keys::ApiKey},
    },
};

const MOST_PERMISSIONS: usize = 100;

/// Creates a standard key. This API ignores `KeyType` and `Policy`.
pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let key = make(desk, call, &call.request.form(), None)?;
    Ok(Answer::json(StatusCode::CREATED, &key.with("secret", json!(key.secret))))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let list_key = if call.request.path.contains("/SigningKeys") { "signing_keys" } else { "keys" };
    let keys = accounts::find(desk.state, call)?.keys.iter().collect();
    pages::relative(call.request, list_key, keys, |key| &key.sid, ApiKey::render)
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render()))
}

pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let key = find(desk.state, call)?;
    rename(key, &call.request.form(), now);
    Ok(Answer::json(StatusCode::OK, &key.render()))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sid = find(desk.state, call)?.sid.clone();
    accounts::find_mut(desk.state, call)?.keys.retain(|key| key.sid != sid);
    Ok(Answer::no_content())
}

pub(crate) fn create_in_iam(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let form = call.request.form();
    named_account(call, form.text("AccountSid"))?;
    let policy = match (form.text("KeyType"), form.text("Policy")) {
        (None, _) => None,
        (Some("restricted"), policy) => Some(parse_policy(policy.unwrap_or("{\"allow\":[]}"))?),
        (Some(other), _) => {
            return Err(ApiError::invalid(20001, format!("KeyType must be restricted, not '{other}'")));
        }
    };
    let key = make(desk, call, &form, policy)?;
    let mut rendered = key.with("secret", json!(key.secret));
    rendered["policy"] = key.policy();
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn list_in_iam(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    named_account(call, call.request.query.text("AccountSid"))?;
    let keys = accounts::find(desk.state, call)?.keys.iter().collect();
    let render = |key: &ApiKey| key.with("flags", json!(["rest_api", "signing"]));
    pages::absolute(call.request, "keys", keys, 50, |key| &key.sid, render)
}

pub(crate) fn fetch_in_iam(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let key = find(desk.state, call)?;
    Ok(Answer::json(StatusCode::OK, &key.with("policy", key.policy())))
}

pub(crate) fn update_in_iam(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let key = find(desk.state, call)?;
    if let Some(policy) = form.text("Policy") {
        key.policy = Some(parse_policy(policy)?);
    }
    rename(key, &form, now);
    Ok(Answer::json(StatusCode::OK, &key.with("policy", key.policy())))
}

fn make(desk: &mut Desk<'_>, call: &Call<'_>, form: &Pairs, policy: Option<Value>) -> Result<ApiKey, ApiError> {
    let now = desk.world.now();
    let friendly_name = form.text("FriendlyName").unwrap_or_default().to_owned();
    if friendly_name.chars().count() > 64 {
        return Err(ApiError::invalid(20002, "Invalid FriendlyName: at most 64 characters"));
    }
    let key = ApiKey {
        sid: ids::sid(&mut desk.world.rng, "SK"),
        secret: ids::key_secret(&mut desk.world.rng),
        friendly_name,
        policy,
        created: now,
        updated: now,
    };
    accounts::find_mut(desk.state, call)?.keys.push(key.clone());
    Ok(key)
}

fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut ApiKey, ApiError> {
    let sid = call.id(0);
    let account = accounts::find_mut(state, call)?;
    account.keys.iter_mut().find(|key| key.sid == sid).ok_or_else(|| ApiError::not_found(&call.request.path))
}

fn rename(key: &mut ApiKey, form: &Pairs, now: Timestamp) {
    if let Some(name) = form.text("FriendlyName") {
        key.friendly_name = name.to_owned();
    }
    key.updated = now;
}

/// IAM v1 names the account in a parameter instead of the path.
fn named_account(call: &Call<'_>, named: Option<&str>) -> Result<(), ApiError> {
    match named {
        None => Err(ApiError::invalid(20001, "Missing required parameter AccountSid")),
        Some(named) if named == call.account => Ok(()),
        Some(_) => Err(ApiError::unauthorized()),
    }
}

fn parse_policy(text: &str) -> Result<Value, ApiError> {
    let invalid = || ApiError::invalid(70002, "Policy must be a JSON object such as {\"allow\":[\"/twilio/…/read\"]}");
    let policy: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    let allow = policy["allow"].as_array().ok_or_else(invalid)?;
    let well_formed = |granted: &Value| granted.as_str().is_some_and(|path| path.starts_with("/twilio/"));
    if allow.len() > MOST_PERMISSIONS || !allow.iter().all(well_formed) {
        return Err(invalid());
    }
    Ok(policy)
}
