//! Messages that tenants send.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::content::OutboundContent;
use messaging::id::{AttemptId, MessageId, PoolId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::Purpose;
use messaging::routing::Route;

use super::Record;
use super::read::{Columns, Read};
use super::table::Finder;
use super::value::{Row, Value};
use crate::store::StoreError;
use crate::store::message::{Message, OnUnconfirmed, Priority, Reason, ReplyTo};

table! {
    /// The columns of a message, one by one. [`MessageRow`] is what they mean together.
    pub(crate) struct MessageColumns in "messages" {
        key { tenant: TenantId, id: MessageId }
        fixed {
            sender: SenderName,
            messaging_service_sid: Option<PoolId>,
            contact: Address,
            content: Option<OutboundContent>,
            template: Option<String>,
            purpose: Purpose,
            priority: Priority,
            reply_to: Option<MessageId>,
            reply_to_provider_id: Option<String>,
            metadata: BTreeMap<String, String>,
            on_unconfirmed: OnUnconfirmed,
            idempotency_key: Option<String>,
            created_at: Timestamp,
            scheduled_at: Option<Timestamp>,
            expires_at: Option<Timestamp>,
        }
        changing {
            status: MessageStatus,
            reason: Option<Reason>,
            provider_message_id: Option<String>,
            attempt: Option<AttemptId>,
            attempts: u32,
            updated_at: Timestamp,
            steps: u32,
            // Written once. They come last because they were added last.
            served_language: Option<String>,
            phone_number: Option<PhoneNumber>,
        }
    }
}

/// A message, and what only the store needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageRow {
    pub(crate) message: Message,
    pub(crate) idempotency_key: Option<String>,
    /// The length of its timeline.
    pub(crate) steps: u32,
}

impl MessageRow {
    fn of((tenant, id): (TenantId, MessageId), columns: MessageColumns) -> Self {
        let message = Message {
            id,
            tenant,
            route: Route { sender: columns.sender, via: columns.messaging_service_sid },
            from: columns.phone_number,
            to: columns.contact,
            content: columns.content,
            purpose: columns.purpose,
            priority: columns.priority,
            reply_to: columns.reply_to.map(|id| ReplyTo { id, quotes: columns.reply_to_provider_id }),
            served_language: columns.served_language,
            metadata: columns.metadata,
            on_unconfirmed: columns.on_unconfirmed,
            status: columns.status,
            reason: columns.reason,
            provider_message_id: columns.provider_message_id,
            attempt: columns.attempt,
            attempts: columns.attempts,
            created_at: columns.created_at,
            updated_at: columns.updated_at,
            scheduled_at: columns.scheduled_at,
            expires_at: columns.expires_at,
        };
        Self { message, idempotency_key: columns.idempotency_key, steps: columns.steps }
    }

    fn columns(&self) -> MessageColumns {
        let Message { route: Route { sender, via }, content, reply_to, .. } = &self.message;
        let template = match content {
            Some(OutboundContent::Template { name, .. }) => Some(name.to_string()),
            Some(OutboundContent::Text { .. } | OutboundContent::Media { .. }) | None => None,
        };
        let m = self.message.clone();
        MessageColumns {
            sender: sender.clone(),
            messaging_service_sid: via.clone(),
            contact: m.to,
            template,
            reply_to: reply_to.as_ref().map(|reply_to| reply_to.id),
            reply_to_provider_id: reply_to.as_ref().and_then(|reply_to| reply_to.quotes.clone()),
            content: m.content,
            purpose: m.purpose,
            priority: m.priority,
            metadata: m.metadata,
            on_unconfirmed: m.on_unconfirmed,
            idempotency_key: self.idempotency_key.clone(),
            created_at: m.created_at,
            scheduled_at: m.scheduled_at,
            expires_at: m.expires_at,
            served_language: m.served_language,
            phone_number: m.from,
            status: m.status,
            reason: m.reason,
            provider_message_id: m.provider_message_id,
            attempt: m.attempt,
            attempts: m.attempts,
            updated_at: m.updated_at,
            steps: self.steps,
        }
    }
}

impl Read for MessageRow {
    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self::of(Read::read(columns)?, Read::read(columns)?))
    }
}

impl Record for MessageRow {
    type Key = (TenantId, MessageId);

    fn finder() -> &'static Finder {
        &BY_KEY
    }

    fn key(key: &Self::Key) -> Vec<Value> {
        MessageColumns::key(key)
    }

    fn read(row: &Row) -> Result<(Self::Key, Self), StoreError> {
        let message: Self = row.read()?;
        Ok(((message.message.tenant.clone(), message.message.id), message))
    }

    fn values(&self, key: &Self::Key) -> Result<Vec<Value>, StoreError> {
        self.columns().values(key)
    }

    fn changes(&self) -> Result<Vec<Value>, StoreError> {
        self.columns().changes()
    }
}
