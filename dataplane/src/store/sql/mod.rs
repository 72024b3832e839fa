//! Writes in SQL, for rows that are not found by their keys: webhooks on their way into the log, claims, and the rows
//! that retention deletes.

mod claim_due;
mod claim_events;
mod claim_unsettled;
mod claim_waiting;
mod forget;
mod give_up;
mod mend_times;
mod of_tenants;
pub(super) mod outbox;
pub(super) mod partitions;
mod rates;
mod record;
mod take_over;
mod unaddressed;

use async_trait::async_trait;
use messaging::id::TenantId;

pub(super) use give_up::{FIND as FIND_HOPELESS, GiveUpOf};
pub(super) use mend_times::{MendOf, find as find_overlong};
pub(super) use of_tenants::OfTenants;
pub use record::RecordReplayed;
pub(super) use record::record;
pub(super) use unaddressed::{ForgetUnaddressed, KEPT_FOR as UNADDRESSED_KEPT_FOR, keep_unaddressed};

use super::database::Connection;
use super::group::job::Statements;
use super::signals::Bells;
use super::{Command, StoreError};

/// Only to find out whether writing works.
pub(super) struct Touch;

impl Command for Touch {
    type Answer = ();
}

#[async_trait]
impl Statements for Touch {
    fn tenants(&self) -> Vec<TenantId> {
        Vec::new()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<(), StoreError> {
        connection.touch().await
    }
}
