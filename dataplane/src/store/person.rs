//! Reads what is known of the person behind an address: everything under any of their addresses.
//!
//! A number has the rows of all its spellings. A number and a business-scoped id that were seen together are one
//! person's, until the number is seen with another id. No row moves when that happens: what each holder of a number
//! said is told apart by its time (see [`messaging::link`]). Ids that the provider gave one person one after another
//! are one.
//!
//! The version of a person is the sum of those of all rows that were read, and the same rows or more are read each
//! time. So whatever changes gives a greater version.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::ContactState;
use messaging::id::SenderName;
use messaging::link::{Holder, Link, MOST_LINKS, holders};

use super::contact::{Contact, ContactKey, LinkedAddress, Revocation};
use super::group::Halt;
use super::group::rows::{Linked, Rows};
use super::tables::Record;
use super::tables::contact_links::LinkRow;

/// What is known of the person behind an address; the default when nothing is.
pub(crate) fn person(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    match &key.2 {
        Address::Phone(_) => of_phone(rows, key),
        Address::User(_) => of_user(rows, key),
    }
}

/// As [`person`], for a message through a pool: with what counts of what the pool's other senders know.
pub(crate) fn person_in_pool(rows: &mut Rows, key: &ContactKey, others: &[SenderName]) -> Result<Contact, Halt> {
    let (own, (tenant, _, address)) = (person(rows, key), key);
    let others = others.iter().map(|sender| {
        let known = person(rows, &(tenant.clone(), sender.clone(), address.clone()))?;
        Ok(Contact { state: known.state.for_the_pool(), ..known })
    });
    let others = all(others.collect());
    Ok(Contact::of_person([vec![own?], others?].concat()))
}

/// The addresses that were seen together with this one, newest first.
pub(crate) fn linked(rows: &mut Rows, key: &ContactKey) -> Result<Vec<LinkedAddress>, Halt> {
    let address = key.2.canonical();
    let mut links = rows.links_of(&key.0, &address)?;
    links.sort_by_key(|(_, row)| std::cmp::Reverse(row.last_seen));
    links.truncate(MOST_LINKS);
    let untils = links.iter().map(|(link, _)| passed_on_at(rows, key, link)).collect();
    let linked = links.iter().zip(all(untils)?).map(|(((_, first, account, user), row), until)| LinkedAddress {
        address: if *first == address { user } else { first }.clone(),
        account: account.clone(),
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        until,
        revoked: row.revoked_at.filter(|_| row.is_revoked()).map(|at| Revocation {
            at,
            by: row.revoked_by.clone().unwrap_or_default(),
            reason: row.revoked_reason.clone().unwrap_or_default(),
        }),
    });
    Ok(linked.collect())
}

/// When the number of a link passed to somebody with another id.
fn passed_on_at(rows: &mut Rows, key: &ContactKey, link: &<LinkRow as Record>::Key) -> Result<Option<Timestamp>, Halt> {
    if is_change_of_id(link) {
        return Ok(None);
    }
    let phone = with_address(key, &link.1);
    let links = links(rows, &phone)?;
    let owners = owners(rows, &phone, &links)?;
    let owner = links.iter().zip(&owners).find(|((known, _), _)| known == link).map(|(_, owner)| &owner.id);
    let holders = holders_of(&links, &owners);
    let holder = owner.and_then(|id| holders.iter().find(|holder| is_of(holder, link, id)));
    Ok(holder.and_then(|holder| holder.until))
}

fn of_phone(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    // All of them are asked for at once.
    let (number, links) = (spelled(rows, key), links(rows, key));
    let (number, links) = (number?, links?);
    let owners = owners(rows, key, &links)?;
    let holders = holders_of(&links, &owners);
    let since = holders.iter().filter(|holder| holder.until.is_none()).filter_map(|holder| holder.since).max();
    let mut person = Contact { state: number.state.of_period(since, None), ..number };
    for ((link, row), Owner { id, known, .. }) in links.iter().zip(owners) {
        let Contact { version, updated_at, state } = known;
        let state = match holders.iter().find(|holder| is_of(holder, link, &id)) {
            Some(Holder { until: None, .. }) => state,
            Some(Holder { until: Some(until), .. }) => state.passed_on(*until),
            None => ContactState::default(),
        };
        let version = version.saturating_add(row.version);
        person = Contact::of_person([person, Contact { version, updated_at, state }]);
    }
    Ok(person)
}

