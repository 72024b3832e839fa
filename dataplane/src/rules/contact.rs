//! Contacts of senders, changed one version at a time.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ContactState, Lift, Suppression, SuppressionReason};
use messaging::id::TenantId;

use super::Operation;
use crate::store::Command;
use crate::store::contact::{Contact, ContactKey, LiftSuppression, PutConsent, PutSuppression};
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::person::person;
use crate::store::tables::consent_records::ConsentRow;
use crate::store::tables::contact_links::LinkRow;

/// What is known under one address; the default when nothing is.
pub(super) fn known(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    Ok(rows.contacts.get(key)?.cloned().unwrap_or_default())
}

/// Remembers that a number and an id were one person's at a time.
pub(super) fn link(
    rows: &mut Rows,
    tenant: &TenantId,
    account: &str,
    phone: &Address,
    user: &Address,
    at: Timestamp,
) -> Result<(), Halt> {
    let key = (tenant.clone(), phone.canonical(), account.to_owned(), user.clone());
    let (of_phone, of_user) = (rows.links_of(tenant, &key.1), rows.links_of(tenant, user).map(drop));
    of_user?;
    let before = of_phone?.into_iter().find(|(linked, _)| *linked == key).map(|(_, row)| row);
    let row = match before {
        None => LinkRow { version: 1, first_seen: at, last_seen: at, revoked_at: None },
        Some(row) if row.first_seen <= at && at <= row.last_seen => return Ok(()),
        Some(row) => LinkRow {
            version: row.version.saturating_add(1),
            first_seen: row.first_seen.min(at),
            last_seen: row.last_seen.max(at),
            revoked_at: row.revoked_at,
        },
    };
    rows.put_link(key, row);
    Ok(())
}

/// Writes the next version.
pub(super) fn save(
    rows: &mut Rows,
    key: &ContactKey,
    before: &Contact,
    state: ContactState,
    now: Timestamp,
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
        let Self { tenant, sender, contact, lift } = self;
        let key = (tenant.clone(), sender.clone(), contact.clone());
        let before = person(rows, &key)?;
        let (mut state, mut at) = (before.state.clone(), lift.at);
        while let Some(Suppression { reason, at: since, .. }) = state.suppression(lift.at) {
            if reason == SuppressionReason::OptedOut {
                return Ok(before);
            }
            // Another replica's clock may be ahead: what is lifted was there before.
            at = at.max(since);
            state = state.lifted(Lift { at, ..lift.clone() });
        }
        if state == before.state {
            return Ok(before);
        }
        let row = known(rows, &key)?;
        let state = row.state.clone().lifted(Lift { at, ..lift.clone() });
        save(rows, &key, &row, state, lift.at);
        person(rows, &key)
    }
}
