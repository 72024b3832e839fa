//! Events that nobody has applied in time are claimed, to be applied now.

use messaging::id::TenantId;

use super::of_tenants::OfTenants;
use crate::store::codec::{micros, parse, small, time};
use crate::store::database::Connection;
use crate::store::database::value::{Row, values};
use crate::store::engine::job::{BoxFuture, Statements};
use crate::store::signals::Bells;
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

impl Command for OfTenants<ClaimUnapplied> {
    type Answer = Vec<WaitingEvent>;
}

impl Statements for OfTenants<ClaimUnapplied> {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut dyn Connection,
        _: &'a mut Bells,
    ) -> BoxFuture<'a, Result<Vec<WaitingEvent>, StoreError>> {
        Box::pin(async move {
            let ClaimUnapplied { now, lease_until, limit } = &self.claim;
            let list = |tenant: &TenantId, part| values![tenant.as_str(), micros(*now), part, micros(*lease_until)];
            let claimed = self.claim_parts(connection, CLAIM, *limit, list).await?;
            let mut events = claimed.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let raw = events.iter().map(|event| {
                let LoggedEventRef { tenant, webhook, .. } = &event.reference;
                values![tenant.as_str(), micros(event.received_at), webhook.as_str()]
            });
            let raw = connection.query(READ, raw.collect()).await?;
            for (event, raw) in events.iter_mut().zip(raw) {
                event.webhook = raw.first().map(|row| stored(event, row)).transpose()?;
            }
            events.sort_by(|a, b| (a.received_at, &a.reference.webhook).cmp(&(b.received_at, &b.reference.webhook)));
            Ok(events)
        })
    }
}

fn read(row: &Row) -> Result<WaitingEvent, StoreError> {
    Ok(WaitingEvent {
        reference: LoggedEventRef {
            tenant: parse("a tenant", row.text(0)?)?,
            sender: parse("a sender", row.text(1)?)?,
            dedupe_key: row.text(2)?.to_owned(),
            webhook: row.text(4)?.to_owned(),
            position: small(row.int(5)?),
        },
        received_at: time(row.int(3)?)?,
        webhook: None,
        tries: small(row.int(6)?),
    })
}

fn stored(event: &WaitingEvent, row: &Row) -> Result<StoredWebhook, StoreError> {
    let LoggedEventRef { tenant, sender, webhook, .. } = &event.reference;
    Ok(StoredWebhook {
        tenant: tenant.clone(),
        sender: sender.clone(),
        id: webhook.clone(),
        received_at: event.received_at,
        url: row.text(0)?.to_owned(),
        headers: row.text(1)?.to_owned(),
        body: row.blob(2)?,
        route: parse("a webhook's route", row.text(3)?)?,
    })
}
