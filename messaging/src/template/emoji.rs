//! Emoji in a text.

use icu_properties::CodePointSetData;
use icu_properties::props::EmojiPresentation;

/// Turns the character before it into an emoji.
const AS_EMOJI: char = '\u{fe0f}';
/// Makes a key of a digit, such as 1️⃣.
const KEYCAP: char = '\u{20e3}';

/// The first emoji: a character that is shown as one, or that is told to be. So `♥️` is one and `™` is not.
pub(super) fn first(text: &str) -> Option<String> {
    let shown_as_one = CodePointSetData::new::<EmojiPresentation>();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(next @ &(AS_EMOJI | KEYCAP)) => return Some(format!("{character}{next}")),
            _ if shown_as_one.contains(character) => return Some(character.into()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_as_an_emoji_is_one() {
        for (text, found) in [
            ("Sale 🎉!", Some("🎉")),
            ("👍🏽", Some("👍")),
            ("I ♥️ you", Some("♥\u{fe0f}")),
            ("Press 1\u{fe0f}\u{20e3}", Some("1\u{fe0f}")),
            ("Press 2\u{20e3}", Some("2\u{20e3}")),
            ("🇩🇪", Some("🇩")),
        ] {
            assert_eq!(first(text).as_deref(), found, "{text}");
        }
        for text in ["", "Acme™ © 2026", "Größe: 5 #1 *", "♥ →", "日本語", "20 €"] {
            assert_eq!(first(text), None, "{text}");
        }
    }
}
