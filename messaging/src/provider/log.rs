//! A provider's own message log. Not every provider keeps one.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ProviderError, WebhookEvent};
use crate::address::Address;
use crate::failure::Failure;
use crate::lifecycle::MessageStatus;

/// The log of one account. Every method but [`MessageLog::read`] calls the provider.
#[async_trait]
pub trait MessageLog: Send + Sync {
    /// What the provider knows about a message now; `None` if it does not know the message.
    async fn lookup(&self, provider_message_id: &str) -> Result<Option<ProviderMessage>, ProviderError>;

    /// Messages between two addresses since a time, oldest first. The adapter reads every page.
    async fn list(&self, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError>;

    /// One page of what customers wrote to one address, newest first. Each page is one call.
    async fn inbound(&self, query: &InboundQuery) -> Result<InboundPage, ProviderError>;

    /// Adds what only further calls return. For entries with [`InboundEntry::is_incomplete`] only.
    async fn complete(&self, entry: InboundEntry) -> Result<InboundEntry, ProviderError>;

    /// Reads an [`InboundEntry::body`]. The event has the dedupe key that its webhook would have.
    fn read(&self, body: &[u8]) -> WebhookEvent;
}

/// Which messages of the log to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFilter {
    pub from: Option<Address>,
    pub to: Option<Address>,
    /// Messages from this time on. Providers filter by day, so the adapter drops older ones itself.
    pub since: Timestamp,
}

/// Which inbound messages of the log to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundQuery {
    /// Our sender's address.
    pub to: Address,
    /// From this time on.
    pub since: Timestamp,
    /// The page to read: [`InboundPage::next`] of the page before. `None` for the newest.
    pub page: Option<String>,
}

/// One page of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboundPage {
    /// Newest first, none older than [`InboundQuery::since`].
    pub entries: Vec<InboundEntry>,
    /// The next page, if it may hold entries that are new enough.
    pub next: Option<String>,
}

/// A customer's message in the provider's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEntry {
    pub provider_message_id: String,
    pub created_at: Option<Timestamp>,
    /// The entry's address at the provider, without secrets.
    pub url: String,
    /// The entry as text, for [`MessageLog::read`].
    pub body: String,
    /// It has files that only [`MessageLog::complete`] can add.
    pub is_incomplete: bool,
}

/// A message in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMessage {
    pub provider_message_id: String,
    pub direction: Direction,
    pub from: Option<Address>,
    pub to: Option<Address>,
    pub body: Option<String>,
    /// How many files it has, where the log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    pub status: MessageStatus,
    pub failure: Option<Failure>,
    pub created_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    Inbound,
    Outbound,
}
