//! How far the log of a provider's account has been read for messages that no webhook brought.

use std::time::Duration;

use jiff::Timestamp;
use messaging::id::TenantId;

/// Claims the sweep of an account.
#[derive(Debug, Clone)]
pub struct ClaimSweep {
    pub tenant: TenantId,
    /// The provider's account.
    pub account: String,
    pub now: Timestamp,
    /// How long after one claim the next may follow; no sweep lasts longer.
    pub every: Duration,
    /// The replica that claims, for people who look at the rows.
    pub owner: String,
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

/// How far an account's log has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepCursor {
    pub tenant: TenantId,
    pub account: String,
    pub swept_until: Option<Timestamp>,
    /// When it may be claimed again.
    pub due_at: Timestamp,
}
