//! Accounts and their auth tokens.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Call,
    errors::{ApiError, Outcome},
    keys::ApiKey,
    pages,
};
use crate::{clock, http::Answer, ids, world::World};

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) sid: String,
    pub(crate) friendly_name: String,
    /// The parent, or the account itself.
    pub(crate) owner_sid: String,
    pub(crate) status: String,
    /// The primary token: the only one that webhooks are signed with.
    pub(crate) auth_token: String,
    pub(crate) secondary_token: Option<String>,
    pub(crate) keys: Vec<ApiKey>,
    pub(crate) opt_out_handling: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Account {
    pub(crate) fn new(sid: String, auth_token: String, friendly_name: String, now: Timestamp) -> Self {
        Self {
            owner_sid: sid.clone(),
            sid,
            friendly_name,
            status: "active".to_owned(),
            auth_token,
            secondary_token: None,
            keys: Vec::new(),
            opt_out_handling: true,
            created: now,
            updated: now,
        }
    }

    fn render(&self) -> Value {
        let uri = |resource: &str| format!("/2010-04-01/Accounts/{}{resource}.json", self.sid);
        json!({
            "auth_token": self.auth_token,
            "date_created": clock::rfc2822(self.created),
            "date_updated": clock::rfc2822(self.updated),
            "friendly_name": self.friendly_name,
            "owner_account_sid": self.owner_sid,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {
                "incoming_phone_numbers": uri("/IncomingPhoneNumbers"),
                "keys": uri("/Keys"),
                "messages": uri("/Messages"),
                "signing_keys": uri("/SigningKeys"),
                "usage": uri("/Usage"),
            },
            "type": "Full",
            "uri": uri(""),
        })
    }
}

pub(crate) fn fetch(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &world.twilio.account(call)?.render()))
}

pub(crate) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let query = &call.request.query;
    let accounts: Vec<&Account> = world
        .twilio
        .accounts
        .values()
        .filter(|account| account.owner_sid == call.account || account.sid == call.account)
        .filter(|account| query.text("FriendlyName").is_none_or(|name| account.friendly_name == name))
        .filter(|account| query.text("Status").is_none_or(|status| account.status == status))
        .collect();
    pages::relative(call.request, "accounts", accounts, |account| &account.sid, Account::render)
}

/// Makes a subaccount.
pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let form = call.request.form();
    let (sid, token) = (ids::sid(&mut world.rng, "AC"), ids::auth_token(&mut world.rng));
    let name = form.text("FriendlyName").map_or_else(|| format!("SubAccount Created at {now}"), str::to_owned);
    let mut account = Account::new(sid.clone(), token, name, now);
    account.owner_sid = call.account.to_owned();
    let rendered = account.render();
    world.twilio.accounts.insert(sid, account);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let form = call.request.form();
    let account = world.twilio.account_mut(call)?;
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
pub(crate) fn create_secondary_token(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let token = ids::auth_token(&mut world.rng);
    let account = world.twilio.account_mut(call)?;
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

pub(crate) fn delete_secondary_token(world: &mut World, call: &Call<'_>) -> Outcome {
    let account = world.twilio.account_mut(call)?;
    account.secondary_token.take().ok_or_else(|| ApiError::not_found(&call.request.path))?;
    Ok(Answer::no_content())
}

/// The secondary token becomes the primary one, and the old primary one stops working at once.
pub(crate) fn promote_token(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let account = world.twilio.account_mut(call)?;
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
