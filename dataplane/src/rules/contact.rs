//! Contacts of senders, changed one version at a time.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ContactState, Lift, Suppression, SuppressionReason};
use messaging::id::TenantId;
use messaging::link::MOST_LINKS;

use super::Operation;
use crate::store::Command;
use crate::store::contact::{Contact, ContactKey, LiftSuppression, PutConsent, PutSuppression, RevokeLink};
use crate::store::group::Halt;
use crate::store::group::rows::{Linked, Rows};
use crate::store::person::person;
use crate::store::tables::Record;
use crate::store::tables::consent_records::ConsentRow;
use crate::store::tables::contact_links::LinkRow;

/// What is known under one address; the default when nothing is.
pub(super) fn known(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    Ok(rows.contacts.get(key)?.cloned().unwrap_or_default())
}

/// The links of each of two addresses.
pub(super) fn links(
    rows: &mut Rows,
    tenant: &TenantId,
    first: &Address,
    second: &Address,
) -> Result<[Vec<Linked>; 2], Halt> {
    // Both are asked for at once.
    let [of_first, of_second] = [first, second].map(|address| rows.links_of(tenant, &address.canonical()));
    Ok([of_first?, of_second?])
}

/// Remembers that a number and an id were one person's at a time, or that the provider gave an id up for another.
pub(super) fn link(
    rows: &mut Rows,
    tenant: &TenantId,
    account: &str,
    first: &Address,
    user: &Address,
    at: Timestamp,
) -> Result<(), Halt> {
    let key = (tenant.clone(), first.canonical(), account.to_owned(), user.clone());
    let [of_first, of_user] = links(rows, tenant, first, user)?;
    let before = of_first.iter().find(|(linked, _)| *linked == key).map(|(_, row)| row.clone());
    let mut row = match before {
        None => {
            let new = LinkRow {
                version: 1,
                first_seen: at,
                last_seen: at,
                revoked_at: None,
                revoked_by: None,
                revoked_reason: None,
            };
            return make_room(rows, key, new, [of_first, of_user]);
        }
        Some(row) if row.first_seen <= at && at <= row.last_seen => return Ok(()),
        Some(row) => row,
    };
    row.version = row.version.saturating_add(1);
    (row.first_seen, row.last_seen) = (row.first_seen.min(at), row.last_seen.max(at));
    rows.put_link(key, row);
    Ok(())
}

/// What leaves the sum that is a person's version, with a link that goes, is less than this.
const VERSIONS_OF_A_LINK: u64 = 1 << 32;

/// Writes a new link. Of those of either of its addresses that there is no room for, the oldest go.
fn make_room(
    rows: &mut Rows,
    key: <LinkRow as Record>::Key,
    mut new: LinkRow,
    of_each: [Vec<Linked>; 2],
) -> Result<(), Halt> {
    for mut links in of_each {
        if links.len() < MOST_LINKS {
            continue;
        }
        links.sort_by_key(|(_, row)| row.last_seen);
        let going = links.len() + 1 - MOST_LINKS;
        if links.iter().take(going).any(|(_, row)| row.last_seen > new.last_seen) {
            return Ok(()); // It is older than all that there is room for.
        }
        for (key, row) in links.into_iter().take(going) {
            new.version = new.version.saturating_add(row.version).saturating_add(VERSIONS_OF_A_LINK);
            rows.remove_link(&key);
        }
    }
    rows.put_link(key, new);
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

impl Command for RevokeLink {
    type Answer = bool;
}

impl Operation for RevokeLink {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<bool, Halt> {
        let Self { tenant, between, at, by, reason } = self;
        let [one, other] = between.each_ref().map(Address::canonical);
        let [of_one, _] = links(rows, tenant, &one, &other)?;
        let links = of_one
            .into_iter()
            .filter(|((_, first, _, user), _)| (first == &one && user == &other) || (first == &other && user == &one));
        let mut known = false;
        for (key, row) in links {
            known = true;
            if !row.is_revoked() {
                let revoked = LinkRow {
                    version: row.version.saturating_add(1),
                    // Another replica's clock may be ahead: what is revoked was seen before.
                    revoked_at: Some((*at).max(row.last_seen)),
                    revoked_by: Some(by.clone()),
                    revoked_reason: Some(reason.clone()),
                    ..row
                };
                rows.put_link(key, revoked);
            }
        }
        Ok(known)
    }
}
