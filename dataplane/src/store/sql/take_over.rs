//! Moves events from a sink's address to its name.

use async_trait::async_trait;
use messaging::id::TenantId;

use super::outbox::{NEVER, RELEASE};
use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::outbox::TakeOver;
use crate::store::signals::Bells;
use crate::store::tables::value::{Row, values};
use crate::store::{Command, StoreError};

/// Tenant, sender, address, now, limit. The subjects of which no event is with a replica now.
const SUBJECTS: &str = "SELECT DISTINCT o.subject FROM outbox o
     WHERE o.tenant = $1 AND o.sender = $2 AND o.sink = $3 AND o.dead_at IS NULL AND NOT EXISTS (
       SELECT 1 FROM outbox held WHERE held.tenant = $1 AND held.sender = $2 AND held.sink = $3
         AND held.subject = o.subject AND held.dead_at IS NULL AND held.owner IS NOT NULL AND held.available_at > $4)
     ORDER BY o.subject LIMIT $5";
/// Tenant, sender, name.
const LANE: &str = "INSERT INTO sink_lanes (tenant, sender, sink) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
/// Tenant, sender, address, subject, name. An event that is there under both is one event.
const REPEATED: &str = "DELETE FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4
     AND event IN (SELECT event FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $5 AND subject = $4)";
/// Tenant, sender, address, subject, name. No subject has so many events that they come behind others.
const MOVE: &str = "UPDATE outbox SET sink = $5, position = position - 1000000000000, fence = fence + 1, owner = NULL
     WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL";
/// Tenant, sender, name, subject, [`NEVER`]. Only the first may go.
const WAIT: &str = "UPDATE outbox SET available_at = $5
     WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL
       AND position > (SELECT MIN(position) FROM outbox
         WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL)";

impl Command for TakeOver {
    type Answer = u64;
}

#[async_trait]
impl Statements for TakeOver {
    fn tenants(&self) -> Vec<TenantId> {
        vec![self.tenant.clone()]
    }

    async fn run(&self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<u64, StoreError> {
        let Self { tenant, sender, address, name, now, limit } = self;
        let found = connection.query(SUBJECTS, vec![values![tenant, sender, address, now, limit]]).await?;
        let mut moved = 0;
        if !found.concat().is_empty() {
            connection.execute(LANE, values![tenant, sender, name]).await?;
        }
        for row in found.iter().flatten() {
            let subject: &String = &Row::read(row)?;
            connection.execute(REPEATED, values![tenant, sender, address, subject, name]).await?;
            moved += connection.execute(MOVE, values![tenant, sender, address, subject, name]).await?;
            connection.execute(WAIT, values![tenant, sender, name, subject, NEVER]).await?;
            connection.execute(RELEASE, values![tenant, sender, name, subject, now, NEVER]).await?;
        }
        bells.outbox |= moved > 0;
        Ok(moved)
    }
}
