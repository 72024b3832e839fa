//! Claims events that were not applied in time.

use std::time::Duration;

use async_trait::async_trait;
use messaging::clock::after;
use messaging::id::TenantId;

use super::of_tenants::OfTenants;
use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::signals::Bells;
use crate::store::tables::value::{Row, values};
use crate::store::webhook::{ClaimUnapplied, LoggedEventRef, StoredWebhook, WaitingEvent};
use crate::store::{Command, StoreError};

/// Tenant, now, limit, end of the lease. What waits is found by its time: the key, which begins with the tenant, would
/// lead over every event that the tenant ever had.
const CLAIM: &str = "UPDATE webhook_events SET available_at = $4
     FROM (SELECT tenant AS of, sender AS at, dedupe_key AS due FROM webhook_events
       WHERE tenant || '' = $1 AND available_at <= $2 ORDER BY available_at LIMIT $3) AS due
     WHERE tenant = due.of AND sender = due.at AND dedupe_key = due.due
     RETURNING tenant, sender, dedupe_key, received_at, webhook, position, tries";

/// Tenant, when it was received, webhook.
const READ: &str =
    "SELECT url, headers, body, route FROM logged_webhooks WHERE tenant = $1 AND received_at = $2 AND id = $3";

/// Columns of the key.
const KEY: usize = 3;
/// Tenant, sender, dedupe key, until. An event that cannot be read keeps no other from being applied.
const DEFER: &str = "UPDATE webhook_events SET tries = tries + 1, available_at = $4
     WHERE tenant = $1 AND sender = $2 AND dedupe_key = $3";
/// A newer version may be able to read it.
const UNREADABLE_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

impl Command for OfTenants<ClaimUnapplied> {
    type Answer = Vec<WaitingEvent>;
}

#[async_trait]
impl Statements for OfTenants<ClaimUnapplied> {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<Vec<WaitingEvent>, StoreError> {
        let ClaimUnapplied { now, lease_until, limit } = &self.claim;
        let again_at = after(*now, UNREADABLE_AGAIN_AFTER);
        let list = |tenant: &TenantId, part| values![tenant, now, part, lease_until];
        let claimed = self.claim_parts(connection, CLAIM, *limit, list).await?;
        let mut events = Vec::with_capacity(claimed.len());
        let mut unreadable = Vec::new();
        for row in &claimed {
            match read(row) {
                Ok(event) => events.push(event),
                Err(error) => {
                    tracing::error!(%error, "an event of the log cannot be read; it is tried again later");
                    unreadable.push(row.0.iter().take(KEY).cloned().chain(values![again_at]).collect());
                }
            }
        }
        let raw = events.iter().map(|event| {
            let LoggedEventRef { tenant, webhook, .. } = &event.reference;
            values![tenant, event.received_at, webhook]
        });
        let raw = connection.query(READ, raw.collect()).await?;
        let mut readable = Vec::with_capacity(events.len());
        for (mut event, raw) in events.into_iter().zip(raw) {
            match raw.first().map(|row| stored(&event, row)).transpose() {
                Ok(webhook) => {
                    event.webhook = webhook;
                    readable.push(event);
                }
                Err(error) => {
                    let LoggedEventRef { tenant, sender, dedupe_key, webhook, .. } = &event.reference;
                    tracing::error!(%error, webhook, "a webhook of the log cannot be read; it is tried again later");
                    unreadable.push(values![tenant, sender, dedupe_key, again_at]);
                }
            }
        }
        for list in unreadable {
            connection.execute(DEFER, list).await?;
        }
        let mut events = readable;
        events.sort_by(|a, b| (a.received_at, &a.reference.webhook).cmp(&(b.received_at, &b.reference.webhook)));
        Ok(events)
    }
}

fn read(row: &Row) -> Result<WaitingEvent, StoreError> {
    let (tenant, sender, dedupe_key, received_at, webhook, position, tries) = row.read()?;
    let reference = LoggedEventRef { tenant, sender, dedupe_key, webhook, position };
    Ok(WaitingEvent { reference, received_at, webhook: None, tries })
}

fn stored(event: &WaitingEvent, row: &Row) -> Result<StoredWebhook, StoreError> {
    let LoggedEventRef { tenant, sender, webhook, .. } = &event.reference;
    let (url, headers, body, route) = row.read()?;
    let (tenant, sender, id) = (tenant.clone(), sender.clone(), webhook.clone());
    Ok(StoredWebhook { tenant, sender, id, received_at: event.received_at, url, headers, body, route })
}
