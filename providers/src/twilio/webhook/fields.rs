//! The fields of a webhook as text. Each is taken at most once; the fields that are left are not translated, and are
//! kept unchanged.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::form::{Field, SortedForm, beginning};

pub(crate) struct Fields {
    text: String,
    /// The fields not taken yet, sorted by key.
    left: Vec<Field>,
}

impl Fields {
    pub(crate) fn of(form: SortedForm) -> Self {
        let (text, left) = form.into_text();
        Self { text, left }
    }

    /// The value of a field that is present and not empty.
    pub(crate) fn peek(&self, key: &str) -> Option<Cow<'_, str>> {
        Some(self.value(&self.left[self.find(key)?])).filter(|value| !value.is_empty())
    }

    /// Takes a field; an empty one counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        let found = self.find(key)?;
        let value = self.value(&self.left[found.clone()]).into_owned();
        self.left.drain(found);
        Some(value).filter(|value| !value.is_empty())
    }

    pub(crate) fn rest(self) -> BTreeMap<String, String> {
        self.left
            .chunk_by(|a, b| self.key(a) == self.key(b))
            .map(|same| (self.key(&same[0]).to_owned(), self.value(same).into_owned()))
            .collect()
    }

    fn key(&self, field: &Field) -> &str {
        &self.text[field.start..field.value]
    }

    /// The range of the fields with this key: one, or more if Twilio repeated a key, which it does not.
    fn find(&self, key: &str) -> Option<Range<usize>> {
        let sought = beginning(key.as_bytes());
        let compare = |field: &Field| field.beginning.cmp(&sought).then_with(|| self.key(field).cmp(key));
        let found = self.left.binary_search_by(compare).ok()?;
        let before = self.left[..found].iter().rev().take_while(|field| self.key(field) == key).count();
        let behind = self.left[found + 1..].iter().take_while(|field| self.key(field) == key).count();
        Some(found - before..found + 1 + behind)
    }

    /// The values of a repeated key, joined by line breaks in order of arrival.
    fn value(&self, same: &[Field]) -> Cow<'_, str> {
        let text = |field: &Field| &self.text[field.value..field.end];
        match same {
            [field] => Cow::Borrowed(text(field)),
            several => {
                let mut several = several.to_vec();
                several.sort_unstable_by_key(Field::arrival);
                Cow::Owned(several.iter().map(text).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::form::Form;
    use super::*;

    fn fields(encoded: &[u8]) -> Fields {
        Fields::of(Form::parse(encoded).expect("small enough").sorted())
    }

    /// The fields, computed the simple way.
    fn plain(encoded: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::<String, String>::new();
        for (key, value) in form_urlencoded::parse(encoded) {
            fields
                .entry(key.into_owned())
                .and_modify(|first| *first = format!("{first}\n{value}"))
                .or_insert_with(|| value.clone().into_owned());
        }
        fields
    }

    #[test]
    fn a_character_that_a_separator_cuts_is_replaced_on_both_sides() {
        let rest = fields(b"a=%C3&%A9=b&c=%C3%A9").rest();
        let expected = [("a", "\u{fffd}"), ("c", "é"), ("\u{fffd}", "b")];
        assert_eq!(rest, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn values_of_one_key_keep_the_order_in_which_they_came() {
        assert_eq!(fields(b"a=2&b=x&a=&a=1").take("a").as_deref(), Some("2\n\n1"));
        assert_eq!(fields(b"%ff=2&%fe=1").rest()["\u{fffd}"], "2\n1");
        assert_eq!(fields(b"=&=x").rest()[""], "\nx");
    }

    #[test]
    fn a_field_is_taken_once_and_an_empty_one_not_at_all() {
        let mut fields = fields(b"b=1&a=&c=3");
        assert_eq!(fields.peek("a"), None);
        assert_eq!(fields.take("a"), None);
        assert_eq!((fields.take("b").as_deref(), fields.take("b")), (Some("1"), None));
        assert_eq!(fields.rest(), BTreeMap::from([("c".to_owned(), "3".to_owned())]));
    }

    proptest! {
        #[test]
        fn any_form_has_the_fields_that_the_simple_way_finds(
            pieces in proptest::collection::vec(
                proptest::sample::select(&["&", "=", "a", "b", "+", "%", "%C3", "%a9", "%FF", "é", "%26", "%3d"][..]),
                0..24,
            ),
        ) {
            let encoded = pieces.concat().into_bytes();
            let expected = plain(&encoded);
            prop_assert_eq!(&fields(&encoded).rest(), &expected);
            let mut taken = fields(&encoded);
            for (key, value) in expected {
                prop_assert_eq!(taken.take(&key), Some(value).filter(|value| !value.is_empty()));
            }
            prop_assert!(taken.rest().is_empty());
        }
    }
}
