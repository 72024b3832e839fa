//! One request and its answer.
//!
//! When no answer comes, all that matters is whether the request may have arrived. It has not if the connection was
//! never made; in every other case it may have. The client retries by itself in one case only: when a kept-alive
//! connection turns out to be closed before a byte of the request was written to it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use messaging::error::with_causes;

use super::retry_after::retry_after;

/// The largest answer that is read. A list page of a thousand entries has a few megabytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The value of `Retry-After`, at most a day.
    pub(crate) retry_after: Option<Duration>,
    /// The provider's own id of the request.
    pub(crate) request_id: Option<String>,
    /// The body, or why it could not be read.
    pub(crate) body: Result<Bytes, String>,
}

/// Why there is no answer. The text may hold secrets: pass it through a [`super::Redactor`].
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The request never left, so it may safely be repeated.
    NotSent(String),
    /// The request may have been received and acted upon.
    Unsettled(String),
}

pub(crate) async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, Unanswered> {
    let response = request.send().await.map_err(|error| {
        // Both mean that no byte of the request was written: it could not be built, or there was no connection
        // (refused, unresolved, timed out while connecting, failed TLS handshake).
        if error.is_builder() || error.is_connect() {
            Unanswered::NotSent(describe(error))
        } else {
            Unanswered::Unsettled(describe(error))
        }
    })?;
    let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
    let request_id = request_id(response.headers());
    tracing::debug!(status, request_id, "provider answered");
    Ok(Answer { status, retry_after, request_id, body: read(response).await })
}

/// In which header each provider puts its id of a request.
const REQUEST_ID: [&str; 3] = ["twilio-request-id", "t-request-id", "x-fb-trace-id"];
/// The most characters of such an id.
const LONGEST_REQUEST_ID: usize = 128;

fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = |name: &&str| headers.get(*name).and_then(|value| value.to_str().ok()).map(str::trim);
    let id = REQUEST_ID.iter().filter_map(text).find(|id| !id.is_empty() && id.len() <= LONGEST_REQUEST_ID)?;
    Some(id.to_owned())
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The error and its causes, without the URL.
fn describe(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}
