//! The queue, and what holds it up: lanes, counts, holds, sweeps.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::COUNTED;
use crate::store::hold::Hold;
use crate::store::overlong::StoredTime;
use crate::store::queue::{DueLane, ExpiredRef, LaneRef, QueueCounts};
use crate::store::sql::{FIND_HOPELESS, find_overlong};
use crate::store::sweep::SweepCursor;
use crate::store::tables::Record;
use crate::store::tables::holds::HoldRow;
use crate::store::tables::stored::corrupt;
use crate::store::tables::sweeps::SweepRow;
use crate::store::tables::value::{Row, values};
use crate::store::webhook::GiveUpEvents;
use crate::store::{Store, StoreError};

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Events,
    Unsettled,
}

impl Store {
    /// Every lane that holds work, with the earliest moment at which any of it may be claimed.
    pub async fn lanes(&self) -> Result<Vec<DueLane>, StoreError> {
        let sql = "SELECT tenant, sender, priority, next_at FROM (
           SELECT l.tenant, l.sender, l.priority,
             (SELECT MIN(q.available_at) FROM queue q
              WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
           FROM lanes l) AS waiting
         WHERE next_at IS NOT NULL ORDER BY tenant, sender, priority";
        let lane = |row: &Row| {
            let (tenant, sender, priority, next_at) = row.read()?;
            Ok(DueLane { lane: LaneRef { tenant, sender, priority }, next_at })
        };
        self.query(sql, Vec::new()).await?.iter().map(lane).collect()
    }

    /// Queued messages whose validity is over, oldest first.
    pub async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<ExpiredRef>, StoreError> {
        // A message that is being handed over keeps its row until its call has ended. It must not block the others
        // here.
        let sql = "SELECT q.tenant, q.message, q.sender FROM queue q
         JOIN messages m ON m.tenant = q.tenant AND m.id = q.message AND m.status = 'queued'
         WHERE q.expires_at IS NOT NULL AND q.expires_at <= $1 ORDER BY q.expires_at LIMIT $2";
        let read = |row: &Row| {
            let (tenant, id, sender) = row.read()?;
            Ok(ExpiredRef { tenant, id, sender })
        };
        self.query(sql, values![now, limit]).await?.iter().map(read).collect()
    }

    /// Counts the queue, lane by lane, so that counting due rows never passes over those that are not due, or the
    /// reverse.
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
                (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_events WHERE available_at <= $1 LIMIT $2) AS unapplied),
                (SELECT MIN(received_at) FROM (SELECT received_at FROM webhook_events WHERE available_at IS NOT NULL
                 ORDER BY available_at LIMIT $2) AS waiting)";
        let rows = self.query(sql, values![now, COUNTED]).await?;
        let Some(row) = rows.first() else { return Ok(QueueCounts::default()) };
        let (due, deferred, unconfirmed, oldest_due_at, unapplied, oldest_unapplied_at) = row.read()?;
        Ok(QueueCounts { due, deferred, unconfirmed, oldest_due_at, unapplied, oldest_unapplied_at })
    }

    /// Everything that is held now, of every tenant.
    pub async fn holds(&self, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
        let sql = "SELECT tenant, scope, kind, until, reason, created_at FROM holds WHERE until > $1";
        let read = |row: &Row| {
            let ((tenant, scope, kind), HoldRow { until, reason, created_at }) = HoldRow::read(row)?;
            let scope = scope.parse().map_err(|reason| corrupt("a hold's scope", reason))?;
            let kind = kind.parse().map_err(|reason| corrupt("a kind of hold", reason))?;
            Ok(Hold { tenant, scope, kind, until, reason, created_at })
        };
        self.query(sql, values![now]).await?.iter().map(read).collect()
    }

    /// How far every account's log has been read.
    pub async fn sweeps(&self) -> Result<Vec<SweepCursor>, StoreError> {
        let sql =
            "SELECT tenant, account, swept_until, available_at, fence, owner FROM sweeps ORDER BY tenant, account";
        let read = |row: &Row| {
            let ((tenant, account), sweep) = SweepRow::read(row)?;
            Ok(SweepCursor { tenant, account, swept_until: sweep.swept_until, due_at: sweep.available_at })
        };
        self.query(sql, Vec::new()).await?.iter().map(read).collect()
    }

    /// Whether an account may be claimed to be swept.
    pub async fn sweep_is_due(&self, tenant: &TenantId, account: &str, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT available_at FROM sweeps WHERE tenant = $1 AND account = $2";
        let rows = self.query(sql, values![tenant, account]).await?;
        rows.first().map_or(Ok(true), |row| Ok(row.read::<Timestamp>()? <= now))
    }

    /// Tenants that have times beyond their bound.
    pub(crate) async fn tenants_with_overlong(
        &self,
        time: StoredTime,
        latest: Timestamp,
    ) -> Result<Vec<TenantId>, StoreError> {
        let rows = self.readers.query(&find_overlong(time), values![latest]).await?;
        rows.iter().map(Row::read).collect()
    }

    /// Tenants that have events to be given up.
    pub(crate) async fn tenants_with_hopeless_events(&self, of: &GiveUpEvents) -> Result<Vec<TenantId>, StoreError> {
        let rows = self.readers.query(FIND_HOPELESS, values![of.received_before, of.tries]).await?;
        rows.iter().map(Row::read).collect()
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
        let rows = self.readers.query(sql, values![now, limit]).await?;
        rows.iter().map(Row::read).collect()
    }
}
