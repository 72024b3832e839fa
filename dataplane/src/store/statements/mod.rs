//! Writes that are statements of their own, because they find their rows by more than their keys: webhooks on their way
//! into the log, claims, and what retention lets go of.

mod claim_due;
mod claim_events;
mod claim_unsettled;
mod claim_waiting;
mod forget;
mod of_tenants;
pub(super) mod partitions;
mod rates;
mod record;
mod unaddressed;

pub(super) use of_tenants::OfTenants;
pub(super) use record::{RecordReplayed, record};
pub(super) use unaddressed::{ForgetUnaddressed, KEPT_FOR as UNADDRESSED_KEPT_FOR, keep_unaddressed};

/// Only to find out whether writing works.
pub(super) struct Nothing;

impl super::engine::job::Statements for Nothing {
    type Answer = ();

    fn tenants(&self) -> Vec<messaging::id::TenantId> {
        Vec::new()
    }

    fn run<'a>(
        &'a self,
        _: &'a mut dyn super::database::Connection,
        _: &'a mut super::signals::Bells,
    ) -> super::engine::job::BoxFuture<'a, Result<(), super::StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
