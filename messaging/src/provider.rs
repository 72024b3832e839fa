//! The seam behind which the providers stand.
//!
//! [`MessagingProvider`] is what the data plane needs: send, look up, verify and translate webhooks.
//! [`ProviderAdmin`] is what the operator needs: credentials, senders, webhooks and templates. An adapter is built for
//! one account and implements both; nothing outside `providers/` knows a provider's words.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::{Address, PhoneNumber};
use crate::content::InboundContent;
use crate::failure::FailureClass;
use crate::id::AttemptId;
use crate::lifecycle::MessageStatus;
use crate::template::{Approval, LocalizedContent, TemplateCategory};

// --- the data plane's side -------------------------------------------------------------------------------------------

/// What the data plane needs of one provider account.
#[async_trait]
pub trait MessagingProvider: Send + Sync {
    /// Hands one attempt to the provider. Never retries by itself: whether another attempt is safe is decided by the
    /// caller from the outcome, and an adapter that tried again could send twice.
    async fn send(&self, message: &OutboundMessage) -> SendOutcome;

    /// What the provider knows of a message now; `None` when it does not know it.
    async fn lookup(&self, provider_message_id: &str) -> Result<Option<ProviderMessage>, ProviderError>;

    /// The provider's own log of messages between two addresses since a time, oldest first; the adapter reads every
    /// page. Empty for providers that keep no log.
    async fn list(&self, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError>;

    /// One page of what customers wrote to one address, by the provider's own log, newest first. Empty for providers
    /// that keep no log. Each page is one call.
    async fn inbound_log(&self, _query: &InboundQuery) -> Result<InboundPage, ProviderError> {
        Ok(InboundPage::default())
    }

    /// An entry of that log with what only further calls tell of it. Only for [`InboundEntry::is_incomplete`].
    async fn complete(&self, entry: InboundEntry) -> Result<InboundEntry, ProviderError> {
        Ok(InboundEntry { is_incomplete: false, ..entry })
    }

    /// Proves that a webhook comes from the provider. Tries every valid key, in constant time.
    fn verify(&self, webhook: &WebhookRequest<'_>) -> Result<(), WebhookRejected>;

    /// Translates a verified webhook into provider-neutral events. One bad item harms only itself: it becomes
    /// [`WebhookEvent::Unreadable`]. Also takes the [`InboundEntry::body`] of a log as an inbound webhook's body, and
    /// gives its event the key that the webhook's would have.
    fn translate(&self, webhook: &WebhookRequest<'_>) -> Vec<WebhookEvent>;

    /// Verifies a webhook and only then translates it. An adapter for which both read the body reads it once here.
    fn receive(&self, webhook: &WebhookRequest<'_>) -> Result<Vec<WebhookEvent>, WebhookRejected> {
        self.verify(webhook)?;
        Ok(self.translate(webhook))
    }
}

/// One attempt, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    pub attempt: AttemptId,
    pub from: PhoneNumber,
    /// Twilio: send through this Messaging Service, which picks the sender; `from` then only names whose limits count.
    pub messaging_service_sid: Option<String>,
    pub to: Address,
    pub content: RenderedContent,
    /// Where the provider reports on this attempt; carries the attempt's id.
    pub status_callback: Option<Url>,
    /// The provider drops the message when it could not deliver it within this time.
    pub validity: Option<Duration>,
    /// The provider's id of the message that this one answers.
    pub reply_to: Option<String>,
}

/// Content with every reference resolved to what this provider account knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderedContent {
    Text {
        body: String,
    },
    Media {
        url: Url,
        caption: Option<String>,
    },
    Template {
        /// The provider's handle: a content SID at Twilio, a template name at Meta.
        handle: String,
        language: String,
        values: BTreeMap<String, String>,
    },
}

/// What became of one call to send. There are four, because what may follow differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider took it. Acceptance is not delivery.
    Accepted { provider_message_id: String, status: MessageStatus },
    /// The provider answered that it did not take it. Nothing was sent.
    Refused(ProviderError),
    /// The request never left: no connection, or no TLS. Nothing was sent; trying again is safe.
    NotSent { reason: String },
    /// The request left and no answer that settles it came back (time-out, lost connection, 5xx). It may or may not
    /// have been sent, so a second call must not be made.
    Ambiguous { reason: String },
}

/// Which messages of the provider's log to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFilter {
    pub from: Option<Address>,
    pub to: Option<Address>,
    /// Messages from this time on. Providers filter by day, so the adapter drops what is older itself.
    pub since: Timestamp,
}

