//! Names of objects, from names at the provider: valid, and each used once.

use std::collections::BTreeSet;

use crate::template::naming;

/// How many characters of a name are kept. Kubernetes allows 253.
const LONGEST: usize = 200;

/// The names that are used.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The name, or the name with the first number that makes it a new one.
    pub(super) fn take(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !self.0.contains(name));
        let free = free.unwrap_or_else(|| name.to_owned());
        self.0.insert(free.clone());
        free
    }
}

/// A name's letters and digits, with a dash for everything between them.
pub(super) fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let cut: String = joined.chars().take(LONGEST).collect();
    cut.trim_end_matches('-').to_owned()
}

/// What the names of a template's languages have in common: the name without the language at its end. An operator's
/// name is reduced to that of its object.
pub(super) fn common(name: &str, language: &str) -> String {
    if let Some(parts) = naming::parts(name) {
        return plain(parts.readable);
    }
    let (name, language) = (plain(name), plain(language));
    let primary = language.split('-').next().unwrap_or_default();
    let without = |suffix: &str| name.strip_suffix(suffix)?.strip_suffix('-').map(str::to_owned);
    without(&language).or_else(|| without(primary)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_one_that_kubernetes_accepts() {
        for (name, expected) in [
            ("Order Shipped (v2)", "order-shipped-v2"),
            ("__promo__", "promo"),
            ("größe", "gr-e"),
            ("注文", ""),
            ("-.-", ""),
        ] {
            assert_eq!(plain(name), expected);
        }
        assert_eq!(plain(&"abc ".repeat(200)).len(), LONGEST - 1);
    }

    #[test]
    fn the_language_at_the_end_of_a_name_is_not_part_of_what_it_names() {
        for (name, language, expected) in [
            ("order_shipped_en_us", "en_US", "order-shipped"),
            ("order-shipped.de", "de", "order-shipped"),
            ("order_shipped_pt", "pt_BR", "order-shipped"),
            ("order_shipped", "de", "order-shipped"),
            ("de", "de", "de"),
            ("side", "de", "side"),
            ("toys_parcel_sent_0123456789_en_us_0123456789", "en_US", "toys-parcel-sent"),
        ] {
            assert_eq!(common(name, language), expected, "{name}");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = Names::default();
        let given = ["a", "a", "a-2", "a"].map(|name| names.take(name));
        assert_eq!(given, ["a", "a-2", "a-2-2", "a-3"]);
    }
}
