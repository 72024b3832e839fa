//! Events on their way to the sinks, and dead letters.

use messaging::id::TenantId;

use super::{COUNTED, Conditions};
use crate::store::outbox::{DeadEvent, DeadEventFilter, OutboxCounts, OutboxLane};
use crate::store::tables::value::{Row, values};
use crate::store::{Store, StoreError};

impl Store {
    /// Every sink that events wait for, with the earliest moment at which any of them may be claimed.
    pub async fn outbox_lanes(&self) -> Result<Vec<OutboxLane>, StoreError> {
        let sql = "SELECT tenant, sender, sink, next_at FROM (
           SELECT l.tenant, l.sender, l.sink,
             (SELECT MIN(o.available_at) FROM outbox o
              WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL) AS next_at
           FROM (SELECT * FROM sink_lanes UNION ALL SELECT * FROM outbox_lanes) AS l) AS waiting
         WHERE next_at IS NOT NULL";
        let lane = |row: &Row| {
            let (tenant, sender, sink, next_at) = row.read()?;
            Ok(OutboxLane { tenant, sender, sink, next_at })
        };
        self.query(sql, Vec::new()).await?.iter().map(lane).collect()
    }

    /// What waits to be published. Where more waits than is counted, the oldest is that of those which are due first.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let sql = "SELECT COUNT(*),
                (SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE dead_at IS NOT NULL LIMIT $1) AS dead),
                MIN(created_at)
         FROM (SELECT o.created_at FROM (SELECT * FROM sink_lanes UNION ALL SELECT * FROM outbox_lanes) AS l
               CROSS JOIN outbox o
               WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL
               LIMIT $1) AS waiting";
        let rows = self.query(sql, values![COUNTED]).await?;
        let Some(row) = rows.first() else { return Ok(OutboxCounts::default()) };
        let (waiting, dead, oldest_created_at) = row.read()?;
        Ok(OutboxCounts { waiting, dead, oldest_created_at })
    }

    /// Dead letters, oldest first.
    pub async fn dead_events(&self, tenant: &TenantId, filter: &DeadEventFilter) -> Result<Vec<DeadEvent>, StoreError> {
        let DeadEventFilter { sender, sink, event, after, limit } = filter;
        let select = "SELECT sender, sink, event, subject, body, created_at, dead_at, tries, last_error FROM outbox";
        let mut query = Conditions::new(select, "tenant", tenant);
        query.sql.push_str(" AND dead_at IS NOT NULL");
        query.and("sender =", sender.as_ref());
        query.and("sink =", sink.as_ref());
        query.and("event =", *event);
        if let Some((event, sink)) = after {
            query.behind("event, sink", values![event, sink]);
        }
        query.ordered("event, sink", *limit);
        let rows = self.query(&query.sql, query.parameters).await?;
        let read = |row: &Row| {
            let (sender, sink, event, subject, body, created_at, dead_at, tries, last_error) = row.read()?;
            let last_error = Option::unwrap_or_default(last_error);
            Ok(DeadEvent { sender, sink, event, subject, body, created_at, dead_at, tries, last_error })
        };
        rows.iter().take(usize::try_from(*limit).unwrap_or(usize::MAX)).map(read).collect()
    }
}
