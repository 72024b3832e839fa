//! What happens to a message when something is learned of it: its status, its timeline, its publication, and where it
//! waits, all in one transaction.

use jiff::Timestamp;
use messaging::id::{AttemptId, TenantId};
use messaging::lifecycle::{LifecycleEvent, MessageState, MessageStatus};
use messaging::provider::StatusUpdate;
use sqlx::SqliteConnection;

use super::codec::{message, micros, reason_json, select_message};
use super::committer::Tx;
use super::{outbox, webhooks};
use crate::event;
use crate::store::StoreError;
use crate::store::message::{Message, Reason, SinkId};

/// What was learned of a message, or decided about it.
pub(super) struct Evidence {
    pub(super) change: Change,
    pub(super) at: Timestamp,
    pub(super) reason: Option<Reason>,
}

pub(super) enum Change {
    /// The domain says what follows from it.
    Event(LifecycleEvent),
    /// It ends, unless it has ended before.
    End(MessageStatus),
}

impl Evidence {
    pub(super) fn event(event: LifecycleEvent, at: Timestamp) -> Self {
        Self { change: Change::Event(event), at, reason: None }
    }

    pub(super) fn end(status: MessageStatus, reason: Reason, at: Timestamp) -> Self {
        Self { change: Change::End(status), at, reason: Some(reason) }
    }

    /// What a callback told.
    pub(super) fn reported(update: &StatusUpdate, at: Timestamp) -> Self {
        let event = LifecycleEvent::Reported {
            attempt: update.attempt,
            provider_message_id: update.provider_message_id.clone(),
            status: update.status,
            failure: update.failure.clone(),
        };
        let reason = update.failure.as_ref().map(|f| Reason::new(f.code.as_deref(), f.message.clone()));
        Self { change: Change::Event(event), at, reason }
    }
}

pub(super) async fn load(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<Message>, StoreError> {
    let row = sqlx::query(select_message!(" FROM messages m WHERE m.tenant = $1 AND m.id = $2"))
        .bind(tenant.as_str())
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(message).transpose()
}

pub(super) async fn message_of_attempt(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    attempt: AttemptId,
) -> Result<Option<Message>, StoreError> {
    let row = sqlx::query(select_message!(
        " FROM attempts a JOIN messages m ON m.tenant = a.tenant AND m.id = a.message
         WHERE a.tenant = $1 AND a.id = $2"
    ))
    .bind(tenant.as_str())
    .bind(attempt.to_string())
    .fetch_optional(&mut *tx.connection)
    .await?;
    row.as_ref().map(message).transpose()
}

pub(super) async fn message_of_provider(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    provider_message_id: &str,
) -> Result<Option<Message>, StoreError> {
    let row = sqlx::query(select_message!(
        " FROM attempts a JOIN messages m ON m.tenant = a.tenant AND m.id = a.message
         WHERE a.tenant = $1 AND a.provider_message_id = $2"
    ))
    .bind(tenant.as_str())
    .bind(provider_message_id)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(message).transpose()
}

/// Lets something that was learned change a message. Answers with the status that it reached by it; `None` when it
/// stands where it stood.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    message: &mut Message,
    evidence: &Evidence,
    sinks: &[SinkId],
) -> Result<Option<MessageStatus>, StoreError> {
    let before = MessageState {
        status: message.status,
        attempt: message.attempt,
        attempts: message.attempts,
        provider_message_id: message.provider_message_id.clone(),
    };
    let (after, told) = match &evidence.change {
        Change::Event(event) => {
            let (after, entry) = before.apply(event, evidence.at);
            (after, entry.and_then(|entry| entry.reason))
        }
        Change::End(_) if before.status.is_terminal() => (before.clone(), None),
        Change::End(status) => (MessageState { status: *status, ..before.clone() }, None),
    };
    if after == before {
        return Ok(None);
    }
    message.status = after.status;
    message.attempt = after.attempt;
    message.attempts = after.attempts;
    message.provider_message_id = after.provider_message_id;
    if message.status == before.status {
        save(tx, message).await?;
        return Ok(None);
    }
    message.reason = evidence.reason.clone().or_else(|| told.map(|text| Reason::new(None, text)));
    message.updated_at = evidence.at;
    save(tx, message).await?;
    tell(tx, message).await?;
    if event::is_published(message.status) {
        outbox::insert(tx, &message.sender, &event::status(message, evidence.at), sinks).await?;
    }
    if message.status.is_terminal() {
        leave_queue(tx, message).await?;
        stop_waiting(tx, message).await?;
    }
    Ok(Some(message.status))
}

