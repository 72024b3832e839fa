//! Webhook keys that were replaced. For a time they still verify, because the provider signed webhooks with them that
//! are on their way: a delayed one, or one that it repeats.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use messaging::id::SenderName;
use messaging::secret::Secret;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::reconcile::kind::Id;

/// How long a key verifies webhooks after its replacement.
pub const ACCEPTED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// How many replaced keys verify at most, the latest ones.
const MOST: usize = 4;

/// When the replaced keys of senders end, by the sender and the key's digest. After a restart the status tells instead.
#[derive(Debug, Default)]
pub struct Ends(Mutex<HashMap<ReplacedKey, Timestamp>>);

type ReplacedKey = (Id<SenderName>, [u8; 32]);

/// The keys to accept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The current ones, then the replaced ones.
    pub keys: Vec<Secret>,
    /// Until when the last of the replaced ones verifies.
    pub until: Option<Timestamp>,
    /// Whether a key was replaced just now.
    pub is_news: bool,
}

/// What verified a sender's webhooks until now.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    pub keys: &'a [Secret],
    /// When the last of the replaced ones ends, as the status tells.
    pub until: Option<Timestamp>,
}

/// Adds to the `current` keys those that verified before and have not ended.
pub fn accepted(
    sender: &Id<SenderName>,
    current: &[Secret],
    before: Before<'_>,
    ends: &Ends,
    now: Timestamp,
) -> Accepted {
    let by = |key: &Secret| (sender.clone(), Sha256::digest(key.expose()).into());
    let mut ends = ends.0.lock();
    ends.retain(|_, end| now.duration_since(*end) < ACCEPTED_FOR);
    for key in current {
        ends.remove(&by(key));
    }
    let mut accepted = Accepted { keys: current.to_vec(), ..Accepted::default() };
    let replaced = before.keys.iter().enumerate().filter(|(_, key)| !current.contains(key));
    for (place, key) in replaced.take(MOST) {
        let end = ends.entry(by(key)).or_insert_with(|| {
            // The first one was the current one, so it is replaced only now.
            let known = before.until.filter(|_| place > 0);
            accepted.is_news |= known.is_none();
            known.unwrap_or(now + ACCEPTED_FOR)
        });
        if now < *end {
            accepted.keys.push(key.clone());
            accepted.until = accepted.until.max(Some(*end));
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> Vec<Secret> {
        keys.iter().map(|&key| Secret::new(key)).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const HOUR: i64 = 3600;

    /// The keys that verify at `second`, after those before with that end in the status.
    fn look(
        ends: &Ends,
        current: &[&str],
        before: (&[&str], Option<i64>),
        second: i64,
    ) -> (Vec<String>, Option<i64>, bool) {
        let sender = Id { tenant: "shop".parse().unwrap(), name: "support".parse().unwrap() };
        let known = keys(before.0);
        let before = Before { keys: &known, until: before.1.map(at) };
        let Accepted { keys, until, is_news } = accepted(&sender, &keys(current), before, ends, at(second));
        (keys.iter().map(|key| key.expose().to_owned()).collect(), until.map(Timestamp::as_second), is_news)
    }

    fn both(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|&key| key.to_owned()).collect()
    }

    #[test]
    fn a_replaced_key_verifies_for_an_hour_and_not_longer() {
        let ends = Ends::default();
        let (new, kept) = (["new"], ["new", "old"]);
        assert_eq!(look(&ends, &new, (&["old"], None), 0), (both(&kept), Some(HOUR), true));
        assert_eq!(look(&ends, &new, (&kept, Some(HOUR)), HOUR - 1), (both(&kept), Some(HOUR), false));
        assert_eq!(look(&ends, &new, (&kept, Some(HOUR)), HOUR), (both(&new), None, false));
        assert_eq!(look(&ends, &new, (&kept, Some(HOUR)), HOUR + 1), (both(&new), None, false), "a look back");
    }

    #[test]
    fn a_restart_prolongs_no_keys_end() {
        let kept = ["new", "old"];
        assert_eq!(look(&Ends::default(), &["new"], (&kept, Some(100)), 50), (both(&kept), Some(100), false));
        assert_eq!(look(&Ends::default(), &["new"], (&kept, Some(100)), 100), (both(&["new"]), None, false));
    }

    #[test]
    fn a_key_that_was_replaced_while_nobody_looked_verifies_for_a_whole_hour() {
        let looked = look(&Ends::default(), &["newer"], (&["new", "old"], Some(100)), 50);
        assert_eq!(looked, (both(&["newer", "new", "old"]), Some(50 + HOUR), true));
    }

    #[test]
    fn a_key_that_comes_back_is_a_current_one_and_may_be_replaced_again() {
        let ends = Ends::default();
        look(&ends, &["new"], (&["old"], None), 0);
        let back = look(&ends, &["old"], (&["new", "old"], Some(HOUR)), 10);
        assert_eq!(back, (both(&["old", "new"]), Some(10 + HOUR), true));
        let again = look(&ends, &["new"], (&["old", "new"], Some(10 + HOUR)), 20);
        assert_eq!(again, (both(&["new", "old"]), Some(20 + HOUR), true));
    }

    #[test]
    fn the_number_of_replaced_keys_is_bounded() {
        let (kept, _, _) = look(&Ends::default(), &["new"], (&["a", "b", "c", "d", "e", "f"], None), 0);
        assert_eq!(kept.len(), 1 + MOST);
    }
}
