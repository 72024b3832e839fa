//! Forms (`application/x-www-form-urlencoded`) as bytes, from any bytes.
//!
//! A signature covers the decoded bytes of every field, so nothing is trimmed, replaced or dropped here. An escape
//! that is none stands for itself, as in every browser.

use std::borrow::Cow;
use std::ops::Range;

/// Twilio's own limit on a webhook's body is 64 kB (error 11750); nothing larger is looked at.
const LARGEST_BODY: usize = 256 * 1024;
/// Twilio sends some forty fields, and three more per file.
const MOST_FIELDS: usize = 1000;

/// A decoded form. The fields keep their order, repeated keys their repetitions.
#[derive(Debug)]
pub(crate) struct Form {
    decoded: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

/// Why bytes are not taken for a form.
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
        let mut form = Self { decoded: Vec::with_capacity(encoded.len()), fields: Vec::with_capacity(48) };
        for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            if form.fields.len() == MOST_FIELDS {
                return Err(NotAForm::TooManyFields);
            }
            let equals = pair.iter().position(|&byte| byte == b'=');
            let key = form.decode(&pair[..equals.unwrap_or(pair.len())]);
            let value = form.decode(equals.map_or(&[], |at| &pair[at + 1..]));
            form.fields.push((key, value));
        }
        Ok(form)
    }

    /// Appends the decoded bytes and says where they are.
    fn decode(&mut self, encoded: &[u8]) -> Range<usize> {
        let start = self.decoded.len();
        let mut rest = encoded;
        while let Some(at) = rest.iter().position(|&byte| byte == b'+' || byte == b'%') {
            self.decoded.extend_from_slice(&rest[..at]);
            let (byte, length) = match rest[at..] {
                [b'+', ..] => (b' ', 1),
                [_, high, low, ..] => match (hexadecimal(high), hexadecimal(low)) {
                    (Some(high), Some(low)) => (high << 4 | low, 3),
                    _ => (b'%', 1),
                },
                _ => (b'%', 1),
            };
            self.decoded.push(byte);
            rest = &rest[at + length..];
        }
        self.decoded.extend_from_slice(rest);
        start..self.decoded.len()
    }

    /// Every field as it came: key and value.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(key, value)| (&self.decoded[key.clone()], &self.decoded[value.clone()]))
    }

    /// Every field as text; bytes that are not UTF-8 become replacement characters.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.fields().map(|(key, value)| (String::from_utf8_lossy(key), String::from_utf8_lossy(value)))
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
    fn escapes_repetitions_and_empty_parts_are_kept_apart() {
        let form = Form::parse(b"&a=1+2&a=%2B%f0%9f%98%80&b&=c&d=%4&e=%zz=&").expect("a form");
        let texts: Vec<_> = form.texts().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(texts, ["a=1 2", "a=+😀", "b=", "=c", "d=%4", "e=%zz="]);
    }

    #[test]
    fn what_is_too_much_is_refused() {
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
