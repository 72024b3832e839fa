//! Events on their way to the tenants' sinks. Of one subject only the oldest is available, so that a sink hears of a
//! message's steps in their order.

use jiff::Timestamp;
use messaging::event::CloudEvent;
use messaging::id::SenderName;
use sqlx::{Row, SqlitePool};

use super::codec::{count, json, micros, parse, small, time};
use super::committer::{Operation, Tx};
use crate::store::StoreError;
use crate::store::message::SinkId;
use crate::store::outbox::{ClaimEvents, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane};
use crate::store::queue::Fenced;

/// `available_at` of an event that waits for an older one of its subject.
fn never() -> i64 {
    micros(Timestamp::MAX)
}

/// Puts an event into the outbox, once for each sink.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    sender: &SenderName,
    event: &CloudEvent,
    sinks: &[SinkId],
) -> Result<(), StoreError> {
    if sinks.is_empty() {
        return Ok(());
    }
    let body = json(event)?;
    for sink in sinks {
        sqlx::query(
            "INSERT INTO outbox
             (tenant, sender, sink, event, subject, position, body, created_at, available_at, fence, tries)
             SELECT $1, $2, $3, $4, $5, COALESCE(MAX(position), 0) + 1, $6, $7,
                    CASE WHEN COUNT(*) = 0 THEN $7 ELSE $8 END, 0, 0
             FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $5 AND dead_at IS NULL
             ON CONFLICT DO NOTHING",
        )
        .bind(event.tenant.as_str())
        .bind(sender.as_str())
        .bind(&sink.0)
        .bind(event.id.to_string())
        .bind(&event.subject)
        .bind(&body)
        .bind(micros(event.time))
        .bind(never())
        .execute(&mut *tx.connection)
        .await?;
        sqlx::query("INSERT INTO outbox_lanes (tenant, sender, sink) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(event.tenant.as_str())
            .bind(sender.as_str())
            .bind(&sink.0)
            .execute(&mut *tx.connection)
            .await?;
    }
    tx.bells.outbox = true;
    Ok(())
}

pub(super) async fn lanes(pool: &SqlitePool) -> Result<Vec<OutboxLane>, StoreError> {
    let rows = sqlx::query(
        "SELECT tenant, sender, sink, next_at FROM (
           SELECT l.tenant, l.sender, l.sink,
             (SELECT MIN(o.available_at) FROM outbox o
              WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL) AS next_at
           FROM outbox_lanes l) AS waiting
         WHERE next_at IS NOT NULL",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OutboxLane {
                tenant: parse("a tenant", row.try_get(0)?)?,
                sender: parse("a sender", row.try_get(1)?)?,
                sink: SinkId(row.try_get(2)?),
                next_at: time(row.try_get(3)?)?,
            })
        })
        .collect()
}

pub(super) async fn counts(pool: &SqlitePool) -> Result<OutboxCounts, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM outbox WHERE dead_at IS NULL),
                (SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL),
                (SELECT MIN(created_at) FROM outbox WHERE dead_at IS NULL)",
    )
    .fetch_one(pool)
    .await?;
    Ok(OutboxCounts {
        waiting: count(row.try_get(0)?),
        dead: count(row.try_get(1)?),
        oldest_created_at: row.try_get::<Option<i64>, _>(2)?.map(time).transpose()?,
    })
}

