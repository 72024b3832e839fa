//! The traits that the providers' adapters implement.
//!
//! - [`MessagingProvider`] is what the data plane needs from an account: its limits, sending ([`send`]), and its
//!   message log ([`log`]), where it has one.
//! - [`WebhookAdapter`] is what the data plane needs for a provider's webhooks ([`webhook`]): an endpoint belongs to a
//!   provider, and one request may hold parts for several senders. [`event`] is what they say.
//! - [`AccountAdmin`] is what the operator needs from an account ([`admin`]): credentials, senders, templates, and,
//!   where there are any, pools and keys.
//!
//! What a provider cannot do is absent from its type, never an empty answer. Nothing outside `providers/` knows a
//! provider's terms.

pub mod admin;
pub mod event;
pub mod limits;
pub mod log;
pub mod send;
pub mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use url::Url;

pub use admin::AccountAdmin;
pub use event::{InboundMessage, StatusUpdate, UserIdChange, WebhookEvent};
pub use limits::ProviderLimits;
pub use log::{Direction, InboundEntry, InboundPage, InboundQuery, MessageFilter, MessageLog, ProviderMessage};
pub use send::{OutboundMessage, RenderedContent, SendOutcome, Sent};
pub use webhook::WebhookAdapter;

use self::webhook::WebhookHome;
use crate::failure::Failure;
use crate::id::AttemptId;

/// What the data plane needs from one provider account.
#[async_trait]
pub trait MessagingProvider: Send + Sync {
    fn limits(&self) -> ProviderLimits;

    /// The URL where the provider reports on one attempt, if it takes one.
    fn status_callback(&self, home: &WebhookHome<'_>, attempt: AttemptId) -> Option<Url>;

    /// Hands one attempt to the provider. Never retries: the caller decides from the outcome whether another attempt is
    /// safe, and an adapter that retried could send twice.
    async fn send(&self, message: &OutboundMessage) -> Sent;

    /// The account's message log; `None` where the provider keeps none, so that "no log" is never mistaken for "not
    /// sent".
    fn message_log(&self) -> Option<&dyn MessageLog>;

    /// A harmless read, which shows whether the provider is there; `None` where it has none.
    fn probe(&self) -> Option<&dyn Probe>;
}

/// A harmless read that every credential for messaging may make.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether the provider answers, whatever it answers. An error of its own (5xx) is no answer.
    async fn is_answered(&self) -> bool;
}

/// An unsuccessful answer of the provider, or no answer at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct ProviderError {
    /// Its message is a sentence for a person, without secrets and without query strings.
    pub failure: Failure,
    /// The HTTP status; `None` if there was no answer.
    pub http_status: Option<u16>,
    /// The value of the provider's `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// The credentials were not accepted, or lack a permission.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.http_status, Some(401 | 403))
    }
    pub fn is_not_found(&self) -> bool {
        self.http_status == Some(404)
    }
}
