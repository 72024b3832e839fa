//! The senders of the present and the past.

use messaging::id::{MessageId, SenderName, TenantId};

use crate::store::senders::KnownSender;
use crate::store::tables::Record;
use crate::store::tables::senders::SenderRow;
use crate::store::tables::value::{Row, values};
use crate::store::{Store, StoreError};

impl Store {
    /// Every sender that a config has had and of which something may be kept.
    pub async fn senders(&self) -> Result<Vec<KnownSender>, StoreError> {
        let sql = "SELECT tenant, sender, bodies_seconds, metadata_seconds, absent_since, absent_until, sinks
         FROM senders ORDER BY tenant, sender";
        let read = |row: &Row| {
            let ((tenant, sender), row) = SenderRow::read(row)?;
            Ok(row.known(tenant, sender))
        };
        self.query(sql, Vec::new()).await?.iter().map(read).collect()
    }

    /// A sender's messages in the queue behind this one, which nobody hands over now, by their ids.
    pub async fn queued_of(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageId>, StoreError> {
        let sql = "SELECT q.message FROM queue q
         JOIN messages m ON m.tenant = q.tenant AND m.id = q.message AND m.status = 'queued'
         WHERE q.tenant = $1 AND q.sender = $2 AND q.message > $3 ORDER BY q.message LIMIT $4";
        let after = after.map_or_else(String::new, |id| id.to_string());
        self.query(sql, values![tenant, sender, after, limit]).await?.iter().map(Row::read).collect()
    }
}
