//! Contacts of senders, changed one version at a time.

use messaging::address::Address;
use messaging::contact::{ContactState, Suppression};
use messaging::id::{SenderName, TenantId};

use super::Operation;
use crate::store::Command;
use crate::store::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::tables::consent_records::ConsentRow;

pub(super) type ContactKey = (TenantId, SenderName, Address);

/// What is known of a contact; the default when nothing is.
pub(super) fn known(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    Ok(rows.contacts.get(key)?.cloned().unwrap_or_default())
}

/// Writes the next version.
pub(super) fn save(
    rows: &mut Rows,
    key: &ContactKey,
    before: &Contact,
    state: ContactState,
    now: jiff::Timestamp,
) -> Contact {
    let contact = Contact { state, version: before.version.saturating_add(1), updated_at: now };
    rows.contacts.put(key.clone(), contact.clone());
    contact
}

/// Suppresses a contact, for one reason more where it is suppressed already.
pub(super) fn suppress(rows: &mut Rows, key: &ContactKey, suppression: &Suppression) -> Result<Contact, Halt> {
    let contact = known(rows, key)?;
    let state = contact.state.clone().suppressed(suppression.clone());
    if state == contact.state {
        return Ok(contact);
    }
    Ok(save(rows, key, &contact, state, suppression.at))
}

impl Command for PutConsent {
    type Answer = Contact;
}

impl Operation for PutConsent {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Contact, Halt> {
        let Self { tenant, sender, contact, consent } = self;
        let key = (tenant.clone(), sender.clone(), contact.clone());
        let before = known(rows, &key)?;
        let state = before.state.clone().consented(consent.clone());
        let saved = save(rows, &key, &before, state, consent.recorded_at);
        let (tenant, sender, contact) = key;
        rows.record_consent(
            (tenant, sender, contact, saved.version),
            ConsentRow { recorded_at: consent.recorded_at, record: consent.clone() },
        );
        Ok(saved)
    }
}

impl Command for PutSuppression {
    type Answer = Contact;
}

impl Operation for PutSuppression {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Contact, Halt> {
        suppress(rows, &(self.tenant.clone(), self.sender.clone(), self.contact.clone()), &self.suppression)
    }
}

impl Command for LiftSuppression {
    type Answer = Contact;
}

impl Operation for LiftSuppression {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Contact, Halt> {
        let Self { tenant, sender, contact, now } = self;
        let key = (tenant.clone(), sender.clone(), contact.clone());
        let before = known(rows, &key)?;
        if before.state.suppression(*now).is_none() {
            return Ok(before);
        }
        let state = before.state.clone().lifted(*now);
        Ok(save(rows, &key, &before, state, *now))
    }
}
