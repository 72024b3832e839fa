//! A provider's webhooks: which endpoint a URL names, which keys sign for it, and which parts a request holds.
//!
//! An endpoint belongs to a provider, not to a sender. At Twilio it is one sender's URL; at Meta it is the URL of an
//! app, which may serve the numbers of several tenants, and one request may hold parts for all of them. So a request is
//! taken apart here, and each part carries only its addressee's slice of the body.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

use super::WebhookEvent;
use crate::address::PhoneNumber;
use crate::config::ProviderAccount;
use crate::hints::About;
use crate::id::{AttemptId, SenderName, TenantId};
use crate::secret::Secret;

/// One provider's webhooks. It holds no account and no key; [`WebhookAdapter::endpoint`] builds what verifies requests.
pub trait WebhookAdapter: Send + Sync {
    /// The provider's name, as in [`crate::config::ProviderAccount::provider`].
    fn provider(&self) -> &'static str;

    /// The endpoint and the route that a path below `/webhooks/` names; `None` where it is not this provider's.
    fn locate(&self, path: &str) -> Option<Location>;

    /// The endpoint where a sender's webhooks arrive, and the keys that sign for it; `None` where the account is
    /// another provider's.
    fn ear(&self, account: &ProviderAccount, tenant: &TenantId, sender: &SenderName) -> Option<Ear>;

    /// What arrives by a route.
    fn carries(&self, route: &str) -> Traffic;

    /// The largest body that is read, in bytes.
    fn largest_body(&self) -> usize;

    /// Prepares an endpoint for the keys that may sign for it and the tokens that a challenge may carry.
    fn endpoint(&self, keys: &[Secret], verify_tokens: &[Secret]) -> Arc<dyn Endpoint>;

    /// Reads a stored part again by the route it came by, and returns the events that [`Endpoint::receive`] returned.
    /// It verifies nothing: only verified parts are stored, and their key may have been rotated since. A route that the
    /// adapter does not know makes a part unreadable.
    fn translate(&self, route: &str, body: &[u8]) -> Vec<WebhookEvent>;

    /// The answer to a webhook once it is on disk.
    fn answer(&self, route: &str) -> WebhookAnswer;
}

/// One endpoint, with its keys prepared for use.
pub trait Endpoint: Send + Sync {
    /// Answers the provider's challenge whether this endpoint is ours; `None` refuses it.
    fn challenge(&self, request: &WebhookRequest<'_>) -> Option<WebhookAnswer>;

    /// Verifies a request against every key, in constant time, and takes it apart. A bad item affects no other: it
    /// becomes [`WebhookEvent::Unreadable`].
    fn receive<'a>(&self, request: &WebhookRequest<'a>) -> Result<Received<'a>, WebhookRejected>;

    /// Verifies a request on a route that carries [`Traffic::Hints`], as [`Endpoint::receive`] does, and reads what it
    /// hints at. A provider without such a route has none.
    fn hints(&self, _request: &WebhookRequest<'_>) -> Result<ReceivedHints, WebhookRejected> {
        Err(WebhookRejected::NoKey)
    }
}

/// A verified request that hints at something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedHints {
    /// As [`Received::key`].
    pub key: usize,
    /// `None` where the body cannot be read.
    pub hints: Option<Vec<Hinted>>,
}

/// What a request hints at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hinted {
    /// The account that it names; a hint about another account than the sender's is none.
    pub account: Option<String>,
    pub about: About,
}

/// Names an endpoint across all tenants. Opaque outside the adapters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(String);

