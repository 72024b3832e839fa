//! What is kept of the contacts of a sender.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, Suppression};
use messaging::id::{SenderName, TenantId};

pub use super::tables::contacts::Contact;

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
