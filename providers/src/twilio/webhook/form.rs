//! Forms (`application/x-www-form-urlencoded`) as bytes, from any bytes.
//!
//! A signature covers the decoded bytes of every field, so nothing is trimmed, replaced or dropped here. An invalid
//! escape is kept literally, as in every browser.

use std::borrow::Cow;

use messaging::text::without_nul;

/// Twilio's own limit on a webhook's body is 64 kB (error 11750); a larger form is not read.
const LARGEST_BODY: usize = 256 * 1024;
/// Twilio sends some forty fields, and three more per file.
const MOST_FIELDS: usize = 1000;

/// A decoded form. The fields keep their order, repeated keys their repetitions.
#[derive(Debug)]
pub(crate) struct Form {
    decoded: Vec<u8>,
    fields: Vec<Field>,
}

/// The position of a decoded field: its key, immediately followed by its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The key's [`beginning`], which distinguishes most keys without comparing them.
    pub(crate) beginning: u64,
    pub(crate) start: usize,
    pub(crate) value: usize,
    pub(crate) end: usize,
}

/// Why bytes are not accepted as a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAForm {
    #[error("the form is larger than {LARGEST_BODY} bytes")]
    TooLarge,
    #[error("the form has more than {MOST_FIELDS} fields")]
    TooManyFields,
}

impl Form {
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, NotAForm> {
        if encoded.len() > LARGEST_BODY {
            return Err(NotAForm::TooLarge);
        }
        // Decoding never makes anything longer.
        let mut decoded = vec![0; encoded.len()];
        let mut fields = Vec::with_capacity(48);
        let (mut start, mut value, mut end) = (0, None, 0);
        let mut at = 0;
        loop {
            for (to, &byte) in decoded[end..].iter_mut().zip(&encoded[at..]) {
                if matches!(byte, b'&' | b'=' | b'+' | b'%') {
                    break;
                }
                *to = byte;
                (at, end) = (at + 1, end + 1);
            }
            let next = encoded.get(at);
            at += 1;
            let byte = match next {
                None | Some(b'&') => {
                    // Nothing between two separators is not a field; an equals sign alone is an empty one.
                    if value.is_some() || start < end {
                        if fields.len() == MOST_FIELDS {
                            return Err(NotAForm::TooManyFields);
                        }
                        fields.push(Field::new(&decoded, start, value.unwrap_or(end), end));
                        (start, value) = (end, None);
                    }
                    if next.is_none() {
                        break;
                    }
                    continue;
                }
                Some(b'=') if value.is_none() => {
                    value = Some(end);
                    continue;
                }
                Some(b'+') => b' ',
                // No separator is a hexadecimal digit, so an escape never reaches into the next field.
                Some(b'%') => match encoded.get(at..at + 2) {
                    Some(&[high, low]) => match (hexadecimal(high), hexadecimal(low)) {
                        (Some(high), Some(low)) => {
                            at += 2;
                            high << 4 | low
                        }
                        _ => b'%',
                    },
                    _ => b'%',
                },
                Some(&byte) => byte,
            };
            decoded[end] = byte;
            end += 1;
        }
        decoded.truncate(end);
        Ok(Self { decoded, fields })
    }

    /// Every field: key and value.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| field.of(&self.decoded))
    }

    /// Every field as text; bytes that are not UTF-8 become replacement characters.
    fn texts(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.fields().map(|(key, value)| (String::from_utf8_lossy(key), String::from_utf8_lossy(value)))
    }

    pub(crate) fn sorted(mut self) -> SortedForm {
        sort(&mut self.fields, &self.decoded);
        SortedForm(self)
    }
}

