//! Reads what is known of the person behind an address: everything under any of their addresses.
//!
//! A number has the rows of all its spellings. A number and a business-scoped id that were seen together are one person's,
//! until the number is seen with another id. No row moves when that happens: what each holder of a number said is told
//! apart by its time (see [`messaging::link`]).
//!
//! The version of a person is the sum of those of all rows that were read, and the same rows or more are read each time. So
//! whatever changes gives a greater version.

use messaging::address::Address;
use messaging::contact::ContactState;
use messaging::id::SenderName;
use messaging::link::{Holder, Link, MOST_LINKS, holders};

use super::contact::{Contact, ContactKey};
use super::group::Halt;
use super::group::rows::{Linked, Rows};

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

fn of_phone(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    // All of them are asked for at once.
    let (number, links) = (spelled(rows, key), links(rows, key));
    let (number, links) = (number?, links?);
    let known = all(links.iter().map(|((.., user), _)| under(rows, key, user)).collect())?;
    let holders = holders_of(&links);
    let since = holders.iter().filter(|holder| holder.until.is_none()).filter_map(|holder| holder.since).max();
    let mut person = Contact { state: number.state.of_period(since, None), ..number };
    for (link, Contact { version, updated_at, state }) in links.iter().zip(known) {
        let state = match holders.iter().find(|holder| is_of(holder, link)) {
            Some(Holder { until: None, .. }) => state,
            Some(Holder { until: Some(until), .. }) => state.passed_on(*until),
            None => ContactState::default(),
        };
        let version = version.saturating_add(link.1.version);
        person = Contact::of_person([person, Contact { version, updated_at, state }]);
    }
    Ok(person)
}

fn of_user(rows: &mut Rows, key: &ContactKey) -> Result<Contact, Halt> {
    let (own, links) = (rows.contacts.get(key).map(|row| row.cloned()), links(rows, key));
    let (mut person, links) = (own?.unwrap_or_default(), links?);
    let phones: Vec<ContactKey> = links.iter().map(|((_, phone, ..), _)| with_address(key, phone)).collect();
    let known = phones.iter().map(|phone| {
        let (number, whole, links) = (spelled(rows, phone), of_phone(rows, phone), self::links(rows, phone));
        Ok((number?, whole?, links?))
    });
    let known = all(known.collect())?;
    for (link, (number, whole, links)) in links.iter().zip(known) {
        let holders = holders_of(&links);
        let holder = holders.iter().find(|holder| is_of(holder, link));
        let state = match holder {
            Some(Holder { until: None, .. }) => whole.state,
            Some(Holder { since, until, .. }) => number.state.of_period(*since, *until),
            None => ContactState::default(),
        };
        person = Contact::of_person([person, Contact { state, ..whole }]);
    }
    Ok(person)
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

/// The newest links of an address.
fn links(rows: &mut Rows, (tenant, _, address): &ContactKey) -> Result<Vec<Linked>, Halt> {
    let mut links = rows.links_of(tenant, &address.canonical())?;
    links.sort_by_key(|(_, link)| std::cmp::Reverse(link.last_seen));
    links.truncate(MOST_LINKS);
    Ok(links)
}

fn holders_of(links: &[Linked]) -> Vec<Holder> {
    let links = links.iter().filter_map(|((_, _, account, user), row)| match user {
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

fn is_of(holder: &Holder, ((_, _, account, user), _): &Linked) -> bool {
    holder.account == *account && holder.user.as_str() == user.as_str()
}

/// Fails only after everything was asked for.
fn all<T>(found: Vec<Result<T, Halt>>) -> Result<Vec<T>, Halt> {
    found.into_iter().collect()
}
