//! The fields of a JSON object, each as its own bytes, so that what has no place of its own is kept unchanged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{self, Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A text, or a number as text: Meta writes ids and times as either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        text(raw).map(Text).ok_or_else(|| de::Error::custom("expected a text or a number"))
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw.get())),
        _ => None,
    }
}

/// What was not taken stays, for [`Self::rest`].
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    pub(super) fn peek<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// What does not read as asked for stays.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, key: &str) -> Option<T> {
        let value = self.peek(key)?;
        self.0.remove(key);
        Some(value)
    }

    /// A field that is not empty.
    pub(super) fn take_text(&mut self, key: &str) -> Option<String> {
        let text = self.peek::<Text<'a>>(key).filter(|text| !text.0.is_empty())?;
        self.0.remove(key);
        Some(text.0.into_owned())
    }

    /// The object in a field; it stays.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        Self::parse(self.0.get(key)?.get())
    }

    /// The objects of a list, or what a list holds instead of them; it stays.
    pub(super) fn list(&self, key: &str) -> Vec<&'a RawValue> {
        self.peek(key).unwrap_or_default()
    }

    /// A text as itself, anything else as its JSON.
    pub(super) fn rest(self) -> BTreeMap<String, String> {
        let value = |raw: &RawValue| text(raw).map_or_else(|| raw.get().to_owned(), Cow::into_owned);
        self.0.into_iter().map(|(key, raw)| (key, value(raw))).collect()
    }
}