/// Which inbound messages of the provider's log to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundQuery {
    /// Our sender's address.
    pub to: Address,
    /// From this time on.
    pub since: Timestamp,
    /// Where the page begins: what the page before named as its next. `None` for the newest.
    pub page: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboundPage {
    /// Newest first, none older than was asked for.
    pub entries: Vec<InboundEntry>,
    /// The next page, while it may hold something that is new enough.
    pub next: Option<String>,
}

/// A customer's message as the provider's log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEntry {
    pub provider_message_id: String,
    pub created_at: Option<Timestamp>,
    /// Where it stands at the provider; without secrets.
    pub url: String,
    /// The entry as JSON, in a form that [`MessagingProvider::translate`] understands.
    pub body: String,
    /// It has files, which are told only by [`MessagingProvider::complete`].
    pub is_incomplete: bool,
}

/// A message in the provider's own log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMessage {
    pub provider_message_id: String,
    pub direction: Direction,
    pub from: Option<Address>,
    pub to: Option<Address>,
    pub body: Option<String>,
    /// How many files it has, where the log tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    pub status: MessageStatus,
    pub failure: Option<ProviderFailure>,
    pub created_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    Inbound,
    Outbound,
}

/// A webhook as it arrived, before anybody believes it.
#[derive(Debug, Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// What our route says that this is. An attempt id is trusted only after [`MessagingProvider::verify`], because the
    /// signature covers the URL.
    pub kind: WebhookKind,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The URL that the provider called, built from the *configured* public base URL, the path and the raw query;
    /// never from `Host` or `X-Forwarded-*`.
    pub url: &'a str,
    /// Looks a request header up by its lower-case name.
    pub headers: &'a dyn Headers,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Read access to request headers, so that this crate needs no HTTP library.
pub trait Headers: Sync {
    fn get(&self, lower_case_name: &str) -> Option<&str>;
}

impl std::fmt::Debug for dyn Headers + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}

impl Headers for BTreeMap<String, String> {
    fn get(&self, lower_case_name: &str) -> Option<&str> {
        BTreeMap::get(self, lower_case_name).map(String::as_str)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKind {
    Inbound,
    Status { attempt: Option<AttemptId> },
}

/// Why a webhook is not believed. The caller answers 403 and stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejected {
    #[error("the request has no {header} header")]
    Unsigned { header: &'static str },
    #[error("no signing key of this sender matches the signature")]
    WrongSignature,
    #[error("this sender has no key to verify webhooks with")]
    NoKey,
}

/// What a webhook says, in the words of this project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum WebhookEvent {
    Inbound(InboundMessage),
    Status(StatusUpdate),
    /// A part that could not be understood. It is kept and counted, and takes no effect.
    #[serde(rename_all = "camelCase")]
    Unreadable {
        reason: String,
        /// Tells this part from others, so that it is stored once.
        dedupe_key: String,
    },
}

impl WebhookEvent {
    /// Two deliveries of one provider event have the same key; two different events have different ones.
    pub fn dedupe_key(&self) -> String {
        match self {
            Self::Inbound(m) => format!("in:{}", m.provider_message_id),
            Self::Status(s) => match &s.failure {
                Some(f) => format!("st:{}:{}:{}", s.provider_message_id, s.status, f.code.as_deref().unwrap_or("")),
                None => format!("st:{}:{}", s.provider_message_id, s.status),
            },
            Self::Unreadable { dedupe_key, .. } => format!("un:{dedupe_key}"),
        }
    }
}

/// A message from a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundMessage {
    pub provider_message_id: String,
    /// The customer: the phone number when the provider tells it, else the business-scoped user id.
    pub from: Address,
    /// The customer's business-scoped user id when the provider tells both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_user_id: Option<Address>,
    /// Our sender, when the provider names it by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    pub content: InboundContent,
    /// The provider's id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Every field of the webhook that has no place above, as it came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// A step in the life of a message that we sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusUpdate {
    pub provider_message_id: String,
    /// Our attempt, when the callback carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    pub status: MessageStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ProviderFailure>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// Why the provider says that a message failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderFailure {
    /// The provider's code as it came. Codes get split and refined, so never match on them outside the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub message: String,
    pub class: FailureClass,
}

// --- errors ----------------------------------------------------------------------------------------------------------

