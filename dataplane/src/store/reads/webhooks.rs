//! The log of webhooks.

use std::collections::HashSet;

use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::EndpointId;

use super::Conditions;
use crate::store::database::Lookup;
use crate::store::tables::Record;
use crate::store::tables::value::{Row, values};
use crate::store::tables::webhook_events::{self, EventRow};
use crate::store::webhook::{ReplayFilter, StoredWebhook, UnaddressedPart};
use crate::store::{Store, StoreError};

/// At most so many.
const NEWEST_UNADDRESSED: &str = "SELECT id, received_at, endpoint, route, url, headers, body FROM unaddressed_webhooks
     ORDER BY received_at DESC, id DESC LIMIT $1";

impl Store {
    /// Which of these [`RecordWebhook::dedupe_keys`](super::webhook::RecordWebhook::dedupe_keys) are known of a sender.
    pub async fn known_dedupe_keys(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        keys: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let keys = keys.iter().map(|key| values![tenant, sender, key]).collect();
        let found = self.find(vec![Lookup { finder: &webhook_events::BY_KEY, keys }]).await?;
        let key = |row: &Row| {
            let ((_, _, dedupe_key), _) = EventRow::read(row)?;
            Ok(dedupe_key)
        };
        found.iter().flatten().map(key).collect()
    }

    /// Webhooks of the log, oldest first, as far as retention keeps them.
    pub async fn webhooks(&self, filter: &ReplayFilter) -> Result<Vec<StoredWebhook>, StoreError> {
        let ReplayFilter { tenant, sender, since, until, after, limit } = filter;
        let select = "SELECT received_at, id, url, headers, body, route FROM logged_webhooks";
        let mut query = Conditions::new(select, "tenant", tenant);
        query.and("sender =", Some(sender));
        query.and("received_at >=", *since);
        query.and("received_at <", *until);
        if let Some((at, id)) = after {
            query.behind("received_at, id", values![at, id]);
        }
        query.parameters.push((*limit).into());
        query.sql.push_str(&format!(" ORDER BY received_at, id LIMIT ${}", query.parameters.len()));
        let rows = self.query(&query.sql, query.parameters).await?;
        let read = |row: &Row| {
            let (received_at, id, url, headers, body, route) = row.read()?;
            let (tenant, sender) = (tenant.clone(), sender.clone());
            Ok(StoredWebhook { tenant, sender, received_at, id, url, headers, body, route })
        };
        rows.iter().map(read).collect()
    }

    /// Parts of signed webhooks that no sender was the addressee of, newest first.
    pub async fn unaddressed(&self, limit: u32) -> Result<Vec<UnaddressedPart>, StoreError> {
        let rows = self.query(NEWEST_UNADDRESSED, values![limit]).await?;
        let read = |row: &Row| {
            let (id, received_at, endpoint, route, url, headers, body) = row.read::<(_, _, String, _, _, _, _)>()?;
            Ok(UnaddressedPart { id, received_at, endpoint: EndpointId::new(endpoint), route, url, headers, body })
        };
        rows.iter().map(read).collect()
    }

    /// How many webhooks of the log a replay would read.
    pub async fn count_webhooks(&self, filter: &ReplayFilter) -> Result<u64, StoreError> {
        let ReplayFilter { tenant, sender, since, until, after: _, limit: _ } = filter;
        let mut query = Conditions::new("SELECT COUNT(*) FROM webhooks", "tenant", tenant);
        query.and("sender =", Some(sender));
        query.and("received_at >=", *since);
        query.and("received_at <", *until);
        let rows = self.query(&query.sql, query.parameters).await?;
        rows.first().map_or(Ok(0), Row::read)
    }
}
