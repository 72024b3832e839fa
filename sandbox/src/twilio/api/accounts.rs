//! Accounts: list, create subaccounts, change, and rotate auth tokens.

use http::StatusCode;
use serde_json::json;

use super::{call::Call, pages};
use crate::{
    clock,
    http::Answer,
    ids,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, accounts::Account},
    },
};

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render()))
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let query = &call.request.query;
    let accounts: Vec<&Account> = desk
        .state
        .accounts
        .values()
        .filter(|account| account.owner_sid == call.account || account.sid == call.account)
        .filter(|account| query.text("FriendlyName").is_none_or(|name| account.friendly_name == name))
        .filter(|account| query.text("Status").is_none_or(|status| account.status == status))
        .collect();
    pages::relative(call.request, "accounts", accounts, |account| &account.sid, Account::render)
}

/// Creates a subaccount.
pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let (sid, token) = (ids::sid(&mut desk.world.rng, "AC"), ids::auth_token(&mut desk.world.rng));
    let name = form.text("FriendlyName").map_or_else(|| format!("SubAccount Created at {now}"), str::to_owned);
    let mut account = Account::new(sid.clone(), token, name, now);
    account.owner_sid = call.account.to_owned();
    let rendered = account.render();
    desk.state.accounts.insert(sid, account);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let form = call.request.form();
    let account = find_mut(desk.state, call)?;
    if let Some(name) = form.text("FriendlyName") {
        account.friendly_name = name.to_owned();
    }
    if let Some(status) = form.text("Status") {
        if !["active", "suspended", "closed"].contains(&status) {
            return Err(ApiError::invalid(
                20001,
                format!("Status must be active, suspended or closed, not '{status}'"),
            ));
        }
        account.status = status.to_owned();
    }
    account.updated = now;
    Ok(Answer::json(StatusCode::OK, &account.render()))
}

/// The secondary token authenticates at once; webhooks stay signed with the primary one.
pub(crate) fn create_secondary_token(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let token = ids::auth_token(&mut desk.world.rng);
    let account = find_mut(desk.state, call)?;
    account.secondary_token = Some(token.clone());
    account.updated = now;
    let body = json!({
        "account_sid": account.sid,
        "secondary_auth_token": token,
        "date_created": clock::iso8601(now),
        "date_updated": clock::iso8601(now),
        "url": format!("{}/v1/AuthTokens/Secondary", call.request.base),
    });
    Ok(Answer::json(StatusCode::CREATED, &body))
}

pub(crate) fn delete_secondary_token(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let account = find_mut(desk.state, call)?;
    account.secondary_token.take().ok_or_else(|| ApiError::not_found(&call.request.path))?;
    Ok(Answer::no_content())
}

/// The secondary token becomes the primary one, and the old primary one stops working at once.
pub(crate) fn promote_token(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let account = find_mut(desk.state, call)?;
    let token = account
        .secondary_token
        .take()
        .ok_or_else(|| ApiError::invalid(20001, "there is no secondary auth token to promote"))?;
    account.auth_token = token;
    account.updated = now;
    let body = json!({
        "account_sid": account.sid,
        "auth_token": account.auth_token,
        "date_created": clock::iso8601(account.created),
        "date_updated": clock::iso8601(now),
        "url": format!("{}/v1/AuthTokens/Promote", call.request.base),
    });
    Ok(Answer::json(StatusCode::OK, &body))
}

/// The account that a call acts on.
pub(crate) fn find<'s>(state: &'s State, call: &Call<'_>) -> Result<&'s Account, ApiError> {
    state.accounts.get(call.account).ok_or_else(|| ApiError::not_found(&call.request.path))
}

pub(crate) fn find_mut<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Account, ApiError> {
    state.accounts.get_mut(call.account).ok_or_else(|| ApiError::not_found(&call.request.path))
}
