//! What retention no longer keeps goes, a bounded step at a time, so that no step holds up other writes for long.

use super::codec::micros;
use super::committer::{Operation, Tx};
use crate::store::StoreError;
use crate::store::webhook::Forget;

/// Statuses from which nothing is awaited any more.
const TERMINAL: &str = "('canceled', 'expired', 'suppressed', 'rejected', 'failed', 'delivered', 'read')";

impl Operation for Forget {
    type Answer = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let (bodies, metadata) = (micros(self.bodies_before), micros(self.metadata_before));
        let steps = [
            (
                "DELETE FROM webhooks WHERE tenant = $1 AND id IN (
                   SELECT id FROM webhooks WHERE tenant = $1 AND sender = $2 AND received_at < $3 LIMIT $4)"
                    .to_owned(),
                bodies,
            ),
            (
                // What has not taken effect stays, however old.
                "DELETE FROM webhook_events WHERE tenant = $1 AND (webhook, position) IN (
                   SELECT webhook, position FROM webhook_events
                   WHERE tenant = $1 AND sender = $2 AND received_at < $3 AND applied_at IS NOT NULL LIMIT $4)"
                    .to_owned(),
                bodies,
            ),
            (
                format!(
                    "UPDATE messages SET content = NULL WHERE tenant = $1 AND id IN (
                       SELECT id FROM messages WHERE tenant = $1 AND sender = $2 AND created_at < $3
                         AND content IS NOT NULL AND status IN {TERMINAL} LIMIT $4)"
                ),
                bodies,
            ),
            (
                "DELETE FROM outbox WHERE tenant = $1 AND sender = $2 AND (sink, event) IN (
                   SELECT sink, event FROM outbox WHERE tenant = $1 AND sender = $2 AND dead_at < $3 LIMIT $4)"
                    .to_owned(),
                bodies,
            ),
            (
                "DELETE FROM webhook_dedupe WHERE tenant = $1 AND sender = $2 AND dedupe_key IN (
                   SELECT dedupe_key FROM webhook_dedupe
                   WHERE tenant = $1 AND sender = $2 AND received_at < $3 LIMIT $4)"
                    .to_owned(),
                metadata,
            ),
            (
                "DELETE FROM parked_statuses WHERE tenant = $1 AND (provider_message_id, webhook, position) IN (
                   SELECT provider_message_id, webhook, position FROM parked_statuses
                   WHERE tenant = $1 AND sender = $2 AND received_at < $3 LIMIT $4)"
                    .to_owned(),
                metadata,
            ),
            (
                "DELETE FROM inbound_messages WHERE tenant = $1 AND id IN (
                   SELECT id FROM inbound_messages WHERE tenant = $1 AND sender = $2 AND received_at < $3 LIMIT $4)"
                    .to_owned(),
                metadata,
            ),
        ];
        let mut gone = 0;
        for (sql, before) in steps {
            gone += self.step(tx, &sql, before).await?;
        }
        // A message's rows in other tables first, while it can still be found; the same messages each time.
        let ended = format!(
            "(SELECT id FROM messages WHERE tenant = $1 AND sender = $2 AND created_at < $3 AND status IN {TERMINAL}
              ORDER BY created_at, id LIMIT $4)"
        );
        for (table, column) in [
            ("message_timeline", "message"),
            ("attempts", "message"),
            ("idempotency_keys", "message"),
            ("messages", "id"),
        ] {
            gone += self
                .step(tx, &format!("DELETE FROM {table} WHERE tenant = $1 AND {column} IN {ended}"), metadata)
                .await?;
        }
        Ok(gone)
    }
}

impl Forget {
    async fn step(&self, tx: &mut Tx<'_>, sql: &str, before: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.tenant.as_str())
            .bind(self.sender.as_str())
            .bind(before)
            .bind(self.limit)
            .execute(&mut *tx.connection)
            .await?;
        Ok(done.rows_affected())
    }
}