impl EndpointId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a path below `/webhooks/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub endpoint: EndpointId,
    /// The adapter's own name for what arrives there; see [`WebhookRoute`].
    pub route: String,
    /// The methods that the route accepts, in upper case.
    pub methods: &'static [&'static str],
}

/// Where one sender's webhooks arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ear {
    pub endpoint: EndpointId,
    /// The endpoint belongs to this sender alone.
    pub is_own: bool,
    /// The keys that sign for it, as the sender's own config has them.
    pub keys: Vec<Secret>,
    /// The tokens that a challenge may carry.
    pub verify_tokens: Vec<Secret>,
    /// The provider's id of the sender, where parts name senders by id; see [`Addressee::Handle`].
    pub handle: Option<String>,
}

/// What arrives by a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// What customers send.
    Inbound,
    /// Statuses of messages that we sent; of one attempt where the route names it.
    Statuses { of: Option<AttemptId> },
    /// Either, or both.
    Mixed,
    /// Reasons for the operator to look at the account, and nothing about a message.
    Hints,
}

/// A webhook before it is verified.
#[derive(Debug, Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// [`Location::route`]. An attempt id in it is trusted only after verification, where the signature covers the URL.
    pub route: &'a str,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The URL that the provider called, built from the *configured* public base URL, the path and the raw query;
    /// never from `Host` or `X-Forwarded-*`.
    pub url: &'a str,
    /// Looks up a request header by its lower-case name.
    pub headers: &'a dyn Headers,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Read access to request headers, so that this crate needs no HTTP library.
pub trait Headers: Sync {
    fn get(&self, lower_case_name: &str) -> Option<&str>;
}

impl fmt::Debug for dyn Headers + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")
    }
}

impl Headers for BTreeMap<String, String> {
    fn get(&self, lower_case_name: &str) -> Option<&str> {
        BTreeMap::get(self, lower_case_name).map(String::as_str)
    }
}

/// A verified request, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Received<'a> {
    /// The key that signed it, as an index into the keys that [`WebhookAdapter::endpoint`] was given.
    pub key: usize,
    pub parts: Vec<Part<'a>>,
}

/// What a request says to one addressee.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    pub addressee: Addressee,
    /// The route to store and to read the part again by: the request's, or one that adds what the events need and the
    /// slice does not hold.
    pub route: Cow<'a, str>,
    /// The addressee's slice of the body, and nobody else's.
    pub body: &'a [u8],
    pub events: Vec<WebhookEvent>,
}

/// Which of the senders that an endpoint speaks for a part is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// The sender that owns the endpoint; nobody where no single sender does.
    Endpoint,
    /// The sender with this number.
    Number(PhoneNumber),
    /// The sender that the provider knows by this id.
    Handle(String),
    /// Every tenant that has a sender of this account.
    Account(String),
}

impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => f.write_str("the endpoint's sender"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Handle(handle) => write!(f, "the handle {handle:?}"),
            Self::Account(account) => write!(f, "the account {account:?}"),
        }
    }
}

/// The answer to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    pub status: u16,
    pub content_type: Option<&'static str>,
    pub body: String,
}

/// Why a webhook is rejected. The caller answers 403 and stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejected {
    #[error("the request has no {header} header")]
    Unsigned { header: &'static str },
    #[error("no signing key of this endpoint matches the signature")]
    WrongSignature,
    #[error("this endpoint has no key to verify webhooks with")]
    NoKey,
}

/// The route by which an entry of the webhook log came. It is stored with the entry, which is read again by it.
///
/// As text: the provider, the method, and [`Part::route`], such as `twilio POST status/att-…`. An entry that was found
/// in the provider's own log is `twilio LOG`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebhookRoute(String);

const LOG: &str = "LOG";

impl WebhookRoute {
    pub fn request(provider: &str, method: &str, route: &str) -> Self {
        Self([provider, method, route].join(" "))
    }

    /// Found in the provider's own log.
    pub fn log(provider: &str) -> Self {
        Self([provider, LOG].join(" "))
    }

    pub fn provider(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// [`Part::route`]; `None` for an entry of the provider's own log.
    pub fn route(&self) -> Option<&str> {
        let mut words = self.0.splitn(3, ' ').skip(1);
        words.next().filter(|method| *method != LOG)?;
        words.next()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WebhookRoute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        match words.as_slice() {
            [provider, LOG] | [provider, _, _] if !provider.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is not a webhook route: expected a provider, a method and a route")),
        }
    }
}

/// Whose webhooks one of our URLs is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookHome<'a> {
    /// The webhook listener's URL as seen from the internet.
    pub public_base_url: &'a Url,
    pub tenant: &'a TenantId,
    pub sender: &'a SenderName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_survives_text_and_says_what_it_is() {
        for (route, text, own) in [
            (WebhookRoute::request("twilio", "POST", "inbound"), "twilio POST inbound", Some("inbound")),
            (WebhookRoute::request("meta", "POST", ""), "meta POST ", Some("")),
            (WebhookRoute::log("twilio"), "twilio LOG", None),
        ] {
            assert_eq!((route.as_str(), route.route()), (text, own));
            assert_eq!(text.parse(), Ok(route));
        }
        for bad in ["", "twilio", "twilio POST", " POST inbound"] {
            assert!(bad.parse::<WebhookRoute>().is_err(), "{bad:?}");
        }
    }
}
