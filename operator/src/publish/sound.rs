//! Leaves out of a config what cannot be run: a fault of one object is no other's. Pure.

use std::collections::{BTreeMap, BTreeSet};

use messaging::config::{Part, TenantConfig};

/// What was left out, and why.
pub(super) type LeftOut = BTreeMap<Part, String>;

/// The config with each faulty part as it was last published or, if that is faulty too, without it.
pub(super) fn sound(mut config: TenantConfig, previous: Option<&TenantConfig>) -> (TenantConfig, LeftOut) {
    let mut left_out = LeftOut::new();
    let mut as_before = BTreeSet::new();
    loop {
        // What refers to a part that is left out becomes faulty by that, so everything is checked again.
        let faults: BTreeMap<Part, String> = config
            .faults()
            .into_iter()
            .filter_map(|(part, finding)| Some((part?, finding.to_string())))
            .rev()
            .collect();
        if faults.is_empty() {
            config.default_policy = config.default_policy.filter(|name| config.policies.contains_key(name));
            return (config, left_out);
        }
        for (part, why) in faults {
            let before = previous.filter(|_| as_before.insert(part.clone()));
            match &part {
                Part::Sender(name) => put(&mut config.senders, name, before.map(|config| &config.senders)),
                Part::Template(name) => put(&mut config.templates, name, before.map(|config| &config.templates)),
                Part::Policy(name) => put(&mut config.policies, name, before.map(|config| &config.policies)),
                Part::ApiKey(name) => config.api_keys.retain(|key| key.name != *name),
            }
            left_out.entry(part).or_insert(why);
        }
    }
}

/// Replaces an entry by the one before, or removes it.
fn put<K: Ord + Clone, V: Clone>(parts: &mut BTreeMap<K, V>, name: &K, before: Option<&BTreeMap<K, V>>) {
    match before.and_then(|before| before.get(name)) {
        Some(before) => drop(parts.insert(name.clone(), before.clone())),
        None => drop(parts.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use messaging::config::FORMAT;
    use messaging::id::SenderName;
    use serde_json::json;

    use super::*;

    fn config(numbers: &[(&str, &str)]) -> TenantConfig {
        let account = "AC0123456789abcdef0123456789abcdef";
        let twilio = json!({ "accountSid": account, "username": account, "password": "x", "webhookKeys": ["x"] });
        let sender = |(name, number): &(&str, &str)| {
            let sink = json!({ "http": { "url": "https://x", "signingSecrets": ["whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHM="] } });
            let sender = json!({ "phoneNumber": number, "provider": { "twilio": twilio }, "events": [sink] });
            ((*name).to_owned(), sender)
        };
        let senders: serde_json::Map<_, _> = numbers.iter().map(sender).collect();
        let policies: serde_json::Map<_, _> =
            numbers.iter().map(|(name, _)| ((*name).to_owned(), json!({ "default": { "sender": name } }))).collect();
        serde_json::from_value(json!({
            "format": FORMAT, "tenant": "shop", "publicBaseUrl": "https://wa.example.com", "senders": senders,
            "policies": policies, "defaultPolicy": numbers[0].0,
        }))
        .unwrap()
    }

    fn break_sender(config: &mut TenantConfig, name: &str) {
        let name: SenderName = name.parse().unwrap();
        config.senders.get_mut(&name).unwrap().limits.burst = 0;
    }

    fn names(left_out: &LeftOut) -> Vec<String> {
        left_out.iter().map(|(part, why)| format!("{part:?} {why}")).collect()
    }

    #[test]
    fn a_sound_config_stays_as_it_is() {
        let whole = config(&[("a", "+14155238886"), ("b", "+14155238887")]);
        assert_eq!(sound(whole.clone(), None), (whole, LeftOut::new()));
    }

    #[test]
    fn a_faulty_object_is_left_out_with_what_refers_to_it_and_nothing_else() {
        let mut faulty = config(&[("a", "+14155238886"), ("b", "+14155238887")]);
        break_sender(&mut faulty, "a");
        let (left, left_out) = sound(faulty, None);
        assert_eq!(left, TenantConfig { default_policy: None, ..config(&[("b", "+14155238887")]) });
        let said = names(&left_out);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("senders.a.limits.burst: is 0") && said[1].contains("policies.a.default.sender"),
            "{said:?}"
        );
    }

    #[test]
    fn what_was_good_is_never_replaced_by_what_is_not() {
        let good = config(&[("a", "+14155238886")]);
        let mut faulty = good.clone();
        break_sender(&mut faulty, "a");
        let (left, left_out) = sound(faulty.clone(), Some(&good));
        assert_eq!((left, left_out.len()), (good, 1));
        let (left, _) = sound(faulty.clone(), Some(&faulty));
        assert!(left.senders.is_empty(), "what an earlier version published may be faulty, too");
    }
}
