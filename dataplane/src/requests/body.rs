//! Bodies: bounded, and JSON only when they say so.

use std::error::Error;

use axum::body::{Body, Bytes};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use listener::TooSlow;
use serde_json::Value;

use super::json;
use super::problem::Problem;

/// The largest body of a tenant's request: what its fields may hold together, each character escaped as `\ud83d\ude00`.
pub(crate) const LIMIT: usize = 256 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than so many bytes.
    TooLarge(usize),
    TooSlow,
    /// The connection ended before the body did.
    Broken,
}

/// Reads a whole body of at most so many bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge(limit)),
        Err(error) => Err(if is_too_slow(error.as_ref()) { Unread::TooSlow } else { Unread::Broken }),
    }
}

fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(is_too_slow)
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("the body is larger than {limit} bytes"),
            ),
            Unread::TooSlow => {
                let detail = "the body did not arrive in time";
                Self::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "The body is too slow", detail)
            }
            Unread::Broken => {
                Self::new(StatusCode::BAD_REQUEST, "broken-body", "The body is incomplete", "the body ended too early")
            }
        }
    }
}

/// Refuses a request whose Content-Type is not JSON.
pub(crate) fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter();
    let given = all.next().and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    let detail = match all.next() {
        None if essence.eq_ignore_ascii_case("application/json") => return Ok(()),
        None => format!("the Content-Type is {given:?}; expected application/json"),
        Some(_) => "there are several Content-Type headers; expected one, of application/json".to_owned(),
    };
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON", detail))
}

/// Parses a body. The error names the line and column, or the fields that cannot be read in one way only.
pub(crate) fn json(body: &[u8]) -> Result<Value, Problem> {
    let (value, errors) = json::parse(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed-json",
            "The body is not JSON",
            format!("the body is not JSON: {error}"),
        )
    })?;
    if errors.is_empty() { Ok(value) } else { Err(Problem::malformed(errors)) }
}
