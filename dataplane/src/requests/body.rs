//! Bodies: bounded, and JSON only when they say so.

use std::error::Error;

use axum::body::{Body, Bytes};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use listener::TooSlow;
use serde_json::Value;

use super::problem::Problem;

/// The largest body of a tenant's request: what its fields may hold together, each character escaped as `\ud83d\ude00`.
pub(crate) const LIMIT: usize = 256 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    /// The connection ended before the body did.
    Broken,
}

/// Reads a whole body of at most so many bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Err(error) => Err(if is_too_slow(error.as_ref()) { Unread::TooSlow } else { Unread::Broken }),
    }
}

fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(is_too_slow)
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("the body is larger than {LIMIT} bytes"),
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
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the Content-Type is {given:?}; expected application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON", detail))
}

/// Parses a body. The error names the line and column.
pub(crate) fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed-json",
            "The body is not JSON",
            format!("the body is not JSON: {error}"),
        )
    })
}
