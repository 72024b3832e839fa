//! How far the log of a provider's account has been read for messages that no webhook brought.

use std::time::Duration;

use jiff::Timestamp;
use messaging::id::TenantId;

/// Claims the reading of an account's log, when it is due.
#[derive(Debug, Clone)]
pub struct ClaimSweep {
    pub tenant: TenantId,
    /// The provider's account: what limits and template handles are keyed by.
    pub account: String,
    pub now: Timestamp,
    pub owner: String,
    pub lease_until: Timestamp,
}

/// The log is this replica's to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepClaim {
    pub tenant: TenantId,
    pub account: String,
    pub fence: i64,
    /// It has been read up to this time; `None`: never.
    pub swept_until: Option<Timestamp>,
}

/// The log has been read, as far as this says.
#[derive(Debug, Clone)]
pub struct FinishSweep {
    pub claim: SweepClaim,
    pub now: Timestamp,
    /// `None` where it was not read; what was known stands.
    pub swept_until: Option<Timestamp>,
    /// It is due again after this.
    pub again_after: Duration,
}