/// The first eight bytes of a key as a number that sorts like the key. Keys with the same number may still differ.
pub(crate) fn beginning(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(first.len());
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

impl Field {
    fn new(decoded: &[u8], start: usize, value: usize, end: usize) -> Self {
        Self { beginning: beginning(&decoded[start..value]), start, value, end }
    }

    /// Sorts fields by arrival. Where two begin at the same position, the first is empty.
    pub(crate) fn arrival(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    fn of(self, decoded: &[u8]) -> (&[u8], &[u8]) {
        (&decoded[self.start..self.value], &decoded[self.value..self.end])
    }
}

fn sort(fields: &mut [Field], decoded: &[u8]) {
    fields.sort_unstable_by(|a, b| a.beginning.cmp(&b.beginning).then_with(|| a.of(decoded).cmp(&b.of(decoded))));
}

/// A form with its fields sorted by the bytes of their keys, then of their values.
#[derive(Debug)]
pub(crate) struct SortedForm(Form);

impl SortedForm {
    /// What Twilio signs: each key and its value, repetitions once.
    pub(crate) fn signed(&self) -> Vec<u8> {
        let Form { decoded, fields } = &self.0;
        let mut signed = Vec::with_capacity(decoded.len());
        let mut last = None;
        for field in fields {
            let this = Some(field.of(decoded));
            if this != last {
                signed.extend_from_slice(&decoded[field.start..field.end]);
            }
            last = this;
        }
        signed
    }

    /// The form as text that can be stored, with its fields sorted by key; bytes that are not UTF-8 become replacement
    /// characters, and a NUL its escape.
    pub(crate) fn into_text(self) -> (String, Vec<Field>) {
        let Form { decoded, fields } = self.0;
        // A character that begins in one field and ends in the next is not one.
        let is_text = |text: &str| {
            fields.iter().all(|field| text.is_char_boundary(field.value) && text.is_char_boundary(field.end))
        };
        match String::from_utf8(decoded) {
            Ok(text) if is_text(&text) && !text.contains('\0') => (text, fields),
            Ok(text) => Form { decoded: text.into_bytes(), fields }.into_lossy_text(),
            Err(error) => Form { decoded: error.into_bytes(), fields }.into_lossy_text(),
        }
    }
}

impl Form {
    fn into_lossy_text(mut self) -> (String, Vec<Field>) {
        // By arrival, so that keys which become equal only through replacement keep the order of their values.
        self.fields.sort_unstable_by_key(Field::arrival);
        let mut lossy = String::with_capacity(self.decoded.len());
        let mut fields = Vec::with_capacity(self.fields.len());
        for (key, text) in self.texts() {
            let start = lossy.len();
            lossy.push_str(&without_nul(&key));
            let value = lossy.len();
            lossy.push_str(&without_nul(&text));
            fields.push(Field::new(lossy.as_bytes(), start, value, lossy.len()));
        }
        sort(&mut fields, lossy.as_bytes());
        (lossy, fields)
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_repetitions_and_empty_fields_are_kept() {
        let form = Form::parse(b"&a=1+2&a=%2B%f0%9f%98%80&b&=c&d=%4&e=%zz=&").expect("a form");
        let texts: Vec<_> = form.texts().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(texts, ["a=1 2", "a=+😀", "b=", "=c", "d=%4", "e=%zz="]);
    }

    #[test]
    fn a_form_that_is_too_large_is_refused() {
        assert_eq!(Form::parse(&[b'a'; LARGEST_BODY + 1]).map(drop), Err(NotAForm::TooLarge));
        assert_eq!(Form::parse("a&".repeat(MOST_FIELDS + 1).as_bytes()).map(drop), Err(NotAForm::TooManyFields));
        assert!(Form::parse("a&".repeat(MOST_FIELDS).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn bytes_are_decoded_as_browsers_do(encoded in "[a-z%+=&0-9F\\x00\u{e9}]{0,60}") {
            let form = Form::parse(encoded.as_bytes()).expect("small enough");
            let ours: Vec<_> = form.texts().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
            let theirs: Vec<_> =
                form_urlencoded::parse(encoded.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
