//! How far each account's log was read, kept so that replicas share the work and a restart skips nothing.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::id::TenantId;

use crate::store::StoreError;
use crate::store::queue::Fenced;

/// The durable cursors, one for each account of each tenant.
#[async_trait]
pub trait SweepStore: Send + Sync {
    /// Claims an account that was not claimed for [`ClaimSweep::every`]; `None` when it was, or is held.
    async fn claim_sweep(&self, claim: ClaimSweep) -> Result<Option<SweepClaim>, StoreError>;

    /// Ends a sweep, and moves its cursor if there is one to move to.
    async fn finish_sweep(&self, finish: FinishSweep) -> Result<Fenced, StoreError>;
}

/// Claims the sweep of an account.
#[derive(Debug, Clone)]
pub struct ClaimSweep {
    pub tenant: TenantId,
    /// The provider's account.
    pub account: String,
    pub now: Timestamp,
    /// How long after one claim the next may follow.
    pub every: Duration,
    /// Who claims, for people who look at the rows.
    pub owner: String,
    pub lease_until: Timestamp,
}

/// Proves that one may sweep an account. A later claim of it has a greater fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepClaim {
    pub tenant: TenantId,
    pub account: String,
    pub fence: i64,
    /// Until when the log has been read; `None` when it never was.
    pub swept_until: Option<Timestamp>,
}

/// Ends the sweep of an account.
#[derive(Debug, Clone)]
pub struct FinishSweep {
    pub claim: SweepClaim,
    /// Until when the log has now been read; `None` when it could not be read to its end.
    pub swept_until: Option<Timestamp>,
}