/// An answer of the provider that is not success, or no answer at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", code.as_ref().map(|c| format!("provider error {c}: ")).unwrap_or_default())]
pub struct ProviderError {
    pub class: FailureClass,
    /// The provider's error code as it came.
    pub code: Option<String>,
    /// A sentence for a person, without secrets and without query strings.
    pub message: String,
    /// HTTP status; `None` when there was no answer.
    pub http_status: Option<u16>,
    /// What the provider's `Retry-After` said.
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

// --- the operator's side ---------------------------------------------------------------------------------------------

/// What the operator needs of one provider account.
#[async_trait]
pub trait ProviderAdmin: Send + Sync {
    /// A harmless call that only valid credentials pass.
    async fn check_credentials(&self) -> Result<(), ProviderError>;

    /// The sender with this number, as the provider sees it; `None` when the account has no such sender.
    async fn find_sender(&self, number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError>;

    /// Whether the account has this Messaging Service, and which senders are in it.
    async fn find_messaging_service(&self, sid: &str) -> Result<Option<ServiceObservation>, ProviderError>;

    /// Exactly what [`ProviderAdmin::configure_webhooks`] should be given, and what an observation then reports, for
    /// these plain URLs: the adapter adds what its provider wants, such as Twilio's connection overrides.
    fn webhook_targets(&self, inbound: &str, status: &str) -> WebhookTargets;

    /// Points a sender's webhooks (or its Messaging Service's, where that one decides) at the data plane. Give it what
    /// [`ProviderAdmin::webhook_targets`] returned. A target that is absent stays as it is; an empty one is unset.
    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        service: Option<&ServiceObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError>;

    /// Every template of the account with its approval: one list call, all pages.
    async fn list_templates(&self) -> Result<Vec<TemplateObservation>, ProviderError>;

    /// Creates a template revision and returns the provider's handle for it. Names are not unique at the provider:
    /// look the name up in [`ProviderAdmin::list_templates`] first.
    async fn create_template(&self, revision: &TemplateRevision) -> Result<String, ProviderError>;

    /// Submits a created revision for WhatsApp's approval.
    async fn submit_template(&self, handle: &str, revision: &TemplateRevision) -> Result<(), ProviderError>;

    /// Deletes a revision; success also when there is none.
    async fn delete_template(&self, handle: &str) -> Result<(), ProviderError>;
}

/// A sender as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderObservation {
    /// The provider's id of the sender (`XE…` at Twilio).
    pub handle: String,
    pub online: bool,
    /// The provider's own word for the state.
    pub status: String,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    /// Why it is offline, one sentence each.
    pub offline_reasons: Vec<String>,
    pub webhooks: WebhookTargets,
}

/// A Twilio Messaging Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceObservation {
    pub sid: String,
    pub friendly_name: String,
    /// Handles of the senders in its pool.
    pub senders: Vec<String>,
    /// Inbound messages go to each sender's own webhook, not to the service's.
    pub defers_to_sender: bool,
    pub webhooks: WebhookTargets,
}

impl ServiceObservation {
    /// Whether inbound messages to this sender go where the service says, rather than where the sender says.
    pub fn decides_webhooks_of(&self, sender: &SenderObservation) -> bool {
        !self.defers_to_sender && self.senders.contains(&sender.handle)
    }
}

/// Where webhooks go. Compare with [`WebhookTargets::same_as`], because providers normalise URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookTargets {
    pub inbound: Option<String>,
    pub status: Option<String>,
}

impl WebhookTargets {
    /// Whether both point to the same places once URLs are normalised (case of scheme and host, default port, the
    /// trailing slash of an empty path). The fragment counts: it carries Twilio's connection overrides.
    pub fn same_as(&self, other: &Self) -> bool {
        let normal =
            |url: &Option<String>| url.as_deref().map(|u| Url::parse(u).map_or_else(|_| u.to_owned(), Into::into));
        normal(&self.inbound) == normal(&other.inbound) && normal(&self.status) == normal(&other.status)
    }
}

/// One language of a template, as it is created at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRevision {
    /// Deterministic: made from the owner's uid and the content, so that a crash between create and record is healed
    /// by finding it again.
    pub name: String,
    pub language: String,
    pub category: TemplateCategory,
    pub content: LocalizedContent,
    /// Sample values by variable key, for the reviewers.
    pub examples: BTreeMap<String, String>,
}

/// A template as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateObservation {
    pub handle: String,
    pub name: String,
    pub language: String,
    pub approval: Approval,
    /// The category as the provider sees it now; WhatsApp may change it.
    pub category: Option<String>,
}
