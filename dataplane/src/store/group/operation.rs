//! A write that is decided over rows.

use messaging::id::TenantId;

use super::Halt;
use super::rows::Rows;
use crate::store::Command;

/// A command over rows. The rules say what it does: see [`crate::rules`].
pub(crate) trait Operation: Command + Sync {
    /// It is shed before webhooks when the store is overloaded, because its caller can ask again.
    const SHED_FIRST: bool = false;

    /// Whose rows it writes.
    fn tenant(&self) -> &TenantId;

    /// Decides, and changes rows. It may run again: when it looked at rows that have to be read first, or in another
    /// transaction when the first was rolled back.
    fn run(&self, rows: &mut Rows) -> Result<Self::Answer, Halt>;
}
