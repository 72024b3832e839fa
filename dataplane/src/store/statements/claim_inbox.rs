//! Events that nobody has applied in time are claimed, to be applied now.

use messaging::id::TenantId;

use crate::store::StoreError;
use crate::store::codec::{micros, parse, small, time};
use crate::store::database::Connection;
use crate::store::database::value::{Row, values};
use crate::store::engine::job::{BoxFuture, Statements};
use crate::store::signals::Bells;
use crate::store::webhook::{ClaimUnapplied, LoggedEvent, LoggedEventRef};

/// Tenant, now, limit, end of the lease.
const CLAIM: &str = "UPDATE inbox SET available_at = $4
     WHERE tenant = $1 AND (webhook, position) IN (
       SELECT webhook, position FROM inbox WHERE tenant = $1 AND available_at <= $2 ORDER BY available_at LIMIT $3)
     RETURNING tenant, webhook, position, sender, received_at, event, tries";

/// A claim of what is due of these tenants: others are not locked.
pub(in crate::store) struct ClaimInbox {
    pub(in crate::store) claim: ClaimUnapplied,
    pub(in crate::store) tenants: Vec<TenantId>,
}

impl Statements for ClaimInbox {
    type Answer = Vec<LoggedEvent>;

    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut dyn Connection,
        _: &'a mut Bells,
    ) -> BoxFuture<'a, Result<Vec<LoggedEvent>, StoreError>> {
        Box::pin(async move {
            let ClaimUnapplied { now, lease_until, limit } = &self.claim;
            let tenants = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
            let each = limit.div_ceil(tenants.max(1));
            let list = |tenant: &TenantId| values![tenant.as_str(), micros(*now), each, micros(*lease_until)];
            let claimed = connection.query(CLAIM, self.tenants.iter().map(list).collect()).await?;
            let mut events = claimed.iter().flatten().map(read).collect::<Result<Vec<_>, _>>()?;
            events.sort_by(|a, b| (a.received_at, &a.reference.webhook).cmp(&(b.received_at, &b.reference.webhook)));
            Ok(events)
        })
    }
}

fn read(row: &Row) -> Result<LoggedEvent, StoreError> {
    Ok(LoggedEvent {
        reference: LoggedEventRef {
            tenant: parse("a tenant", row.text(0)?)?,
            webhook: row.text(1)?.to_owned(),
            position: small(row.int(2)?),
        },
        sender: parse("a sender", row.text(3)?)?,
        received_at: time(row.int(4)?)?,
        event: serde_json::from_str(row.text(5)?).map_err(|e| e.to_string()),
        tries: small(row.int(6)?),
    })
}
