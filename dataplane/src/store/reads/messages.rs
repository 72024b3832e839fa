//! Messages, and the contacts that they are to.

use std::sync::LazyLock;

use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};

use super::Conditions;
use crate::store::contact::{Contact, LinkedAddress};
use crate::store::database::Lookup;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::{
    Acceptance, Answerable, Idempotency, Message, MessageFilter, MessageRecord, Page, ReceivedMessage, TimelineEntry,
};
use crate::store::person::{all, is_one_person, linked, person, person_in_pool};
use crate::store::tables::Record;
use crate::store::tables::attempts::{self, AttemptRow};
use crate::store::tables::messages::{self, MessageRow};
use crate::store::tables::value::{Row, values};
use crate::store::webhook::StoredWebhook;
use crate::store::{Store, StoreError};

impl Store {
    /// A message with its timeline; `None` when this tenant has none of this id.
    pub async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageRecord>, StoreError> {
        // One statement, so that the message and its timeline are of the same moment.
        static SELECT: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT {}, t.at, t.status, t.attempt, a.provider_request_id, t.reason
                 FROM messages m JOIN message_timeline t ON t.tenant = m.tenant AND t.message = m.id
                 LEFT JOIN attempts a ON a.tenant = t.tenant AND a.id = t.attempt
                 WHERE m.tenant = $1 AND m.id = $2 ORDER BY t.position",
                messages::TABLE.select_as("m")
            )
        });
        let rows = self.query(&SELECT, values![tenant, id]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let step = |row: &Row| {
            let (_, at, status, attempt, provider_request_id, reason): (MessageRow, _, _, _, _, _) = row.read()?;
            Ok(TimelineEntry { at, status, attempt, provider_request_id, reason, quoted: None })
        };
        let timeline = rows.iter().map(step).collect::<Result<_, StoreError>>()?;
        let MessageRow { message, .. } = first.read()?;
        Ok(Some(MessageRecord { message, timeline }))
    }

    /// Messages of a tenant, newest first.
    pub async fn messages(&self, tenant: &TenantId, filter: &MessageFilter) -> Result<Page<Message>, StoreError> {
        let MessageFilter { status, to, sender, template, since, until, after, limit } = filter;
        let select = format!("SELECT {} FROM messages m", messages::TABLE.select_as("m"));
        let mut query = Conditions::new(&select, "m.tenant", tenant);
        query.and("m.status =", *status);
        query.and("m.contact =", to.as_ref());
        query.and("m.sender =", sender.as_ref());
        query.and("m.template =", template.as_deref());
        query.and("m.created_at >=", *since);
        query.and("m.created_at <", *until);
        // Identifiers sort by the time of their making.
        query.and("m.id <", *after);
        query.ordered("m.id DESC", *limit);
        let rows = self.query(&query.sql, query.parameters).await?;
        let wanted = usize::try_from(*limit).unwrap_or(usize::MAX);
        let message = |row: &Row| row.read().map(|MessageRow { message, .. }| message);
        let items: Vec<Message> = rows.iter().take(wanted).map(message).collect::<Result<_, StoreError>>()?;
        let next = if rows.len() > wanted { items.last().map(|m| m.id) } else { None };
        Ok(Page { items, next })
    }

    /// What accepting a message would answer to an idempotency key that was used before; `None` when it was not used.
    pub async fn replayed(
        &self,
        tenant: &TenantId,
        idempotency: &Idempotency,
    ) -> Result<Option<Acceptance>, StoreError> {
        static SELECT: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT {}, k.body_sha256, k.content_sha256
                 FROM idempotency_keys k JOIN messages m ON m.tenant = k.tenant AND m.id = k.message
                 WHERE k.tenant = $1 AND k.idempotency_key = $2",
                messages::TABLE.select_as("m")
            )
        });
        let rows = self.query(&SELECT, values![tenant, &idempotency.key]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (MessageRow { message, .. }, body, content): (_, [u8; 32], Option<[u8; 32]>) = row.read()?;
        if !idempotency.is_repeated(&body, content.as_ref()) {
            return Ok(Some(Acceptance::KeyReused));
        }
        Ok(Some(Acceptance::Replayed(Box::new(message))))
    }

    /// One of this tenant's messages, sent or received, that the provider knows; `None` when there is none (yet).
    pub async fn answerable(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Answerable>, StoreError> {
        let sql = "SELECT sender, contact, provider_message_id FROM inbound_messages WHERE tenant = $1 AND id = $2
         UNION ALL
         SELECT sender, contact, provider_message_id FROM messages
         WHERE tenant = $1 AND id = $2 AND provider_message_id IS NOT NULL
         LIMIT 1";
        let rows = self.query(sql, values![tenant, id]).await?;
        let read = |row: &Row| {
            let (sender, contact, provider_message_id) = row.read()?;
            Ok(Answerable { sender, contact, provider_message_id })
        };
        rows.first().map(read).transpose()
    }

    /// A message that was received, and the webhook that brought it as far as retention keeps it; `None` when this
    /// tenant has none of this id.
    pub async fn received(&self, tenant: &TenantId, id: MessageId) -> Result<Option<ReceivedMessage>, StoreError> {
        let sql =
            "SELECT i.sender, i.contact, i.provider_message_id, i.received_at, w.id, w.url, w.headers, w.body, w.route
         FROM inbound_messages i
         LEFT JOIN webhook_events e ON e.tenant = i.tenant AND e.sender = i.sender
           AND e.dedupe_key = 'in:' || i.provider_message_id
         LEFT JOIN logged_webhooks w ON w.tenant = e.tenant AND w.received_at = e.received_at AND w.id = e.webhook
         WHERE i.tenant = $1 AND i.id = $2";
        let rows = self.query(sql, values![tenant, id]).await?;
        let read = |row: &Row| {
            let (sender, contact, provider_message_id, received_at, webhook) = row.read()?;
            let webhook = match webhook {
                None::<String> => None,
                Some(_) => {
                    let (sender, _, _, received_at, id, url, headers, body, route): (
                        _,
                        Address,
                        String,
                        _,
                        _,
                        _,
                        _,
                        _,
                        _,
                    ) = row.read()?;
                    let tenant = tenant.clone();
                    Some(StoredWebhook { tenant, sender, id, received_at, url, route, headers, body })
                }
            };
            Ok(ReceivedMessage { id, sender, contact, provider_message_id, received_at, webhook })
        };
        rows.first().map(read).transpose()
    }

    /// Whether two addresses are one person's, as far as is known now.
    pub async fn is_one_person(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        a: &Address,
        b: &Address,
    ) -> Result<bool, StoreError> {
        let key = (tenant.clone(), sender.clone(), a.clone());
        self.read_rows(|rows| is_one_person(rows, &key, b)).await
    }

    /// Which of these provider's ids already belong to a message that this tenant sent: dispatch adopts a message of
    /// the provider's log only when it belongs to no other.
    pub async fn known_provider_message_ids(
        &self,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let keys = ids.iter().map(|id| values![tenant, id]).collect();
        let found = self.find(vec![Lookup { finder: &attempts::BY_PROVIDER_ID, keys }]).await?;
        let id = |row: &Row| Ok(AttemptRow::read(row)?.1.provider_message_id);
        found.iter().flatten().filter_map(|row| id(row).transpose()).collect()
    }

    /// What is known of the person behind an address, as one sender knows them; the default when nothing is.
    pub async fn contact(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        contact: &Address,
    ) -> Result<Contact, StoreError> {
        self.contact_in_pool(tenant, sender, &[], contact).await
    }

    /// As [`Store::contact`], for a message through a pool that has these other senders.
    pub async fn contact_in_pool(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        others: &[SenderName],
        contact: &Address,
    ) -> Result<Contact, StoreError> {
        let key = (tenant.clone(), sender.clone(), contact.clone());
        self.read_rows(|rows| person_in_pool(rows, &key, others)).await
    }

    /// As [`Store::contact`], for each of some senders.
    pub async fn contacts_of<'s>(
        &self,
        tenant: &TenantId,
        senders: impl IntoIterator<Item = &'s SenderName>,
        contact: &Address,
    ) -> Result<Vec<Contact>, StoreError> {
        let keys: Vec<_> =
            senders.into_iter().map(|sender| (tenant.clone(), sender.clone(), contact.clone())).collect();
        self.read_rows(|rows| all(keys.iter().map(|key| person(rows, key)).collect())).await
    }

    /// The addresses that were seen together with this one, newest first.
    pub async fn linked(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        contact: &Address,
    ) -> Result<Vec<LinkedAddress>, StoreError> {
        let key = (tenant.clone(), sender.clone(), contact.clone());
        self.read_rows(|rows| linked(rows, &key)).await
    }

    /// Reads rows until nothing is missing.
    pub(crate) async fn read_rows<T>(&self, read: impl Fn(&mut Rows) -> Result<T, Halt>) -> Result<T, StoreError> {
        let mut rows = Rows::default();
        loop {
            match read(&mut rows) {
                Ok(read) => return Ok(read),
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Missing) => {}
            }
            let mut missing = rows.missing();
            let found = self.find(std::mem::take(&mut missing.lookups)).await?;
            missing.take(&mut rows, &found)?;
        }
    }
}
