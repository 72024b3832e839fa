//! One request that carries one event to one sink.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use messaging::config::HttpSink;
use messaging::error::with_causes;
use messaging::id::EventId;

use super::guard::{PrivateAddress, PublicResolver, check_literal};
use super::signature::{SigningKey, signatures};

/// The whole request, connecting included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer's body means nothing; this much of it is read, so that the connection can be used again.
const READ_AT_MOST: usize = 16 * 1024;

/// What became of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Answered with a 2xx.
    Delivered,
    /// Answered with 410: nobody wants events there any more.
    Gone,
    /// The sink's address is private, and such are not allowed.
    Private(PrivateAddress),
    /// Anything else; `retry_after` is what the answer asked for.
    Failed { reason: String, retry_after: Option<Duration> },
}

/// Carries events over HTTP.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    allow_private: bool,
}

impl Transport {
    /// `allow_private`: whether sinks may have private addresses, as they do in a sidecar or a test.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that another thread was quicker, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry the event to an address that nobody configured, and turn POST into GET.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name itself, past the guard.
            .no_proxy();
        let builder = if allow_private { builder } else { builder.dns_resolver(PublicResolver) };
        Ok(Self { http: builder.build()?, allow_private })
    }

    /// Posts a CloudEvent in structured mode, signed at `now` with each of the sink's keys.
    pub async fn deliver(&self, sink: &HttpSink, id: &EventId, body: Bytes, now: Timestamp) -> Delivery {
        if !self.allow_private
            && let Err(private) = check_literal(&sink.url)
        {
            return Delivery::Private(private);
        }
        let keys: Result<Vec<_>, _> = sink.signing_secrets.iter().map(SigningKey::parse).collect();
        let keys = match keys {
            Ok(keys) if !keys.is_empty() => keys,
            // Config refuses such a sink, so this is a defect; an unsigned event is never sent.
            Ok(_) => return failed("the sink has no signing secret".into()),
            Err(error) => return failed(format!("the sink's signing secret: {error}")),
        };
        let request = self
            .http
            .post(sink.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header(USER_AGENT, concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signatures(&keys, id, now, &body))
            .body(body);
        match request.send().await {
            Ok(mut response) => {
                let (status, retry_after) = (response.status(), retry_after(response.headers(), now));
                let mut read = 0;
                while let Ok(Some(chunk)) = response.chunk().await {
                    read += chunk.len();
                    if read > READ_AT_MOST {
                        break;
                    }
                }
                verdict(status, retry_after)
            }
            Err(error) => match private(&error) {
                Some(private) => Delivery::Private(private.clone()),
                None => failed(describe(error)),
            },
        }
    }
}

fn verdict(status: StatusCode, retry_after: Option<Duration>) -> Delivery {
    match status {
        status if status.is_success() => Delivery::Delivered,
        StatusCode::GONE => Delivery::Gone,
        status => Delivery::Failed { reason: format!("the sink answered {}", status.as_u16()), retry_after },
    }
}

fn failed(reason: String) -> Delivery {
    Delivery::Failed { reason, retry_after: None }
}

/// What went wrong, without the URL: its query may hold a secret of the tenant's.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the sink did not answer within {} s", TIMEOUT.as_secs());
    }
    with_causes(&error.without_url())
}

/// The guard's refusal, wherever in the chain the client put it.
fn private(error: &reqwest::Error) -> Option<&PrivateAddress> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<PrivateAddress>() {
            return Some(private);
        }
        cause = inner.source();
    }
    None
}

/// `Retry-After` in either of its forms: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(until.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_2xx_is_success_and_only_410_ends_it() {
        let failed_with = |code: u16| verdict(StatusCode::from_u16(code).unwrap(), None);
        assert_eq!(failed_with(204), Delivery::Delivered);
        assert_eq!(failed_with(410), Delivery::Gone);
        for code in [301, 304, 400, 404, 429, 500, 503] {
            assert!(matches!(failed_with(code), Delivery::Failed { .. }), "{code}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = Timestamp::from_second(784_111_777).unwrap();
        let read = |value: &str| {
            let headers = [(RETRY_AFTER, value.parse().unwrap())].into_iter().collect();
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), None, "the past asks for nothing");
        assert_eq!(read("soon"), None);
    }
}
