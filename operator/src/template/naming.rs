//! The names of revisions at the provider.
//!
//! A name is made from the object's uid and the revision's content. So a revision that was created and not recorded is
//! found again, and our revisions can be distinguished from others. Names must never change between versions of the
//! operator, or every template would be submitted again.
//!
//! An object that is deleted with the policy `Retain` leaves its revisions behind, under names with its uid. An object
//! that is applied again under its namespace and name finds them by the rest of the name, and adopts them. What others
//! made has other names, and that alone decides what may be deleted.

use std::collections::BTreeMap;

use messaging::template::{LocalizedContent, TemplateCategory};
use serde_json::json;
use sha2::{Digest, Sha256};

/// How many characters of the namespace and name are kept, for people who read the provider's console.
const READABLE: usize = 64;
/// How many bytes of a hash are kept.
const HASH: usize = 5;

/// The names of one object's revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// What all objects with this namespace and name share.
    readable: String,
    prefix: String,
}

impl Names {
    /// The uid distinguishes this object from an earlier one of the same name, and from one in another cluster.
    pub(super) fn new(namespace: &str, name: &str, uid: &str) -> Self {
        let readable: String = plain(&format!("{namespace}_{name}")).take(READABLE).collect();
        Self { prefix: format!("{readable}_{}_", short_hash(uid.as_bytes())), readable: format!("{readable}_") }
    }

    /// The name of a revision with this content.
    pub(super) fn revision(
        &self,
        category: TemplateCategory,
        language: &str,
        content: &LocalizedContent,
        examples: &BTreeMap<String, String>,
    ) -> String {
        let identity = json!([category, language, content, examples]).to_string();
        let language: String = plain(language).collect();
        format!("{}{language}_{}", self.prefix, short_hash(identity.as_bytes()))
    }

    /// Whether a template at the provider is a revision of this object.
    pub(super) fn own(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Whether a template at the provider is a revision of an object with this namespace and name, whatever its uid.
    pub(super) fn alike(&self, name: &str) -> bool {
        self.after_uid(name).is_some()
    }

    /// Whether two such revisions have the same language, text, category and examples.
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        self.after_uid(one).is_some_and(|content| self.after_uid(other) == Some(content))
    }

    fn after_uid<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (uid, content) = name.strip_prefix(&self.readable)?.split_once('_')?;
        is_hash(uid).then_some(content)
    }
}

/// The parts of a name that an operator gave, of whichever object and cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// The object's namespace and name, as far as it was kept.
    pub(crate) readable: &'a str,
    pub(crate) language: &'a str,
}

/// `None` for a name that no operator gave.
pub(crate) fn parts(name: &str) -> Option<Parts<'_>> {
    let (rest, content) = name.rsplit_once('_')?;
    if !is_hash(content) {
        return None;
    }
    // The language has at most one underscore, as in en_us.
    rest.rmatch_indices('_').take(2).find_map(|(at, _)| {
        let (object, language) = (&rest[..at], &rest[at + 1..]);
        let (readable, uid) = object.rsplit_once('_')?;
        is_hash(uid).then_some(Parts { readable, language })
    })
}

/// Whether an operator gave this name for an object with this namespace and name, whatever its uid.
pub(crate) fn is_of(listed: &str, namespace: &str, name: &str) -> bool {
    parts(listed).is_some_and(|parts| {
        let readable = plain(namespace).chain(std::iter::once('_')).chain(plain(name)).take(READABLE);
        readable.eq(parts.readable.chars())
    })
}

fn is_hash(text: &str) -> bool {
    text.len() == 2 * HASH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The characters that WhatsApp accepts in a template's name: lower-case letters, digits and underscores.
fn plain(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
}

fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..HASH])
}

#[cfg(test)]
mod tests {
    use messaging::template::TemplateButton;

    use super::*;

    const UID: &str = "7f7b6e1e-8f0e-4a52-9d2e-0c4a7d3a5b11";

    fn content(body: &str) -> LocalizedContent {
        LocalizedContent { body: body.into(), header: None, footer: None, buttons: vec![] }
    }

