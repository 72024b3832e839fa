//! Messages, and the contacts that they are to.

use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};

use super::Conditions;
use crate::store::codec::{
    MESSAGE_COLUMNS, SELECT_MESSAGE, from_json, maybe_parse, message as read_message, micros, parse, select_message,
    time,
};
use crate::store::contact::Contact;
use crate::store::database::value::{Row, Value, values};
use crate::store::engine::records::Record;
use crate::store::message::{Acceptance, Idempotency, Message, MessageFilter, MessageRecord, Page, TimelineEntry};
use crate::store::{Store, StoreError};

impl Store {
    /// A message with its timeline; `None` when this tenant has none of this id.
    pub async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageRecord>, StoreError> {
        // One statement, so that the message and its timeline are of the same moment.
        const SELECT: &str = select_message!(
            "SELECT ",
            ", t.at, t.status, t.attempt, t.reason
         FROM messages m JOIN message_timeline t ON t.tenant = m.tenant AND t.message = m.id
         WHERE m.tenant = $1 AND m.id = $2 ORDER BY t.position"
        );
        let rows = self.query(SELECT, values![tenant.as_str(), id.to_string()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let step = |row: &Row| {
            let step = row.from(MESSAGE_COLUMNS);
            Ok(TimelineEntry {
                at: time(step.int(0)?)?,
                status: parse("a status", step.text(1)?)?,
                attempt: maybe_parse("an attempt id", step.maybe_text(2)?)?,
                reason: step.maybe_text(3)?.map(|r| from_json("a reason", r)).transpose()?,
            })
        };
        let timeline = rows.iter().map(step).collect::<Result<_, StoreError>>()?;
        Ok(Some(MessageRecord { message: read_message(first)?.message, timeline }))
    }

    /// Messages of a tenant, newest first.
    pub async fn messages(&self, tenant: &TenantId, filter: &MessageFilter) -> Result<Page<Message>, StoreError> {
        let MessageFilter { status, to, sender, template, since, until, after, limit } = filter;
        let select = format!("SELECT {SELECT_MESSAGE} FROM messages m");
        let mut query = Conditions::new(&select, "m.tenant", tenant.as_str());
        query.and("m.status =", status.map(|status| status.as_str()));
        query.and("m.contact =", to.as_ref().map(Address::as_str));
        query.and("m.sender =", sender.as_ref().map(SenderName::as_str));
        query.and("m.template =", template.as_deref());
        query.and("m.created_at >=", since.map(micros));
        query.and("m.created_at <", until.map(micros));
        // Identifiers sort by the time of their making.
        query.and("m.id <", after.map(|after| after.to_string()));
        query.ordered("m.id DESC", *limit);
        let rows = self.query(&query.sql, query.parameters).await?;
        let wanted = usize::try_from(*limit).unwrap_or(usize::MAX);
        let items: Vec<Message> =
            rows.iter().take(wanted).map(|row| Ok(read_message(row)?.message)).collect::<Result<_, StoreError>>()?;
        let next = if rows.len() > wanted { items.last().map(|m| m.id) } else { None };
        Ok(Page { items, next })
    }

    /// What accepting a message would answer to an idempotency key that was used before; `None` when it was not used.
    pub async fn replayed(
        &self,
        tenant: &TenantId,
        idempotency: &Idempotency,
    ) -> Result<Option<Acceptance>, StoreError> {
        const SELECT: &str = select_message!(
            "SELECT ",
            ", k.body_sha256 FROM idempotency_keys k JOIN messages m ON m.tenant = k.tenant AND m.id = k.message
         WHERE k.tenant = $1 AND k.idempotency_key = $2"
        );
        let rows = self.query(SELECT, values![tenant.as_str(), idempotency.key.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.blob(MESSAGE_COLUMNS)? != idempotency.body_sha256[..] {
            return Ok(Some(Acceptance::KeyReused));
        }
        Ok(Some(Acceptance::Replayed(Box::new(read_message(row)?.message))))
    }

    /// The provider's id of one of this tenant's messages, sent or received; `None` when there is none (yet).
    pub async fn provider_message_id(&self, tenant: &TenantId, id: MessageId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT provider_message_id FROM inbound_messages WHERE tenant = $1 AND id = $2
         UNION ALL
         SELECT provider_message_id FROM messages
         WHERE tenant = $1 AND id = $2 AND provider_message_id IS NOT NULL
         LIMIT 1";
        let rows = self.query(sql, values![tenant.as_str(), id.to_string()]).await?;
        rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
    }

    /// Which of these provider's ids already belong to a message of this tenant, sent or received: dispatch adopts a message of
    /// the provider's log only when it belongs to no other.
    pub async fn known_provider_message_ids(
        &self,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (2..).take(ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT provider_message_id FROM attempts WHERE tenant = $1 AND provider_message_id IN ({})",
            places.join(", ")
        );
        let mut list = values![tenant.as_str()];
        list.extend(ids.iter().map(|id| Value::from(id.as_str())));
        let rows = self.query(&sql, list).await?;
        rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
    }

    /// What is known of a contact of a sender; the default when nothing is.
    pub async fn contact(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        contact: &Address,
    ) -> Result<Contact, StoreError> {
        let sql = "SELECT tenant, sender, contact, version, updated_at, state FROM contacts
         WHERE tenant = $1 AND sender = $2 AND contact = $3";
        let rows = self.query(sql, values![tenant.as_str(), sender.as_str(), contact.as_str()]).await?;
        Ok(rows.first().map(Contact::read).transpose()?.map(|(_, contact)| contact).unwrap_or_default())
    }
}
