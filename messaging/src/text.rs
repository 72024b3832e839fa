//! Text that people and programs wrote: whether any of it can be seen, and how it is kept.

use std::borrow::Cow;

/// Whether nothing of a text can be seen. Such a text is an empty one, whatever its length.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

fn is_invisible(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_ignorable(c) || matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffb}')
}

/// `Default_Ignorable_Code_Point`, among them the fillers of Hangul, the joiners and the variation selectors. (Unicode
/// 16, DerivedCoreProperties.txt.)
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A provider's text as it can be stored: with `\u0000` for each NUL, as JSON writes it, because PostgreSQL has no NUL
/// in text. A caller's text with one is refused instead.
pub fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', r"\u0000")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_which_nothing_can_be_seen_is_blank() {
        for blank in [
            "",
            " \t\n",
            "\0",
            "\u{200b}",
            "\u{feff}\u{2060} ",
            "\u{3164}",
            "\u{2800}",
            "\u{fe0f}\u{200d}",
            "\u{e0041}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for seen in ["a", ".", "👨‍👩‍👧", "❤\u{fe0f}", "\u{200b}x", "नमस्ते", "\u{fffd}"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }

    #[test]
    fn a_nul_is_kept_as_json_writes_it() {
        assert_eq!(without_nul("SM\0 1\0"), r"SM\u0000 1\u0000");
        assert!(matches!(without_nul("SM1"), Cow::Borrowed("SM1")));
    }
}
