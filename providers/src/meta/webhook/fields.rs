//! The fields of a JSON object, each as its own bytes, so that the fields that are not translated are kept unchanged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use messaging::text::without_nul;
use serde::de::{self, Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A string that can be stored, or a number as text: Meta writes ids and times as either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        text(raw).map(Text).ok_or_else(|| de::Error::custom("expected a string or a number"))
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(raw.get()).ok().map(|text| Cow::Owned(without_nul(&text).into_owned())),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw.get())),
        _ => None,
    }
}

/// The fields that were not taken yet; [`Self::rest`] returns them.
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    pub(super) fn peek<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// Takes a field, unless its value has another type.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, key: &str) -> Option<T> {
        let value = self.peek(key)?;
        self.0.remove(key);
        Some(value)
    }

    /// Takes a text that is not empty.
    pub(super) fn take_text(&mut self, key: &str) -> Option<String> {
        let text = self.peek::<Text<'a>>(key).filter(|text| !text.0.is_empty())?;
        self.0.remove(key);
        Some(text.0.into_owned())
    }

    /// The object in a field, which is not taken.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        Self::parse(self.0.get(key)?.get())
    }

    /// The items of a list, of any type. The list is not taken.
    pub(super) fn list(&self, key: &str) -> Vec<&'a RawValue> {
        self.peek(key).unwrap_or_default()
    }

    /// The remaining fields: strings unquoted, anything else as JSON.
    pub(super) fn rest(self) -> BTreeMap<String, String> {
        let value = |raw: &RawValue| text(raw).map_or_else(|| raw.get().to_owned(), Cow::into_owned);
        self.0.into_iter().map(|(key, raw)| (key, value(raw))).collect()
    }
}
