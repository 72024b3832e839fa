//! Sinks over HTTP: a signed POST to a tenant's URL, never to a private address.

mod guard;
pub mod signature;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use messaging::config::HttpSink;
use messaging::error::with_causes;
use sha2::{Digest, Sha256};
use url::Url;

use self::guard::{NoPublicAddress, PublicResolver, check_literal};
use self::signature::{SigningKey, signatures};
use crate::metrics::PublishResult;
use crate::sink::{Delivery, InvalidSink, OutgoingEvent, Sink};
use crate::store::message::SinkId;

/// The whole request, connecting included.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The answer's body means nothing; this much of it is read, so that the connection can be reused.
const READ_AT_MOST: usize = 16 * 1024;

/// The connections that all HTTP sinks of the process share.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    allow_private: bool,
}

impl Client {
    /// With `allow_private`, sinks may have private addresses, as they do in a sidecar or a test.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that another thread installed it first.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would send the event to an address that is not configured, and turn POST into GET.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name itself, past the guard.
            .no_proxy();
        let builder = if allow_private { builder } else { builder.dns_resolver(PublicResolver) };
        Ok(Self { http: builder.build()?, allow_private })
    }
}

/// One URL of a tenant, with the keys that sign what is sent there.
pub struct Target {
    id: SinkId,
    url: Url,
    /// At least one: an unsigned event is never sent.
    keys: Vec<SigningKey>,
    fingerprint: String,
    client: Client,
}

impl Target {
    pub(super) fn new(id: SinkId, config: &HttpSink, client: Client) -> Result<Self, InvalidSink> {
        let invalid = |field: String, problem: String| InvalidSink { field: format!("http.{field}"), problem };
        let HttpSink { name: _, url, signing_secrets } = config;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(invalid("url".into(), "expected an http or https URL with a host".into()));
        }
        if signing_secrets.is_empty() {
            return Err(invalid("signingSecrets".into(), "expected at least one secret".into()));
        }
        let keys = signing_secrets.iter().enumerate().map(|(i, secret)| {
            SigningKey::parse(secret).map_err(|error| invalid(format!("signingSecrets[{i}]"), error.to_string()))
        });
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self { id, url: url.clone(), keys, fingerprint: fingerprint(config), client })
    }
}

#[async_trait]
impl Sink for Target {
    fn id(&self) -> &SinkId {
        &self.id
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn time_limit(&self) -> Duration {
        TIMEOUT
    }

    /// Posts a CloudEvent in structured mode, signed at `now` with each key.
    async fn deliver(&self, event: &OutgoingEvent, now: Timestamp) -> Delivery {
        if !self.client.allow_private
            && let Err(private) = check_literal(&self.url)
        {
            return Delivery::Refused { reason: private.to_string(), counted: PublishResult::PrivateAddress };
        }
        let OutgoingEvent { id, body } = event;
        let request = self
            .client
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header(USER_AGENT, concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signatures(&self.keys, id, now, body))
            .body(body.clone());
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
            Err(error) => Delivery::Later { reason: describe(error), retry_after: None },
        }
    }
}

/// A digest over the whole config but its name. It reveals nothing about the secrets, which have at least 192 bits.
/// Stored holds carry it, so it never changes.
fn fingerprint(config: &HttpSink) -> String {
    let HttpSink { name: _, url, signing_secrets } = config;
    let mut hash = Sha256::new();
    for part in std::iter::once(url.as_str()).chain(signing_secrets.iter().map(|secret| secret.expose())) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

fn verdict(status: StatusCode, retry_after: Option<Duration>) -> Delivery {
    match status {
        status if status.is_success() => Delivery::Delivered,
        StatusCode::GONE => Delivery::Gone,
        status => Delivery::Later { reason: format!("the sink answered {}", status.as_u16()), retry_after },
    }
}

/// What went wrong, without the URL: its query may contain one of the tenant's secrets.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the sink did not answer within {} s", TIMEOUT.as_secs());
    }
    if let Some(guarded) = no_public_address(&error) {
        return guarded.to_string();
    }
    with_causes(&error.without_url())
}

/// The guard's refusal, wherever the client put it in the chain.
fn no_public_address<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a NoPublicAddress> {
    error.downcast_ref().or_else(|| no_public_address(error.source()?))
}

/// `Retry-After` in either of its forms: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    Duration::try_from(messaging::retry_after::retry_after(value, Some(now))?).ok()
}

#[cfg(test)]
mod tests {
    use messaging::secret::Secret;

    use super::*;

    fn config(url: &str, secrets: &[&str]) -> HttpSink {
        let signing_secrets = secrets.iter().map(|s| Secret::new(*s)).collect();
        HttpSink { name: None, url: url.parse().unwrap(), signing_secrets }
    }

    #[test]
    fn any_change_of_a_sink_changes_its_fingerprint() {
        let one = fingerprint(&config("https://app.example/", &["whsec_a"]));
        for other in [
            config("https://app.example/events", &["whsec_a"]),
            config("https://app.example/", &["whsec_b"]),
            config("https://app.example/", &["whsec_a", "whsec_b"]),
        ] {
            assert_ne!(fingerprint(&other), one);
        }
        assert_eq!(fingerprint(&config("https://app.example/", &["whsec_a"])), one);
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn only_a_2xx_is_success_and_only_410_ends_it() {
        let answered = |code: u16| verdict(StatusCode::from_u16(code).unwrap(), None);
        assert_eq!(answered(204), Delivery::Delivered);
        assert_eq!(answered(410), Delivery::Gone);
        for code in [301, 304, 400, 404, 429, 500, 503] {
            assert!(matches!(answered(code), Delivery::Later { .. }), "{code}");
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
