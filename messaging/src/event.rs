//! The events that tenants' applications receive: CloudEvents 1.0, one type per thing that can happen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{EventId, TenantId};
use crate::lifecycle::MessageStatus;

/// A CloudEvents 1.0 event in structured JSON form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    pub specversion: String,
    /// Stable across redeliveries, so that a receiver can deduplicate. Equal to the `webhook-id` header.
    pub id: EventId,
    /// `/tenants/{tenant}/senders/{sender}`.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The message's id, or the contact's address for events about contacts.
    pub subject: String,
    pub time: Timestamp,
    pub datacontenttype: String,
    /// Extension attribute.
    pub tenant: TenantId,
    pub data: serde_json::Value,
}

/// The kinds of event, and their CloudEvents `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A customer wrote.
    MessageReceived,
    /// A message that the tenant sent reached this status.
    MessageStatus(MessageStatus),
    ContactOptedOut,
    ContactOptedIn,
}

impl EventKind {
    pub fn as_type(self) -> String {
        match self {
            Self::MessageReceived => "dev.whatsapp-operator.message.received".into(),
            Self::MessageStatus(status) => format!("dev.whatsapp-operator.message.{status}"),
            Self::ContactOptedOut => "dev.whatsapp-operator.contact.opted-out".into(),
            Self::ContactOptedIn => "dev.whatsapp-operator.contact.opted-in".into(),
        }
    }
}

impl CloudEvent {
    pub fn new(
        id: EventId,
        tenant: TenantId,
        sender: &str,
        kind: EventKind,
        subject: impl Into<String>,
        time: Timestamp,
        data: serde_json::Value,
    ) -> Self {
        Self {
            specversion: "1.0".into(),
            id,
            source: format!("/tenants/{tenant}/senders/{sender}"),
            kind: kind.as_type(),
            subject: subject.into(),
            time,
            datacontenttype: "application/json".into(),
            tenant,
            data,
        }
    }
}
