//! Authenticates a request, and decides what its credentials allow.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;

use crate::{
    http::Request,
    twilio::{
        errors::ApiError,
        state::{State, keys::ApiKey},
    },
};

/// What a call needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// Any credential of the account; a restricted key needs this permission.
    Resource(&'static str),
    /// The account itself: needs the auth token, or a restricted key with this permission. A standard key is refused
    /// like wrong credentials.
    Management(&'static str),
    /// The auth token alone.
    AuthToken,
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) account: String,
    key: Option<ApiKey>,
}

/// The user name and password of HTTP Basic authentication.
pub(crate) fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.header("authorization")?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Identifies the caller by the request's credentials.
pub(crate) fn authenticate(state: &State, request: &Request) -> Result<Caller, ApiError> {
    let (username, password) = basic(request).ok_or_else(ApiError::unauthorized)?;
    if let Some(account) = state.accounts.get(&username) {
        let known = account.auth_token == password || account.secondary_token.as_deref() == Some(password.as_str());
        return if known { Ok(Caller { account: username, key: None }) } else { Err(ApiError::unauthorized()) };
    }
    state
        .accounts
        .values()
        .find_map(|account| {
            let key = account.keys.iter().find(|key| key.sid == username && key.secret == password)?;
            Some(Caller { account: account.sid.clone(), key: Some(key.clone()) })
        })
        .ok_or_else(ApiError::unauthorized)
}

/// Decides whether the caller may act for `named` (the account in the path; absent: its own) and returns that account.
///
/// A parent's auth token is valid for its subaccounts; its keys are not.
pub(crate) fn authorize(
    state: &State,
    caller: &Caller,
    access: Access,
    named: Option<&str>,
) -> Result<String, ApiError> {
    let account = named.unwrap_or(&caller.account);
    if account != caller.account {
        let is_child = state.accounts.get(account).is_some_and(|child| child.owner_sid == caller.account);
        if caller.key.is_some() || !is_child {
            return Err(ApiError::unauthorized());
        }
    }
    let closed = state.accounts.get(account).is_none_or(|account| account.status != "active");
    if closed && !matches!(access, Access::Management(_)) {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, 20005, "Account not active"));
    }
    match (&caller.key, access) {
        (None, _) => Ok(account.to_owned()),
        (Some(_), Access::AuthToken) => Err(ApiError::unauthorized()),
        (Some(key), Access::Resource(permission) | Access::Management(permission)) if key.policy.is_some() => {
            if key.allows(permission) {
                Ok(account.to_owned())
            } else {
                let message = format!("Authorization failed: the key lacks the permission {permission}");
                Err(ApiError::new(StatusCode::FORBIDDEN, 70051, message))
            }
        }
        (Some(_), Access::Resource(_)) => Ok(account.to_owned()),
        (Some(_), Access::Management(_)) => Err(ApiError::unauthorized()),
    }
}
