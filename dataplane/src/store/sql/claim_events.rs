//! Claims events that are due for one sink.

use async_trait::async_trait;
use messaging::id::TenantId;

use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::outbox::{ClaimEvents, EventClaim, EventRef};
use crate::store::signals::Bells;
use crate::store::tables::value::values;
use crate::store::{Command, StoreError};

/// Tenant, sender, sink, now, limit, owner, end of the lease.
const CLAIM: &str = "UPDATE outbox SET fence = fence + 1, owner = $6, available_at = $7
     FROM (SELECT event AS due FROM outbox
       WHERE tenant = $1 AND sender = $2 AND sink = $3 AND dead_at IS NULL AND available_at <= $4
       ORDER BY available_at, event LIMIT $5) AS due
     WHERE tenant = $1 AND sender = $2 AND sink = $3 AND event = due.due
     RETURNING event, fence, body, tries, created_at";

impl Command for ClaimEvents {
    type Answer = Vec<EventClaim>;
}

#[async_trait]
impl Statements for ClaimEvents {
    fn tenants(&self) -> Vec<TenantId> {
        vec![self.tenant.clone()]
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<Vec<EventClaim>, StoreError> {
        let Self { tenant, sender, sink, now, limit, owner, lease_until } = self;
        let list = values![tenant, sender, sink, now, limit, owner, lease_until];
        let mut claims = Vec::new();
        for row in connection.query(CLAIM, vec![list]).await?.iter().flatten() {
            let (event, fence, body, tries, created_at): (_, _, String, _, _) = row.read()?;
            let (tenant, sender, sink) = (tenant.clone(), sender.clone(), sink.clone());
            let reference = EventRef { tenant, sender, sink, event, fence };
            claims.push(EventClaim { reference, body: body.into(), tries, created_at });
        }
        claims.sort_by_key(|claim| claim.reference.event);
        Ok(claims)
    }
}