impl Operation for ClaimEvents {
    type Answer = Vec<EventClaim>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<EventClaim>, StoreError> {
        let rows = sqlx::query(
            "UPDATE outbox SET fence = fence + 1, owner = $6, available_at = $7
             WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event IN (
               SELECT event FROM outbox
               WHERE tenant = $1 AND sender = $2 AND sink = $3 AND dead_at IS NULL AND available_at <= $4
               ORDER BY available_at, event LIMIT $5)
             RETURNING event, fence, body, tries, created_at",
        )
        .bind(self.tenant.as_str())
        .bind(self.sender.as_str())
        .bind(&self.sink.0)
        .bind(micros(self.now))
        .bind(self.limit)
        .bind(&self.owner)
        .bind(micros(self.lease_until))
        .fetch_all(&mut *tx.connection)
        .await?;
        let mut claims = rows
            .iter()
            .map(|row| {
                Ok(EventClaim {
                    reference: EventRef {
                        tenant: self.tenant.clone(),
                        sender: self.sender.clone(),
                        sink: self.sink.clone(),
                        event: parse("an event id", row.try_get(0)?)?,
                        fence: row.try_get(1)?,
                    },
                    body: row.try_get::<String, _>(2)?.into(),
                    tries: small(row.try_get(3)?),
                    created_at: time(row.try_get(4)?)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        claims.sort_by_key(|claim| claim.reference.event);
        Ok(claims)
    }
}

/// The sink has taken the event.
pub(super) struct EventDelivered {
    pub(super) event: EventRef,
    pub(super) at: Timestamp,
}

/// The subject of an event that is still held; `None` when it is not.
async fn held_subject(tx: &mut Tx<'_>, event: &EventRef) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT subject FROM outbox
         WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event = $4 AND fence = $5 AND dead_at IS NULL",
    )
    .bind(event.tenant.as_str())
    .bind(event.sender.as_str())
    .bind(&event.sink.0)
    .bind(event.event.to_string())
    .bind(event.fence)
    .fetch_optional(&mut *tx.connection)
    .await?)
}

async fn delete(tx: &mut Tx<'_>, event: &EventRef) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event = $4")
        .bind(event.tenant.as_str())
        .bind(event.sender.as_str())
        .bind(&event.sink.0)
        .bind(event.event.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(())
}

/// The one before is out of the way.
async fn release_next(tx: &mut Tx<'_>, event: &EventRef, subject: &str, now: Timestamp) -> Result<(), StoreError> {
    let released = sqlx::query(
        "UPDATE outbox SET available_at = $5
         WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL AND available_at = $6
           AND position = (SELECT MIN(position) FROM outbox
             WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL)",
    )
    .bind(event.tenant.as_str())
    .bind(event.sender.as_str())
    .bind(&event.sink.0)
    .bind(subject)
    .bind(micros(now))
    .bind(never())
    .execute(&mut *tx.connection)
    .await?;
    tx.bells.outbox |= released.rows_affected() > 0;
    Ok(())
}

impl Operation for EventDelivered {
    type Answer = Fenced;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Some(subject) = held_subject(tx, &self.event).await? else {
            return Ok(Fenced::LeaseLost);
        };
        delete(tx, &self.event).await?;
        release_next(tx, &self.event, &subject, self.at).await?;
        Ok(Fenced::Done)
    }
}

impl Operation for DeferEvent {
    type Answer = Fenced;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Self { event, until, error } = self;
        let deferred = sqlx::query(
            "UPDATE outbox SET available_at = $6, fence = fence + 1, owner = NULL, tries = tries + $7,
               last_error = COALESCE($8, last_error)
             WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event = $4 AND fence = $5 AND dead_at IS NULL",
        )
        .bind(event.tenant.as_str())
        .bind(event.sender.as_str())
        .bind(&event.sink.0)
        .bind(event.event.to_string())
        .bind(event.fence)
        .bind(micros(*until))
        .bind(i64::from(error.is_some()))
        .bind(error.as_deref())
        .execute(&mut *tx.connection)
        .await?;
        tx.bells.outbox = true;
        Ok(if deferred.rows_affected() == 1 { Fenced::Done } else { Fenced::LeaseLost })
    }
}

impl Operation for EndEvent {
    type Answer = Fenced;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Self { event, now, error, keep } = self;
        let Some(subject) = held_subject(tx, event).await? else {
            return Ok(Fenced::LeaseLost);
        };
        if *keep {
            sqlx::query(
                "UPDATE outbox SET dead_at = $5, last_error = $6, owner = NULL
                 WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event = $4",
            )
            .bind(event.tenant.as_str())
            .bind(event.sender.as_str())
            .bind(&event.sink.0)
            .bind(event.event.to_string())
            .bind(micros(*now))
            .bind(error)
            .execute(&mut *tx.connection)
            .await?;
        } else {
            delete(tx, event).await?;
        }
        release_next(tx, event, &subject, *now).await?;
        Ok(Fenced::Done)
    }
}
