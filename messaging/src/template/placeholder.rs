//! Reading the `{{key}}` placeholders of a text.

use std::collections::BTreeSet;

use super::{LocalizedContent, TemplateButton};

/// A piece of a template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// The key between the braces.
    Placeholder(&'a str),
    /// Braces that are not a placeholder, up to their closing pair or else to the end of the text.
    Malformed(&'a str),
}

/// Splits a text into pieces; joined, they are the text again.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        push_text(&mut pieces, &rest[..open]);
        let inside = &rest[open + 2..];
        let Some(close) = inside.find("}}") else {
            pieces.push(Piece::Malformed(&rest[open..]));
            return pieces;
        };
        let key = &inside[..close];
        let whole = &rest[open..open + 2 + close + 2];
        pieces.push(if is_key(key) { Piece::Placeholder(key) } else { Piece::Malformed(whole) });
        rest = &inside[close + 2..];
    }
    push_text(&mut pieces, rest);
    pieces
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str) {
    if text.contains("}}") {
        pieces.push(Piece::Malformed(text));
    } else if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// Letters, digits and underscores. WhatsApp wants numbers, which the linter checks.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The keys in a text, in order, with repetitions.
pub fn keys(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Placeholder(key) => Some(key),
        Piece::Text(_) | Piece::Malformed(_) => None,
    })
}

/// Every key that one language of a template uses, in any of its fields.
pub fn used_keys(content: &LocalizedContent) -> BTreeSet<&str> {
    let texts = [Some(content.body.as_str()), content.header.as_deref(), content.footer.as_deref()];
    let buttons = content.buttons.iter().map(|button| match button {
        TemplateButton::Url { url, .. } => Some(url.as_str()),
        TemplateButton::CopyCode { code, .. } => Some(code.as_str()),
        TemplateButton::QuickReply { .. } | TemplateButton::PhoneNumber { .. } => None,
    });
    texts.into_iter().chain(buttons).flatten().flat_map(keys).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_text_and_from_broken_braces() {
        use Piece::{Malformed, Placeholder, Text};
        assert_eq!(pieces("Hi {{1}}, bye"), [Text("Hi "), Placeholder("1"), Text(", bye")]);
        assert_eq!(pieces("{{1}}{{name}}"), [Placeholder("1"), Placeholder("name")]);
        assert_eq!(pieces("a {{ 1 }} b"), [Text("a "), Malformed("{{ 1 }}"), Text(" b")]);
        assert_eq!(pieces("a {{1"), [Text("a "), Malformed("{{1")]);
        assert_eq!(pieces("a 1}} b"), [Malformed("a 1}} b")]);
        assert_eq!(pieces("{one} {}"), [Text("{one} {}")]);
        assert_eq!(pieces(""), []);
    }

    proptest! {
        #[test]
        fn the_pieces_of_any_text_are_the_text(text in r"[{}a1 ü]{0,24}") {
            let whole: String = pieces(&text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(t) | Piece::Malformed(t) => t.to_owned(),
                    Piece::Placeholder(key) => format!("{{{{{key}}}}}"),
                })
                .collect();
            prop_assert_eq!(whole, text);
        }
    }
}
