//! Claims messages whose outcome the provider should be asked for.

use std::sync::LazyLock;

use async_trait::async_trait;
use messaging::id::TenantId;

use super::of_tenants::OfTenants;
use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::queue::{ClaimUnsettled, Unsettled};
use crate::store::signals::Bells;
use crate::store::tables::messages::{self, MessageRow};
use crate::store::tables::value::{Row, values};
use crate::store::{Command, StoreError};

/// Tenant, now, limit, owner, end of the lease.
const CLAIM: &str = "UPDATE unsettled SET fence = fence + 1, owner = $4, available_at = $5
     FROM (SELECT tenant AS of, message AS due FROM unsettled
       WHERE tenant || '' = $1 AND available_at <= $2 ORDER BY available_at LIMIT $3) AS due
     WHERE tenant = due.of AND message = due.due
     RETURNING tenant, message";

static READ: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, u.fence, u.asked, a.id, a.started_at, a.finished_at
         FROM unsettled u
         JOIN messages m ON m.tenant = u.tenant AND m.id = u.message
         JOIN attempts a ON a.tenant = m.tenant AND a.id = m.attempt
         WHERE u.tenant = $1 AND u.message = $2",
        messages::TABLE.select_as("m")
    )
});

impl Command for OfTenants<ClaimUnsettled> {
    type Answer = Vec<Unsettled>;
}

#[async_trait]
impl Statements for OfTenants<ClaimUnsettled> {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<Vec<Unsettled>, StoreError> {
        let ClaimUnsettled { now, owner, lease_until, limit } = &self.claim;
        let list = |tenant: &TenantId, part| values![tenant, now, part, owner, lease_until];
        let claimed = self.claim_parts(connection, CLAIM, *limit, list).await?;
        let keys = claimed.into_iter().map(|row| row.0).collect();
        let rows = connection.query(&READ, keys).await?;
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows.iter().flatten() {
            match read(row) {
                Ok(claim) => claims.push(claim),
                Err(error) => tracing::error!(%error, "an unsettled message cannot be read"),
            }
        }
        Ok(claims)
    }
}

fn read(row: &Row) -> Result<Unsettled, StoreError> {
    let (MessageRow { message, .. }, fence, asked, attempt, attempt_started_at, attempt_finished_at) = row.read()?;
    let content = message.content.clone();
    Ok(Unsettled { fence, asked, attempt, attempt_started_at, attempt_finished_at, content, message })
}
