//! The queue, and what holds it up: lanes, counts, holds, sweeps.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::COUNTED;
use crate::store::codec::{count, maybe_time, micros, parse, priority, time};
use crate::store::database::value::{Row, values};
use crate::store::engine::records::{self, Record};
use crate::store::hold::Hold;
use crate::store::queue::{ExpiredRef, Lane, LaneRef, QueueCounts};
use crate::store::sweep::SweepCursor;
use crate::store::{Store, StoreError};

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Events,
    Unsettled,
}

impl Store {
    /// Every lane that holds work, with the earliest moment at which any of it may be claimed.
    pub async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        let sql = "SELECT tenant, sender, priority, next_at FROM (
           SELECT l.tenant, l.sender, l.priority,
             (SELECT MIN(q.available_at) FROM queue q
              WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
           FROM lanes l) AS waiting
         WHERE next_at IS NOT NULL ORDER BY tenant, sender, priority";
        let lane = |row: &Row| {
            let lane = LaneRef {
                tenant: parse("a tenant", row.text(0)?)?,
                sender: parse("a sender", row.text(1)?)?,
                priority: priority(row.int(2)?)?,
            };
            Ok(Lane { lane, next_at: time(row.int(3)?)? })
        };
        self.query(sql, Vec::new()).await?.iter().map(lane).collect()
    }

    /// Queued messages whose validity is over, oldest first.
    pub async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<ExpiredRef>, StoreError> {
        // One that is being handed over keeps its place until its call has ended, and is not to stand before the others.
        let sql = "SELECT q.tenant, q.message, q.sender FROM queue q
         JOIN messages m ON m.tenant = q.tenant AND m.id = q.message AND m.status = 'queued'
         WHERE q.expires_at IS NOT NULL AND q.expires_at <= $1 ORDER BY q.expires_at LIMIT $2";
        let read = |row: &Row| {
            Ok(ExpiredRef {
                tenant: parse("a tenant", row.text(0)?)?,
                id: parse("a message id", row.text(1)?)?,
                sender: parse("a sender", row.text(2)?)?,
            })
        };
        self.query(sql, values![micros(now), limit]).await?.iter().map(read).collect()
    }

    /// What stands in the queue. Lane by lane, so that counting what is due never passes over what is not, and the other
    /// way round.
    pub async fn queue_counts(&self, now: Timestamp) -> Result<QueueCounts, StoreError> {
        let sql = "WITH RECURSIVE tenants(tenant) AS (
           SELECT MIN(tenant) FROM messages
           UNION ALL
           SELECT (SELECT MIN(m.tenant) FROM messages m WHERE m.tenant > t.tenant) FROM tenants t
           WHERE t.tenant IS NOT NULL)
         SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM lanes l CROSS JOIN queue q
                 WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority
                   AND q.available_at <= $1 LIMIT $2) AS due),
                (SELECT COUNT(*) FROM (SELECT 1 FROM lanes l CROSS JOIN queue q
                 WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority
                   AND q.available_at > $1 LIMIT $2) AS deferred),
                (SELECT COUNT(*) FROM (SELECT 1 FROM tenants t CROSS JOIN messages m
                 WHERE m.tenant = t.tenant AND m.status = 'unconfirmed' LIMIT $2) AS unconfirmed),
                (SELECT MIN(next_at) FROM (SELECT (SELECT MIN(q.available_at) FROM queue q
                   WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
                   FROM lanes l) AS heads WHERE next_at <= $1),
                (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_events WHERE available_at <= $1 LIMIT $2) AS unapplied)";
        let rows = self.query(sql, values![micros(now), COUNTED]).await?;
        let Some(row) = rows.first() else { return Ok(QueueCounts::default()) };
        Ok(QueueCounts {
            due: count(row.int(0)?),
            deferred: count(row.int(1)?),
            unconfirmed: count(row.int(2)?),
            oldest_due_at: maybe_time(row.maybe_int(3)?)?,
            unapplied: count(row.int(4)?),
        })
    }

    /// Everything that is held now, of every tenant.
    pub async fn holds(&self, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
        let sql = "SELECT tenant, scope, kind, until, reason, created_at FROM holds WHERE until > $1";
        let read = |row: &Row| {
            let ((tenant, scope, kind), hold) = records::Hold::read(row)?;
            let (scope, kind) = (parse("a scope", &scope)?, parse("a kind of hold", &kind)?);
            let records::Hold { until, reason, created_at } = hold;
            Ok(Hold { tenant, scope, kind, until, reason, created_at })
        };
        self.query(sql, values![micros(now)]).await?.iter().map(read).collect()
    }

    /// How far every account's log has been read.
    pub async fn sweeps(&self) -> Result<Vec<SweepCursor>, StoreError> {
        let sql =
            "SELECT tenant, account, swept_until, available_at, fence, owner FROM sweeps ORDER BY tenant, account";
        let read = |row: &Row| {
            let ((tenant, account), sweep) = records::Sweep::read(row)?;
            Ok(SweepCursor { tenant, account, swept_until: sweep.swept_until, due_at: sweep.available_at })
        };
        self.query(sql, Vec::new()).await?.iter().map(read).collect()
    }

    /// Whether an account may be claimed to be swept.
    pub async fn sweep_is_due(&self, tenant: &TenantId, account: &str, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT available_at FROM sweeps WHERE tenant = $1 AND account = $2";
        let rows = self.query(sql, values![tenant.as_str(), account]).await?;
        rows.first().map_or(Ok(true), |row| Ok(row.int(0)? <= micros(now)))
    }

    /// Tenants of which something is due in a table that has a time for it.
    pub(crate) async fn tenants_due(
        &self,
        table: Due,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let sql = match table {
            Due::Events => {
                "SELECT DISTINCT tenant FROM (
               SELECT tenant FROM webhook_events WHERE available_at <= $1 ORDER BY available_at LIMIT $2) AS due"
            }
            Due::Unsettled => {
                "SELECT DISTINCT tenant FROM (
               SELECT tenant FROM unsettled WHERE available_at <= $1 ORDER BY available_at LIMIT $2) AS due"
            }
        };
        let rows = self.readers.query(sql, values![micros(now), limit]).await?;
        rows.iter().map(|row| parse("a tenant", row.text(0)?)).collect()
    }
}
