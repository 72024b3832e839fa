//! Messages whose outcome should be asked for are claimed.

use messaging::id::TenantId;

use super::of_tenants::OfTenants;
use crate::store::codec::{MESSAGE_COLUMNS, message, micros, parse, select_message, small, time};
use crate::store::database::Connection;
use crate::store::database::value::{Row, values};
use crate::store::engine::job::{BoxFuture, Statements};
use crate::store::queue::{ClaimUnsettled, Unsettled};
use crate::store::signals::Bells;
use crate::store::{Command, StoreError};

/// Tenant, now, limit, owner, end of the lease.
const CLAIM: &str = "UPDATE unsettled SET fence = fence + 1, owner = $4, available_at = $5
     FROM (SELECT tenant AS of, message AS due FROM unsettled
       WHERE tenant || '' = $1 AND available_at <= $2 ORDER BY available_at LIMIT $3) AS due
     WHERE tenant = due.of AND message = due.due
     RETURNING tenant, message";

const READ: &str = select_message!(
    "SELECT ",
    ", u.fence, u.asked, a.id, a.started_at, a.finished_at
     FROM unsettled u
     JOIN messages m ON m.tenant = u.tenant AND m.id = u.message
     JOIN attempts a ON a.tenant = m.tenant AND a.id = m.attempt
     WHERE u.tenant = $1 AND u.message = $2"
);

impl Command for OfTenants<ClaimUnsettled> {
    type Answer = Vec<Unsettled>;
}

impl Statements for OfTenants<ClaimUnsettled> {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut dyn Connection,
        _: &'a mut Bells,
    ) -> BoxFuture<'a, Result<Vec<Unsettled>, StoreError>> {
        Box::pin(async move {
            let ClaimUnsettled { now, owner, lease_until, limit } = &self.claim;
            let list = |tenant: &TenantId, part| {
                values![tenant.as_str(), micros(*now), part, owner.as_str(), micros(*lease_until)]
            };
            let claimed = self.claim_parts(connection, CLAIM, *limit, list).await?;
            let keys = claimed.into_iter().map(|row| row.0).collect();
            let rows = connection.query(READ, keys).await?;
            let mut claims = Vec::with_capacity(rows.len());
            for row in rows.iter().flatten() {
                match read(row) {
                    Ok(claim) => claims.push(claim),
                    Err(error) => tracing::error!(%error, "an unsettled message cannot be read"),
                }
            }
            Ok(claims)
        })
    }
}

fn read(row: &Row) -> Result<Unsettled, StoreError> {
    let message = message(row)?.message;
    let rest = row.from(MESSAGE_COLUMNS);
    Ok(Unsettled {
        fence: rest.int(0)?,
        asked: small(rest.int(1)?),
        attempt: parse("an attempt id", rest.text(2)?)?,
        attempt_started_at: time(rest.int(3)?)?,
        attempt_finished_at: rest.maybe_int(4)?.map(time).transpose()?,
        content: message.content.clone(),
        message,
    })
}
