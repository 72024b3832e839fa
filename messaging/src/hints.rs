//! What passes from the data plane to the operator, and nothing else does: hints that something changed at a provider.
//!
//! A hint is a reason to look, never a truth: it holds no state of anything, and whoever could write one could only
//! make the operator read once more. All hints are in one object in the namespace that both share. The operator creates
//! it, and the data plane writes into it. It is bounded in every direction, so the oldest hints may be lost: polling
//! finds what they told of.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{SenderName, TenantId};
use crate::provider::admin::TemplateHandle;

/// The name of the `ConfigMap` with the hints.
pub const OBJECT: &str = "whatsapp-hints";
/// The one key of its data: a JSON list of [`Hint`].
pub const KEY: &str = "hints.json";

/// How many hints there are at most.
pub const MOST: usize = 256;
/// How many of them are one tenant's at most, so that no tenant displaces another's.
pub const MOST_OF_A_TENANT: usize = 32;
/// How long a hint is kept. An operator that was away for longer looks at everything anyway.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_mins(15);

/// One hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    pub tenant: TenantId,
    /// The sender at whose webhook it came.
    pub sender: SenderName,
    #[serde(flatten)]
    pub about: About,
    /// When it came, by the clock of the data plane.
    pub at: Timestamp,
}

/// What a hint is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// A template may have changed at the provider.
    Template(TemplateHandle),
    /// The provider's test of where it sends its events arrived, with this id.
    Test(String),
}

/// The hints in the object, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints(Vec<Hint>);

impl Hints {
    /// Reads the object's value. What can't be read is no hint.
    pub fn parse(value: &str) -> Self {
        let rows: Vec<Value> = serde_json::from_str(value).unwrap_or_default();
        Self(rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).take(MOST).collect())
    }

    /// The object's value.
    pub fn text(&self) -> String {
        // Every part of a hint is text.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Hint> {
        self.0.iter()
    }

    /// Adds a hint, instead of an earlier one of the same. What is too old goes, and then what is too much.
    pub fn add(&mut self, hint: Hint) {
        let now = hint.at;
        // A clock that was ahead must not keep a hint for ever.
        self.0.retain(|known| !is_same(known, &hint) && now.duration_since(known.at).abs() <= KEPT_FOR);
        self.0.push(hint);
        while let Some(tenant) = self.too_much() {
            let oldest = self.0.iter().position(|known| known.tenant == tenant);
            oldest.map(|oldest| self.0.remove(oldest));
        }
    }

    /// The tenant that must give up its oldest hint: the one that has the most.
    fn too_much(&self) -> Option<TenantId> {
        let mut counts = BTreeMap::<&TenantId, usize>::new();
        self.0.iter().for_each(|hint| *counts.entry(&hint.tenant).or_default() += 1);
        let (tenant, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (count > MOST_OF_A_TENANT || self.0.len() > MOST).then(|| tenant.clone())
    }
}

fn is_same(one: &Hint, other: &Hint) -> bool {
    (&one.tenant, &one.sender, &one.about) == (&other.tenant, &other.sender, &other.about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(tenant: &str, template: &str, second: i64) -> Hint {
        Hint {
            tenant: tenant.parse().unwrap(),
            sender: "support".parse().unwrap(),
            about: About::Template(TemplateHandle::new(template)),
            at: Timestamp::from_second(1_800_000_000 + second).unwrap(),
        }
    }

    fn templates(hints: &Hints) -> Vec<String> {
        let of = |hint: &Hint| match &hint.about {
            About::Template(handle) => handle.to_string(),
            About::Test(id) => id.clone(),
        };
        hints.iter().map(of).collect()
    }

    #[test]
    fn hints_survive_the_object_and_what_is_not_one_is_left_out() {
        let mut hints = Hints::default();
        hints.add(hint("shop", "HX1", 0));
        hints.add(Hint { about: About::Test("TE1".to_owned()), ..hint("shop", "", 1) });
        let text = hints.text();
        let first = r#"[{"tenant":"shop","sender":"support","template":"HX1","at":"2027-01-15T08:00:00Z"},"#;
        assert!(text.starts_with(first), "{text}");
        assert_eq!(Hints::parse(&text), hints);
        let spoilt = text.replacen('[', r#"[7, {"tenant": "NOT A NAME"}, {},"#, 1);
        assert_eq!(Hints::parse(&spoilt), hints);
        for bad in ["", "{}", "null", "[", "\u{0}"] {
            assert_eq!(Hints::parse(bad), Hints::default(), "{bad:?}");
        }
    }

    #[test]
    fn a_repeated_hint_is_one_hint_and_an_old_one_goes() {
        let mut hints = Hints::default();
        hints.add(hint("shop", "HX1", 0));
        hints.add(hint("shop", "HX2", 10));
        hints.add(hint("shop", "HX1", 20));
        assert_eq!(templates(&hints), ["HX2", "HX1"]);
        hints.add(hint("bank", "HX3", 10 + KEPT_FOR.as_secs() + 1));
        assert_eq!(templates(&hints), ["HX1", "HX3"]);
        // A clock that was an hour ahead.
        hints.add(hint("bank", "HX4", 3600 * 2));
        hints.add(hint("bank", "HX5", 20));
        assert_eq!(templates(&hints), ["HX5"]);
    }

    #[test]
    fn a_flood_of_one_tenant_displaces_nothing_of_another() {
        let mut hints = Hints::default();
        hints.add(hint("bank", "HX", 0));
        for n in 0..1000 {
            hints.add(hint("shop", &format!("HX{n}"), 1 + n / 100));
        }
        let kept = templates(&hints);
        assert_eq!((kept.len(), kept[0].as_str(), kept[1].as_str()), (1 + MOST_OF_A_TENANT, "HX", "HX968"));
    }

    #[test]
    fn the_object_is_bounded_whatever_the_number_of_tenants() {
        let mut hints = Hints::default();
        for n in 0..2000 {
            hints.add(hint(&format!("tenant-{}", n % 100), &format!("HX{}{n:032}", "0".repeat(30)), n / 100));
        }
        assert_eq!(hints.iter().count(), MOST);
        assert!(hints.text().len() < 64 * 1024, "{}", hints.text().len());
    }

    #[test]
    fn no_more_is_read_than_may_be_there_and_a_hint_of_another_sender_is_another_hint() {
        let rows: Vec<_> = (0..MOST + 44).map(|n| hint("shop", &format!("HX{n}"), 0)).collect();
        assert_eq!(Hints::parse(&serde_json::to_string(&rows).unwrap()).iter().count(), MOST);
        let mut hints = Hints::default();
        hints.add(hint("shop", "HX1", 0));
        hints.add(Hint { sender: "sales".parse().unwrap(), ..hint("shop", "HX1", 0) });
        assert_eq!(templates(&hints), ["HX1", "HX1"]);
    }
}