/// Adds the status that the message has now to its timeline.
async fn tell(tx: &mut Tx<'_>, message: &Message) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO message_timeline (tenant, message, position, at, status, attempt, reason)
         SELECT $1, $2, COALESCE(MAX(position), 0) + 1, $3, $4, $5, $6
         FROM message_timeline WHERE tenant = $1 AND message = $2",
    )
    .bind(message.tenant.as_str())
    .bind(message.id.to_string())
    .bind(micros(message.updated_at))
    .bind(message.status.as_str())
    .bind(message.attempt.map(|a| a.to_string()))
    .bind(reason_json(message.reason.as_ref())?)
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

async fn save(tx: &mut Tx<'_>, message: &Message) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE messages SET status = $3, reason = $4, provider_message_id = $5, attempt = $6, attempts = $7,
         updated_at = $8 WHERE tenant = $1 AND id = $2",
    )
    .bind(message.tenant.as_str())
    .bind(message.id.to_string())
    .bind(message.status.as_str())
    .bind(reason_json(message.reason.as_ref())?)
    .bind(message.provider_message_id.as_deref())
    .bind(message.attempt.map(|a| a.to_string()))
    .bind(i64::from(message.attempts))
    .bind(micros(message.updated_at))
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

/// An attempt's id at the provider is known now.
pub(super) async fn learn_provider_id(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    attempt: AttemptId,
    provider_message_id: &str,
) -> Result<(), StoreError> {
    // An id that another attempt has is not this one's, whoever says so.
    sqlx::query(
        "UPDATE attempts SET provider_message_id = $3
         WHERE tenant = $1 AND id = $2 AND provider_message_id IS NULL
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.tenant = $1 AND a.provider_message_id = $3)",
    )
    .bind(tenant.as_str())
    .bind(attempt.to_string())
    .bind(provider_message_id)
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

/// Merges what came before the message was known by this id.
pub(super) async fn adopt_parked(
    tx: &mut Tx<'_>,
    message: &mut Message,
    provider_message_id: &str,
    sinks: &[SinkId],
) -> Result<Vec<MessageStatus>, StoreError> {
    let mut reached = Vec::new();
    let tenant = message.tenant.clone();
    for (update, at) in webhooks::take_parked(tx, &tenant, provider_message_id).await? {
        reached.extend(advance(tx, message, &Evidence::reported(&update, at), sinks).await?);
    }
    Ok(reached)
}

/// Nobody needs to hand it over any more.
pub(super) async fn leave_queue(tx: &mut Tx<'_>, message: &Message) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM queue WHERE tenant = $1 AND message = $2")
        .bind(message.tenant.as_str())
        .bind(message.id.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(())
}

/// Its fate is to be asked for at `ask_at`, or earlier where that was settled before. Who is asking right now asked
/// before this was known, so its answer counts no more.
pub(super) async fn await_settlement(tx: &mut Tx<'_>, message: &Message, ask_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO unsettled (tenant, message, available_at, fence, asked) VALUES ($1, $2, $3, 0, 0)
         ON CONFLICT (tenant, message) DO UPDATE SET fence = unsettled.fence + 1",
    )
    .bind(message.tenant.as_str())
    .bind(message.id.to_string())
    .bind(micros(ask_at))
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

async fn stop_waiting(tx: &mut Tx<'_>, message: &Message) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM unsettled WHERE tenant = $1 AND message = $2")
        .bind(message.tenant.as_str())
        .bind(message.id.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(())
}
