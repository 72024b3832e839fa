//! What is read of messages and of the queue, without waiting for writes.

use jiff::Timestamp;
use messaging::id::{MessageId, TenantId};
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::codec::{count, message as read_message, micros, optional_reason, parse, priority, select_message, time};
use super::lifecycle;
use crate::store::StoreError;
use crate::store::message::{Message, MessageFilter, MessageRecord, Page, StatusCount, TimelineEntry};
use crate::store::queue::{Lane, LaneRef, QueueCounts};

pub(super) async fn message(
    pool: &SqlitePool,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<MessageRecord>, StoreError> {
    // One transaction, so that the message and its timeline are of the same moment.
    let mut reader = pool.begin().await?;
    let Some(message) = lifecycle::load(&mut reader, tenant, &id.to_string()).await? else {
        return Ok(None);
    };
    let rows = sqlx::query(
        "SELECT at, status, attempt, reason FROM message_timeline
         WHERE tenant = $1 AND message = $2 ORDER BY position",
    )
    .bind(tenant.as_str())
    .bind(id.to_string())
    .fetch_all(&mut *reader)
    .await?;
    let timeline = rows
        .iter()
        .map(|row| {
            Ok(TimelineEntry {
                at: time(row.try_get(0)?)?,
                status: parse("a status", row.try_get(1)?)?,
                attempt: row.try_get::<Option<&str>, _>(2)?.map(|a| parse("an attempt id", a)).transpose()?,
                reason: optional_reason(row.try_get(3)?)?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some(MessageRecord { message, timeline }))
}

pub(super) async fn messages(
    pool: &SqlitePool,
    tenant: &TenantId,
    filter: &MessageFilter,
) -> Result<Page<Message>, StoreError> {
    let MessageFilter { status, to, sender, template, since, until, after, limit } = filter;
    let mut query = QueryBuilder::<Sqlite>::new(select_message!(" FROM messages m WHERE m.tenant = "));
    query.push_bind(tenant.as_str());
    if let Some(status) = status {
        query.push(" AND m.status = ").push_bind(status.as_str());
    }
    if let Some(to) = to {
        query.push(" AND m.contact = ").push_bind(to.as_str());
    }
    if let Some(sender) = sender {
        query.push(" AND m.sender = ").push_bind(sender.as_str());
    }
    if let Some(template) = template {
        query.push(" AND m.template = ").push_bind(template.as_str());
    }
    if let Some(since) = since {
        query.push(" AND m.created_at >= ").push_bind(micros(*since));
    }
    if let Some(until) = until {
        query.push(" AND m.created_at < ").push_bind(micros(*until));
    }
    if let Some(after) = after {
        query.push(" AND m.id < ").push_bind(after.to_string());
    }
    // Identifiers sort by the time of their making. One more than asked for tells whether there is another page.
    query.push(" ORDER BY m.id DESC LIMIT ").push_bind(i64::from(*limit) + 1);
    let rows = query.build().fetch_all(pool).await?;
    let wanted = usize::try_from(*limit).unwrap_or(usize::MAX);
    let items: Vec<Message> = rows.iter().take(wanted).map(read_message).collect::<Result<_, _>>()?;
    let next = if rows.len() > wanted { items.last().map(|m| m.id) } else { None };
    Ok(Page { items, next })
}

pub(super) async fn provider_message_id(
    pool: &SqlitePool,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT provider_message_id FROM inbound_messages WHERE tenant = $1 AND id = $2
         UNION ALL
         SELECT provider_message_id FROM messages
         WHERE tenant = $1 AND id = $2 AND provider_message_id IS NOT NULL
         LIMIT 1",
    )
    .bind(tenant.as_str())
    .bind(id.to_string())
    .fetch_optional(pool)
    .await?)
}

pub(super) async fn known_provider_message_ids(
    pool: &SqlitePool,
    tenant: &TenantId,
    ids: &[String],
) -> Result<Vec<String>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Sqlite>::new("SELECT provider_message_id FROM attempts WHERE tenant = ");
    query.push_bind(tenant.as_str()).push(" AND provider_message_id IN (");
    let mut listed = query.separated(", ");
    for id in ids {
        listed.push_bind(id.as_str());
    }
    query.push(")");
    Ok(query.build_query_scalar().fetch_all(pool).await?)
}

pub(super) async fn count_by_status(pool: &SqlitePool, tenant: &TenantId) -> Result<Vec<StatusCount>, StoreError> {
    let rows = sqlx::query("SELECT status, COUNT(*) FROM messages WHERE tenant = $1 GROUP BY status ORDER BY status")
        .bind(tenant.as_str())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| Ok(StatusCount { status: parse("a status", row.try_get(0)?)?, count: count(row.try_get(1)?) }))
        .collect()
}

pub(super) async fn lanes(pool: &SqlitePool) -> Result<Vec<Lane>, StoreError> {
    let rows = sqlx::query(
        "SELECT tenant, sender, priority, next_at FROM (
           SELECT l.tenant, l.sender, l.priority,
             (SELECT MIN(q.available_at) FROM queue q
              WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
           FROM lanes l) AS waiting
         WHERE next_at IS NOT NULL ORDER BY tenant, sender, priority",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let lane = LaneRef {
                tenant: parse("a tenant", row.try_get(0)?)?,
                sender: parse("a sender", row.try_get(1)?)?,
                priority: priority(row.try_get(2)?)?,
            };
            Ok(Lane { lane, next_at: time(row.try_get(3)?)? })
        })
        .collect()
}

pub(super) async fn queue_counts(pool: &SqlitePool, now: Timestamp) -> Result<QueueCounts, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM queue WHERE available_at <= $1),
                (SELECT COUNT(*) FROM queue WHERE available_at > $1),
                (SELECT COUNT(*) FROM unsettled u JOIN messages m ON m.tenant = u.tenant AND m.id = u.message
                 WHERE m.status = 'unconfirmed'),
                (SELECT MIN(available_at) FROM queue WHERE available_at <= $1)",
    )
    .bind(micros(now))
    .fetch_one(pool)
    .await?;
    Ok(QueueCounts {
        due: count(row.try_get(0)?),
        deferred: count(row.try_get(1)?),
        unconfirmed: count(row.try_get(2)?),
        oldest_due_at: row.try_get::<Option<i64>, _>(3)?.map(time).transpose()?,
    })
}
