//! What webhooks proved of whose a phone number is.
//!
//! A webhook that names both a number and a business-scoped id proves that they were one person's at that time. A
//! number that passes to somebody else comes with another id. So of the ids that a number was seen with, the one seen
//! last has it now, and each had it for a period of its own.
//!
//! A provider may also say itself that it gives somebody another id. Both ids are then one person's, and of the numbers
//! that were seen with either, everything is carried over.
//!
//! A link is registers that only grow, so any order and repetition of the same webhooks leaves the same links.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::address::UserId;

/// So many links of an address are kept, and count: the newest.
pub const MOST_LINKS: usize = 8;

/// A number and an id that were seen together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The provider account whose id it is. Another account may know the same person by another id.
    pub account: String,
    /// Of several ids that the provider gave one person, always the same one.
    pub user: UserId,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// The tenant said then that they are not one person's.
    pub revoked_at: Option<Timestamp>,
}

/// Whom a number belonged to, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub account: String,
    pub user: UserId,
    /// When the number came from another holder; `None`: none is known.
    pub since: Option<Timestamp>,
    /// When it passed to the next; `None`: it is theirs now.
    pub until: Option<Timestamp>,
}

/// The holders of a number by its links, oldest first. For each account the last of them has the number now.
pub fn holders(links: &[Link]) -> Vec<Holder> {
    let mut periods: BTreeMap<(&str, &UserId), (Timestamp, Timestamp)> = BTreeMap::new();
    for link in links.iter().filter(|link| !is_revoked(link.last_seen, link.revoked_at)) {
        let (first, last) = periods.entry((&link.account, &link.user)).or_insert((link.first_seen, link.last_seen));
        (*first, *last) = ((*first).min(link.first_seen), (*last).max(link.last_seen));
    }
    let mut counted: Vec<_> = periods.into_iter().collect();
    counted.sort_by_key(|((account, user), (_, last_seen))| (*account, *last_seen, *user));
    let mut holders: Vec<Holder> = Vec::with_capacity(counted.len());
    let mut before: Option<(&str, Timestamp)> = None;
    for ((account, user), (first_seen, last_seen)) in counted {
        // What permits a message and dates from between the two counts for neither.
        let since = before.filter(|before| before.0 == account).map(|before| first_seen.max(before.1));
        if let (Some(since), Some(holder)) = (since, holders.last_mut()) {
            holder.until = Some(since);
        }
        holders.push(Holder { account: account.to_owned(), user: user.clone(), since, until: None });
        before = Some((account, last_seen));
    }
    holders
}

/// Whether what was last seen then is revoked and was not seen since.
pub fn is_revoked(last_seen: Timestamp, revoked_at: Option<Timestamp>) -> bool {
    revoked_at.is_some_and(|revoked_at| last_seen <= revoked_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::at;

    fn link(account: &str, user: &str, first: i64, last: i64) -> Link {
        let user = user.parse().expect("an id");
        Link { account: account.into(), user, first_seen: at(first), last_seen: at(last), revoked_at: None }
    }

    /// Ids with their periods.
    fn periods(links: &[Link]) -> Vec<(String, Option<Timestamp>, Option<Timestamp>)> {
        holders(links).into_iter().map(|holder| (holder.user.to_string(), holder.since, holder.until)).collect()
    }

    #[test]
    fn the_first_known_holder_had_the_number_before_too() {
        assert_eq!(periods(&[link("AC1", "BR.1", 5, 9)]), [("BR.1".to_owned(), None, None)]);
    }

    #[test]
    fn a_number_that_comes_with_a_new_id_has_passed_to_another_person() {
        let periods = periods(&[link("AC1", "BR.2", 7, 8), link("AC1", "BR.1", 1, 5)]);
        assert_eq!(periods, [("BR.1".to_owned(), None, Some(at(7))), ("BR.2".to_owned(), Some(at(7)), None)]);
    }

    #[test]
    fn two_links_of_one_person_are_one_period() {
        let links = [link("AC1", "BR.1", 1, 5), link("AC1", "BR.2", 6, 7), link("AC1", "BR.1", 8, 9)];
        let expected = [("BR.2".to_owned(), None, Some(at(7))), ("BR.1".to_owned(), Some(at(7)), None)];
        assert_eq!(periods(&links), expected);
        assert_eq!(periods(&[link("AC1", "BR.1", 1, 5), link("AC1", "BR.1", 8, 9)]).len(), 1);
    }

    #[test]
    fn the_ids_of_two_accounts_do_not_end_each_other() {
        let holders = holders(&[link("AC1", "BR.1", 1, 5), link("AC2", "BR.2", 7, 8)]);
        assert!(holders.iter().all(|holder| holder.since.is_none() && holder.until.is_none()), "{holders:?}");
    }

    #[test]
    fn a_link_that_was_revoked_counts_again_once_it_is_seen_again() {
        let revoked = Link { revoked_at: Some(at(6)), ..link("AC1", "BR.1", 1, 5) };
        assert_eq!(holders(std::slice::from_ref(&revoked)), []);
        assert_eq!(holders(&[Link { last_seen: at(7), ..revoked }]).len(), 1);
    }
}
