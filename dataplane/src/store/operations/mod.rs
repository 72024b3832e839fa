//! What is written, one file for each concern. All of it is pure: rows in, rows out.
//!
//! An operation that looks at what it needs before it changes anything is not run in vain more often than it has to be.

pub(super) mod attempts;
pub(super) mod contacts;
pub(super) mod events;
pub(super) mod holds;
pub(super) mod lifecycle;
pub(super) mod messages;
pub(super) mod outbox;
pub(super) mod queue;
pub(super) mod sweeps;
pub(super) mod unsettled;

use messaging::id::TenantId;

use super::engine::Halt;
use super::engine::rows::Rows;

/// One write.
pub(super) trait Operation: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Whose rows it writes.
    fn tenant(&self) -> &TenantId;

    /// Decides, and changes rows. It may be run again in another transaction when the first was rolled back.
    fn run(&self, rows: &mut Rows) -> Result<Self::Answer, Halt>;
}