    fn revision(names: &Names, language: &str, body: &str, example: &str) -> String {
        let examples = BTreeMap::from([("1".to_owned(), example.to_owned())]);
        names.revision(TemplateCategory::Utility, language, &content(body), &examples)
    }

    #[test]
    fn a_name_is_the_same_in_every_version_of_the_operator() {
        let names = Names::new("shop", "order-shipped.v2", UID);
        assert_eq!(revision(&names, "en_US", "Hi {{1}}!", "Ava"), "shop_order_shipped_v2_24b6d64e2e_en_us_e18874faaa");
        let all = LocalizedContent {
            header: Some("News".into()),
            footer: Some("Bye".into()),
            buttons: vec![TemplateButton::Url { title: "Track".into(), url: "https://shop.example.com/{{1}}".into() }],
            ..content("Hi!")
        };
        let examples = BTreeMap::from([("1".to_owned(), "7".to_owned())]);
        let name = names.revision(TemplateCategory::Marketing, "de", &all, &examples);
        assert_eq!(name, "shop_order_shipped_v2_24b6d64e2e_de_a10527f0dc");
    }

    #[test]
    fn whatever_needs_a_new_review_has_a_new_name() {
        let names = Names::new("shop", "order-shipped", UID);
        let first = revision(&names, "en_US", "Hi {{1}}!", "Ava");
        let examples = BTreeMap::from([("1".to_owned(), "Ava".to_owned())]);
        for other in [
            revision(&names, "en_GB", "Hi {{1}}!", "Ava"),
            revision(&names, "en_US", "Hello {{1}}!", "Ava"),
            revision(&names, "en_US", "Hi {{1}}!", "Sam"),
            names.revision(TemplateCategory::Marketing, "en_US", &content("Hi {{1}}!"), &examples),
        ] {
            assert_ne!(first, other);
            assert!(names.own(&other));
        }
    }

    #[test]
    fn another_objects_revisions_are_never_taken_for_ours() {
        let names = Names::new("shop", "order-shipped", UID);
        for (namespace, name, uid) in
            [("shop", "order-shipped", "another-uid"), ("shop", "order", UID), ("shop-order", "shipped-2", UID)]
        {
            let others = Names::new(namespace, name, uid);
            assert!(!names.own(&revision(&others, "en_US", "Hi", "Ava")), "{namespace}/{name} {uid}");
        }
        assert!(!names.own("order_shipped"));
    }

    #[test]
    fn a_revision_is_recognised_by_its_content_under_any_uid_and_under_no_other_name() {
        let (names, earlier) =
            (Names::new("shop", "order-shipped", UID), Names::new("shop", "order-shipped", "another-uid"));
        let ours = revision(&names, "en_US", "Hi", "Ava");
        let retained = revision(&earlier, "en_US", "Hi", "Ava");
        assert!(ours != retained && names.same(&retained, &ours) && names.alike(&retained));
        assert!(!names.same(&revision(&earlier, "en_US", "Hello", "Ava"), &ours));
        assert!(!names.same(&revision(&earlier, "en_GB", "Hi", "Ava"), &ours));
        let other = Names::new("shop", "order", UID);
        assert!(!names.alike(&revision(&other, "en_US", "Hi", "Ava")));
        assert!(!names.alike("shop_order_shipped_by_hand_en_us"));
    }

    #[test]
    fn a_name_that_an_operator_gave_is_recognised_whatever_the_object() {
        for (object, language) in [("order-shipped", "en_US"), ("order", "de"), ("zh_HANT", "zh_HANT")] {
            let name = revision(&Names::new("shop", object, "another-uid"), language, "Hi", "Ava");
            let readable = plain(&format!("shop_{object}")).collect::<String>();
            let language = plain(language).collect::<String>();
            assert_eq!(parts(&name), Some(Parts { readable: &readable, language: &language }), "{name}");
        }
        for other in ["order_shipped_en_us", "Order shipped", "", "a_24b6d64e2e", "shop_order_24b6d64e2e_en_us_2"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_any_object_are_short_enough_for_whatsapp() {
        let names = Names::new(&"n".repeat(63), &"m".repeat(253), UID);
        assert!(revision(&names, "zh_HANT", "Hi", "Ava").len() <= 128);
    }
}
