//! Parts of signed webhooks that no sender is the addressee of: kept outside every tenant, so many and for so long.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::id::TenantId;

use crate::store::database::{Change, Connection};
use crate::store::group::job::Statements;
use crate::store::signals::Bells;
use crate::store::tables::unaddressed_webhooks;
use crate::store::tables::value::values;
use crate::store::webhook::UnaddressedPart;
use crate::store::{Command, StoreError};

/// For how long the parts are kept. Meta sends a webhook again for as long.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The newest so many stay: the parts are for finding out what is misconfigured, not for catching up.
const KEEP_NEWEST: &str = "DELETE FROM unaddressed_webhooks WHERE received_at <
     (SELECT received_at FROM unaddressed_webhooks ORDER BY received_at DESC LIMIT 1 OFFSET 9999)";
/// Before.
const FORGET: &str = "DELETE FROM unaddressed_webhooks WHERE received_at < $1";

pub(crate) async fn keep_unaddressed(
    connection: &mut dyn Connection,
    parts: &[&UnaddressedPart],
) -> Result<(), StoreError> {
    let rows = parts.iter().map(|part| unaddressed_webhooks::row(part)).collect();
    connection.change(vec![Change::Insert(&unaddressed_webhooks::TABLE, rows)]).await?;
    connection.execute(KEEP_NEWEST, Vec::new()).await?;
    Ok(())
}

/// Lets go of parts from before a time.
pub(crate) struct ForgetUnaddressed {
    pub(crate) before: Timestamp,
}

impl Command for ForgetUnaddressed {
    type Answer = u64;
}

#[async_trait]
impl Statements for ForgetUnaddressed {
    fn tenants(&self) -> Vec<TenantId> {
        Vec::new()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<u64, StoreError> {
        connection.execute(FORGET, values![self.before]).await
    }
}
