//! Messages come in, and are withdrawn.

use messaging::content::OutboundContent;
use messaging::id::TenantId;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};
use sqlx::{Row, SqliteConnection};

use super::codec::{corrupt, json, micros, priority_code, purpose_code};
use super::committer::{Operation, Tx};
use super::lifecycle::{self, Evidence};
use crate::store::StoreError;
use crate::store::message::{AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, NewMessage};

/// Writes a message, the beginning of its timeline, and its place in the queue.
pub(super) async fn insert(tx: &mut Tx<'_>, new: &NewMessage) -> Result<Message, StoreError> {
    let (tenant, id, created_at) = (new.tenant.as_str(), new.id.to_string(), micros(new.created_at));
    let template = match &new.content {
        OutboundContent::Template { name, .. } => Some(name.as_str()),
        OutboundContent::Text { .. } | OutboundContent::Media { .. } => None,
    };
    let due_at = new.scheduled_at.map_or(new.created_at, |at| at.max(new.created_at));
    sqlx::query(
        "INSERT INTO messages
         (tenant, id, sender, messaging_service_sid, contact, content, template, purpose, priority, reply_to,
          reply_to_provider_id, metadata, status, attempts, created_at, updated_at, scheduled_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'queued', 0, $13, $13, $14, $15)",
    )
    .bind(tenant)
    .bind(&id)
    .bind(new.sender.as_str())
    .bind(new.messaging_service_sid.as_deref())
    .bind(new.to.as_str())
    .bind(json(&new.content)?)
    .bind(template)
    .bind(purpose_code(new.purpose))
    .bind(priority_code(new.priority))
    .bind(new.reply_to.as_ref().map(|(id, _)| id.to_string()))
    .bind(new.reply_to.as_ref().map(|(_, provider_id)| provider_id.as_str()))
    .bind(json(&new.metadata)?)
    .bind(created_at)
    .bind(new.scheduled_at.map(micros))
    .bind(new.expires_at.map(micros))
    .execute(&mut *tx.connection)
    .await?;
    sqlx::query(
        "INSERT INTO message_timeline (tenant, message, position, at, status) VALUES ($1, $2, 1, $3, 'queued')",
    )
    .bind(tenant)
    .bind(&id)
    .bind(created_at)
    .execute(&mut *tx.connection)
    .await?;
    sqlx::query(
        "INSERT INTO queue (tenant, message, sender, priority, due_at, available_at, fence)
         VALUES ($1, $2, $3, $4, $5, $5, 0)",
    )
    .bind(tenant)
    .bind(&id)
    .bind(new.sender.as_str())
    .bind(priority_code(new.priority))
    .bind(micros(due_at))
    .execute(&mut *tx.connection)
    .await?;
    sqlx::query("INSERT INTO lanes (tenant, sender, priority) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(tenant)
        .bind(new.sender.as_str())
        .bind(priority_code(new.priority))
        .execute(&mut *tx.connection)
        .await?;
    tx.bells.queue = true;
    Ok(Message {
        id: new.id,
        tenant: new.tenant.clone(),
        sender: new.sender.clone(),
        messaging_service_sid: new.messaging_service_sid.clone(),
        to: new.to.clone(),
        content: Some(new.content.clone()),
        purpose: new.purpose,
        priority: new.priority,
        reply_to: new.reply_to.clone(),
        metadata: new.metadata.clone(),
        status: MessageStatus::Queued,
        reason: None,
        provider_message_id: None,
        attempt: None,
        attempts: 0,
        created_at: new.created_at,
        updated_at: new.created_at,
        scheduled_at: new.scheduled_at,
        expires_at: new.expires_at,
    })
}

/// The answer to a key that was used before.
pub(super) async fn replayed(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    idempotency: &Idempotency,
) -> Result<Option<Acceptance>, StoreError> {
    let used =
        sqlx::query("SELECT body_sha256, message FROM idempotency_keys WHERE tenant = $1 AND idempotency_key = $2")
            .bind(tenant.as_str())
            .bind(&idempotency.key)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(used) = used else { return Ok(None) };
    if used.try_get::<&[u8], _>(0)? != idempotency.body_sha256 {
        return Ok(Some(Acceptance::KeyReused));
    }
    let message = lifecycle::load(connection, tenant, used.try_get(1)?)
        .await?
        .ok_or_else(|| corrupt("an idempotency key", "its message is missing"))?;
    Ok(Some(Acceptance::Replayed(Box::new(message))))
}

impl Operation for AcceptMessage {
    type Answer = Acceptance;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Acceptance, StoreError> {
        let tenant = &self.message.tenant;
        if let Some(idempotency) = &self.idempotency {
            if let Some(replayed) = replayed(tx.connection, tenant, idempotency).await? {
                return Ok(replayed);
            }
            sqlx::query(
                "INSERT INTO idempotency_keys (tenant, idempotency_key, body_sha256, message, created_at)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(tenant.as_str())
            .bind(&idempotency.key)
            .bind(&idempotency.body_sha256[..])
            .bind(self.message.id.to_string())
            .bind(micros(self.message.created_at))
            .execute(&mut *tx.connection)
            .await?;
        }
        Ok(Acceptance::New(Box::new(insert(tx, &self.message).await?)))
    }
}

impl Operation for CancelMessage {
    type Answer = Cancellation;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Cancellation, StoreError> {
        let Some(mut message) = lifecycle::load(tx.connection, &self.tenant, &self.id.to_string()).await? else {
            return Ok(Cancellation::NotFound);
        };
        match message.status {
            MessageStatus::Canceled => Ok(Cancellation::Canceled(Box::new(message))),
            // Whoever holds it cannot begin an attempt any more, because its place in the queue goes.
            MessageStatus::Queued => {
                let evidence = Evidence {
                    reason: Some(self.reason.clone()),
                    ..Evidence::event(LifecycleEvent::Canceled, self.now)
                };
                lifecycle::advance(tx, &mut message, &evidence, &self.sinks).await?;
                Ok(Cancellation::Canceled(Box::new(message)))
            }
            _ => Ok(Cancellation::TooLate(Box::new(message))),
        }
    }
}
