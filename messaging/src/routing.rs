//! The route of a message: the sender, and the pool of its account, if any.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::id::{PoolId, SenderName};
use crate::window::Window;

/// A routing policy with its references resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoutingConfig {
    pub default: Route,
    /// By ISO 3166-1 alpha-2 country.
    #[serde(default)]
    pub by_country: BTreeMap<String, Route>,
}

/// The way a message leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The sender whose credentials, limits, window and suppressions count.
    pub sender: SenderName,
    /// The pool of the sender's account that picks the number to send from; absent: the sender's own number.
    #[serde(rename = "messagingServiceSid", default, skip_serializing_if = "Option::is_none")]
    pub via: Option<PoolId>,
}

impl Route {
    /// From the sender's own number.
    pub fn direct(sender: SenderName) -> Self {
        Self { sender, via: None }
    }
}

/// The route to a recipient: their country's, else the default.
pub fn route<'a>(policy: &'a RoutingConfig, to: &Address) -> &'a Route {
    to.country().and_then(|country| policy.by_country.get(country.as_str())).unwrap_or(&policy.default)
}

/// Which sender of a pool a free-form message at `leaves_at` leaves from, given when the person last wrote to each: the
/// one that they wrote to last, if its window is open then. A window is a sender's own.
pub fn answering<'s>(
    last_inbound: impl IntoIterator<Item = (&'s SenderName, Option<Timestamp>)>,
    leaves_at: Timestamp,
) -> Option<&'s SenderName> {
    let last = last_inbound.into_iter().max_by_key(|(_, last_inbound_at)| *last_inbound_at)?;
    Window::at(last.1, leaves_at).is_open().then_some(last.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::tests::at;

    fn target(name: &str) -> Route {
        Route::direct(SenderName::new(name).expect("a name"))
    }

    fn policy() -> RoutingConfig {
        RoutingConfig {
            default: target("rest"),
            by_country: BTreeMap::from(["GB", "IE", "CA", "KZ"].map(|c| (c.to_owned(), target(&c.to_lowercase())))),
        }
    }

    #[test]
    fn a_number_leaves_through_its_countrys_target_and_any_other_through_the_default() {
        for (to, expected) in [
            ("+447700900123", "gb"),
            ("+353851234567", "ie"),
            ("+16137827274", "ca"),
            ("+12025550123", "rest"),
            ("+77011234567", "kz"),
            ("+79161234567", "rest"),
            ("+883510000000000", "rest"),
            ("GB.1a2b3c", "gb"),
            ("IE.ENT.1a2b3c", "ie"),
            ("ID.1a2b3c", "rest"),
        ] {
            let to: Address = to.parse().expect(to);
            assert_eq!(route(&policy(), &to).sender.as_str(), expected, "{to}");
        }
    }

    #[test]
    fn an_answer_leaves_from_the_sender_that_the_person_wrote_to_last_while_its_window_is_open() {
        let [support, sales] = ["support", "sales"].map(|name| SenderName::new(name).expect("a name"));
        let wrote = [(&support, Some(at(1))), (&sales, Some(at(5)))];
        assert_eq!(answering(wrote, at(6)), Some(&sales));
        let day = 24 * 60 * 60;
        assert_eq!(answering([(&support, Some(at(1))), (&sales, None)], at(day)), Some(&support));
        assert_eq!(answering(wrote, at(day + 5)), None);
        assert_eq!(answering([(&support, None), (&sales, None)], at(0)), None);
    }

    proptest! {
        #[test]
        fn every_address_has_exactly_one_target_always_the_same(
            to in prop_oneof![r"\+[1-9][0-9]{6,14}", r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}"]
        ) {
            let to: Address = to.parse().expect("made to be an address");
            let policy = policy();
            let first = route(&policy, &to);
            prop_assert!(first == &policy.default || policy.by_country.values().any(|t| t == first));
            prop_assert_eq!(first, route(&policy, &to));
        }
    }
}
