//! What is kept of the contacts of a sender.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, ContactState, Suppression};
use messaging::id::{SenderName, TenantId};

/// A contact as the store keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contact {
    pub state: ContactState,
    /// Grows with every change; 0 when nothing is known. What was decided on one version is void on another.
    pub version: u64,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// Records what a contact agreed to.
#[derive(Debug, Clone)]
pub struct PutConsent {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub contact: Address,
    pub consent: ConsentRecord,
}

/// Stops everything to a contact.
#[derive(Debug, Clone)]
pub struct PutSuppression {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub contact: Address,
    pub suppression: Suppression,
}

/// Lets messages go to a contact again.
#[derive(Debug, Clone)]
pub struct LiftSuppression {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub contact: Address,
    pub now: Timestamp,
}
