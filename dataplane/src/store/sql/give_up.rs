//! Gives up events of the log that can never be applied, so that they keep nothing else.

use async_trait::async_trait;
use messaging::id::TenantId;

use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::signals::Bells;
use crate::store::tables::value::{Row, values};
use crate::store::webhook::{GiveUpEvents, GivenUp};
use crate::store::{Command, StoreError};

/// Received before, tries.
pub(crate) const FIND: &str = "SELECT DISTINCT tenant FROM webhook_events
     WHERE available_at IS NOT NULL AND received_at < $1 AND tries >= $2";

/// Tenant, received before, tries. Without its row an event is new when it is replayed. What waits is found without the
/// key, which would lead over every event that the tenant ever had.
const GIVE_UP: &str = "DELETE FROM webhook_events
     WHERE tenant || '' = $1 AND available_at IS NOT NULL AND received_at < $2 AND tries >= $3
     RETURNING tenant, sender, webhook, received_at";

/// Gives up events of tenants that have such.
pub(crate) struct GiveUpOf {
    pub(crate) of: GiveUpEvents,
    pub(crate) tenants: Vec<TenantId>,
}

impl Command for GiveUpOf {
    type Answer = Vec<GivenUp>;
}

#[async_trait]
impl Statements for GiveUpOf {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<Vec<GivenUp>, StoreError> {
        let GiveUpEvents { received_before, tries } = self.of;
        let lists = self.tenants.iter().map(|tenant| values![tenant, received_before, tries]).collect();
        let rows = connection.query(GIVE_UP, lists).await?;
        let read = |row: &Row| {
            let (tenant, sender, webhook, received_at) = row.read()?;
            Ok(GivenUp { tenant, sender, webhook, received_at })
        };
        rows.iter().flatten().map(read).collect()
    }
}