fn of_user(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    let Owner { id, ids, known: mut person } = owner(rows, key, &key.2)?;
    let links = all(ids.iter().map(|id| links(rows, &with_address(key, id))).collect())?.concat();
    let phones: Vec<ContactKey> = links.iter().map(|((_, phone, ..), _)| with_address(key, phone)).collect();
    let known = phones.iter().map(|phone| {
        let (number, whole, links) = (spelled(rows, phone), of_phone(rows, phone), self::links(rows, phone));
        let (number, whole, links) = (number?, whole?, links?);
        let owners = owners(rows, phone, &links)?;
        Ok((number, whole, holders_of(&links, &owners)))
    });
    let known = all(known.collect())?;
    for ((link, _), (number, whole, holders)) in links.iter().zip(known) {
        let state = match holders.iter().find(|holder| is_of(holder, link, &id)) {
            Some(Holder { until: None, .. }) => whole.state,
            Some(Holder { since, until, .. }) => number.state.of_period(*since, *until),
            None => ContactState::default(),
        };
        person = Contact::of_person([person, Contact { state, ..whole }]);
    }
    Ok(person)
}

/// Whoever has a business-scoped id.
struct Owner {
    /// Of all their ids, always the same one.
    id: Address,
    /// What the provider gave them one after another.
    ids: Vec<Address>,
    /// What is known under all of these.
    known: Contact,
}

/// Those whose ids these links name.
fn owners(rows: &mut Rows, key: &ContactKey, links: &[Linked]) -> Result<Vec<Owner>, Halt> {
    all(links.iter().map(|((.., user), _)| owner(rows, key, user)).collect())
}

fn owner(rows: &mut Rows, key: &ContactKey, user: &Address) -> Result<Owner, Halt> {
    let (mut ids, mut known, mut at) = (vec![user.clone()], Contact::default(), 0);
    while at < ids.len() {
        let (id, tenant) = (ids[at].clone(), &key.0);
        let (own, changes) = (under(rows, key, &id), rows.links_of(tenant, &id));
        known = Contact::of_person([known, own?]);
        for ((_, before, _, after), row) in changes?.iter().filter(|(link, _)| is_change_of_id(link)) {
            known.version = known.version.saturating_add(row.version);
            let others = [before, after].into_iter().filter(|_| !row.is_revoked());
            for other in others {
                if ids.len() < MOST_LINKS && !ids.contains(other) {
                    ids.push(other.clone());
                }
            }
        }
        at += 1;
    }
    Ok(Owner { id: ids.iter().min().unwrap_or(user).clone(), ids, known })
}

/// Whether a link is between an id and the one that the provider gave after it.
fn is_change_of_id((_, before, ..): &<LinkRow as Record>::Key) -> bool {
    matches!(before, Address::User(_))
}

/// Whether an address is the same person's as another, as far as is known now.
pub(crate) fn is_one_person(rows: &mut Rows, key: &ContactKey, other: &Address) -> Result<bool, Halt> {
    if key.2.canonical() == other.canonical() {
        return Ok(true);
    }
    let is_it =
        |link: &LinkedAddress| link.until.is_none() && link.revoked.is_none() && link.address == other.canonical();
    Ok(linked(rows, key)?.iter().any(is_it))
}

/// What is known under all spellings of a number together.
fn spelled(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    let spellings = key.2.spellings();
    Ok(Contact::of_person(all(spellings.iter().map(|spelling| under(rows, key, spelling)).collect())?))
}

/// What is known under one address of the same sender.
fn under(rows: &mut Rows, key: &ContactKey, address: &Address) -> Result<Contact, Halt> {
    Ok(rows.contacts.get(&with_address(key, address))?.cloned().unwrap_or_default())
}

fn with_address((tenant, sender, _): &ContactKey, address: &Address) -> ContactKey {
    (tenant.clone(), sender.clone(), address.clone())
}

/// The newest links between numbers and ids that an address has.
fn links(rows: &mut Rows, (tenant, _, address): &ContactKey) -> Result<Vec<Linked>, Halt> {
    let mut links = rows.links_of(tenant, &address.canonical())?;
    links.retain(|(link, _)| !is_change_of_id(link));
    links.sort_by_key(|(_, row)| std::cmp::Reverse(row.last_seen));
    links.truncate(MOST_LINKS);
    Ok(links)
}

fn holders_of(links: &[Linked], owners: &[Owner]) -> Vec<Holder> {
    let links = links.iter().zip(owners).filter_map(|(((_, _, account, _), row), owner)| match &owner.id {
        Address::User(user) => Some(Link {
            account: account.clone(),
            user: user.clone(),
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            revoked_at: row.revoked_at,
        }),
        Address::Phone(_) => None,
    });
    holders(&links.collect::<Vec<_>>())
}

/// Whether a number's holder by this link is the owner of this id.
fn is_of(holder: &Holder, (_, _, account, _): &<LinkRow as Record>::Key, id: &Address) -> bool {
    holder.account == *account && holder.user.as_str() == id.as_str()
}

/// Fails only after everything was asked for.
pub(crate) fn all<T>(found: Vec<Result<T, Halt>>) -> Result<Vec<T>, Halt> {
    found.into_iter().collect()
}
