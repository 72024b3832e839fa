//! Contacts of senders, changed one version at a time.

use messaging::contact::{ContactState, Suppression};
use messaging::id::TenantId;

use super::Operation;
use crate::store::Command;
use crate::store::contact::{Contact, ContactKey, LiftSuppression, PutConsent, PutSuppression, rows_of_person};
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::tables::consent_records::ConsentRow;

/// What is known under one address; the default when nothing is.
pub(super) fn known(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    Ok(rows.contacts.get(key)?.cloned().unwrap_or_default())
}

/// What is known of the person behind an address.
pub(super) fn person(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    // All of them are asked for at once.
    let found: Vec<_> = rows_of_person(key).iter().map(|key| known(rows, key)).collect();
    Ok(Contact::of_person(found.into_iter().collect::<Result<Vec<_>, _>>()?))
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
pub(super) fn suppress(rows: &mut Rows, key: &ContactKey, suppression: &Suppression) -> Result<(), Halt> {
    let contact = known(rows, key)?;
    let state = contact.state.clone().suppressed(suppression.clone());
    if state != contact.state {
        save(rows, key, &contact, state, suppression.at);
    }
    Ok(())
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
        person(rows, &key)?;
        let before = known(rows, &key)?;
        let state = before.state.clone().consented(consent.clone());
        let saved = save(rows, &key, &before, state, consent.recorded_at);
        rows.record_consent(
            (tenant.clone(), sender.clone(), contact.clone(), saved.version),
            ConsentRow { recorded_at: consent.recorded_at, record: consent.clone() },
        );
        person(rows, &key)
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
        let key = (self.tenant.clone(), self.sender.clone(), self.contact.clone());
        person(rows, &key)?;
        suppress(rows, &key, &self.suppression)?;
        person(rows, &key)
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
        let before = person(rows, &key)?;
        if before.state.suppression(*now).is_none() {
            return Ok(before);
        }
        let row = known(rows, &key)?;
        let state = row.state.clone().lifted(*now);
        save(rows, &key, &row, state, *now);
        person(rows, &key)
    }
}
