//! Events on their way to the sinks, and dead letters.

use messaging::id::{EventId, SenderName, TenantId};

use super::{COUNTED, Conditions};
use crate::store::codec::{count, maybe_time, parse, small, time};
use crate::store::database::value::{Row, values};
use crate::store::message::SinkId;
use crate::store::outbox::{DeadEvent, DeadEventFilter, OutboxCounts, OutboxLane};
use crate::store::{Store, StoreError};

impl Store {
    /// Every sink that events wait for, with the earliest moment at which any of them may be claimed.
    pub async fn outbox_lanes(&self) -> Result<Vec<OutboxLane>, StoreError> {
        let sql = "SELECT tenant, sender, sink, next_at FROM (
           SELECT l.tenant, l.sender, l.sink,
             (SELECT MIN(o.available_at) FROM outbox o
              WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL) AS next_at
           FROM outbox_lanes l) AS waiting
         WHERE next_at IS NOT NULL";
        let lane = |row: &Row| {
            Ok(OutboxLane {
                tenant: parse("a tenant", row.text(0)?)?,
                sender: parse("a sender", row.text(1)?)?,
                sink: SinkId::new(row.text(2)?),
                next_at: time(row.int(3)?)?,
            })
        };
        self.query(sql, Vec::new()).await?.iter().map(lane).collect()
    }

    /// What waits to be published. Where more waits than is counted, the oldest is that of those which are due first.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let sql = "SELECT COUNT(*),
                (SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE dead_at IS NOT NULL LIMIT $1) AS dead),
                MIN(created_at)
         FROM (SELECT o.created_at FROM outbox_lanes l CROSS JOIN outbox o
               WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL
               LIMIT $1) AS waiting";
        let rows = self.query(sql, values![COUNTED]).await?;
        let Some(row) = rows.first() else { return Ok(OutboxCounts::default()) };
        Ok(OutboxCounts {
            waiting: count(row.int(0)?),
            dead: count(row.int(1)?),
            oldest_created_at: maybe_time(row.maybe_int(2)?)?,
        })
    }

    /// Dead letters, oldest first.
    pub async fn dead_events(&self, tenant: &TenantId, filter: &DeadEventFilter) -> Result<Vec<DeadEvent>, StoreError> {
        let DeadEventFilter { sender, sink, event, after, limit } = filter;
        let select = "SELECT sender, sink, event, subject, body, created_at, dead_at, tries, last_error FROM outbox";
        let mut query = Conditions::new(select, "tenant", tenant.as_str());
        query.sql.push_str(" AND dead_at IS NOT NULL");
        query.and("sender =", sender.as_ref().map(SenderName::as_str));
        query.and("sink =", sink.as_ref().map(|sink| sink.as_str()));
        query.and("event =", event.map(|event: EventId| event.to_string()));
        if let Some((event, sink)) = after {
            query.behind("event, sink", values![event.to_string(), sink.as_str()]);
        }
        query.ordered("event, sink", *limit);
        let rows = self.query(&query.sql, query.parameters).await?;
        let read = |row: &Row| {
            Ok(DeadEvent {
                sender: parse("a sender", row.text(0)?)?,
                sink: SinkId::new(row.text(1)?),
                event: parse("an event id", row.text(2)?)?,
                subject: row.text(3)?.to_owned(),
                body: row.text(4)?.to_owned(),
                created_at: time(row.int(5)?)?,
                dead_at: time(row.int(6)?)?,
                tries: small(row.int(7)?),
                last_error: row.maybe_text(8)?.unwrap_or_default().to_owned(),
            })
        };
        rows.iter().take(usize::try_from(*limit).unwrap_or(usize::MAX)).map(read).collect()
    }
}
