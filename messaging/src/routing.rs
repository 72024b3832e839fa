//! Which sender, and which Messaging Service of it, a message leaves through.

use crate::address::Address;
use crate::config::{RouteTarget, RoutingConfig};

/// The target for a recipient: their country's, else the default. Every address has exactly one.
pub fn route<'a>(policy: &'a RoutingConfig, to: &Address) -> &'a RouteTarget {
    to.country().and_then(|country| policy.by_country.get(country.as_str())).unwrap_or(&policy.default)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::id::SenderName;

    fn target(name: &str) -> RouteTarget {
        RouteTarget { sender: SenderName::new(name).expect("a name"), messaging_service_sid: None }
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
