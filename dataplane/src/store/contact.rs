//! What is kept of the contacts of a sender.
//!
//! A row is what is known under one address. A person may have several, so nothing is decided on a row: what is known
//! of a person is the join of their rows ([`super::person`]), and what is learned is written to the row of the address
//! that it was learned of.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, Lift, Suppression};
use messaging::id::{SenderName, TenantId};

use super::tables::Record;
pub use super::tables::contacts::Contact;

pub(crate) type ContactKey = <Contact as Record>::Key;

impl Contact {
    /// What is known of a person, of all their rows. A change of any row gives another version, because each only
    /// grows.
    pub(crate) fn of_person(rows: impl IntoIterator<Item = Self>) -> Self {
        rows.into_iter().fold(Self::default(), |person, Self { version, updated_at, state }| Self {
            version: person.version.saturating_add(version),
            updated_at: person.updated_at.max(updated_at),
            state: person.state.join(state),
        })
    }
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

/// Lets messages go to a contact again, unless they opted out: then nothing changes.
#[derive(Debug, Clone)]
pub struct LiftSuppression {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub contact: Address,
    pub lift: Lift,
}

/// The tenant says that two addresses are not one person's. Answers whether a link says that they are, or was revoked
/// before.
#[derive(Debug, Clone)]
pub struct RevokeLink {
    pub tenant: TenantId,
    pub between: [Address; 2],
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// An address that was seen together with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAddress {
    pub address: Address,
    /// The provider account whose id one of the two is.
    pub account: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// When the number passed to somebody with another id.
    pub until: Option<Timestamp>,
    /// While the two do not count as one person's.
    pub revoked: Option<Revocation>,
}

/// The tenant's word that two addresses are not one person's. It holds until they are seen together again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub at: Timestamp,
    /// The person or program that decided.
    pub by: String,
    pub reason: String,
}
