//! The log of webhooks, and redelivery.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookKind {
    Inbound,
    Status,
    /// Sent to the fallback address after the inbound webhook failed.
    Fallback,
    /// An event of Event Streams, whose `messageSid` is what it is about.
    Event,
}

/// One webhook and all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRecord {
    /// Counts up from 1 and is never reused.
    pub id: u64,
    pub at: Timestamp,
    pub kind: WebhookKind,
    pub account: String,
    pub message_sid: String,
    pub message_status: String,
    pub method: String,
    /// As configured, with its `#…` fragment.
    pub url: String,
    pub headers: BTreeMap<String, String>,
    /// The exact bytes.
    pub body: String,
    pub state: WebhookState,
    pub faults: Vec<String>,
    pub attempts: Vec<WebhookAttempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookState {
    /// Waiting or being sent.
    Pending,
    /// Held back by a fault until the next one about the same message is delivered.
    Held,
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Failed,
    /// Dropped by a fault.
    Lost,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAttempt {
    pub at: Timestamp,
    pub duration_ms: u64,
    /// Absent if there was no answer.
    pub status: Option<u16>,
    /// `connect`, `timeout`, or another reason why there is no answer.
    pub error: Option<String>,
    pub redelivery: bool,
}

/// Which webhooks to list.
#[derive(Debug, Clone, Default)]
pub struct WebhookFilter {
    pub kind: Option<WebhookKind>,
    pub message_sid: Option<String>,
    pub account: Option<String>,
    pub since: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Redelivery {
    pub times: u32,
    /// All at once, rather than one by one.
    pub concurrent: bool,
}

/// What the receiver answered to a redelivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redelivered {
    pub attempts: Vec<WebhookAttempt>,
}
