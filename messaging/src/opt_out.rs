//! Whether a message asks to opt out, or to opt in again.
//!
//! The whole message must be the keyword: "please stop by on Monday" is not an opt-out. Case and spaces do not count,
//! nor do punctuation, quotes and pictures around the word, so "Stop!", " stop all. " and "STOPALL" are what they look
//! like. A word in both lists opts out.

use crate::config::OptOutConfig;

/// What the contact asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptChange {
    Stop,
    Start,
}

/// Recognises a keyword of the sender's lists in what a customer wrote or tapped.
pub fn recognise(config: &OptOutConfig, text: &str) -> Option<OptChange> {
    let word = normal(text);
    let is_in = |keywords: &[String]| !word.is_empty() && keywords.iter().any(|keyword| normal(keyword) == word);
    if is_in(&config.stop_keywords) {
        Some(OptChange::Stop)
    } else if is_in(&config.start_keywords) {
        Some(OptChange::Start)
    } else {
        None
    }
}

/// The text without what does not count. A text of symbols alone is kept, so that a symbol can be a keyword.
fn normal(text: &str) -> String {
    let bare: String = text.chars().filter(|&c| !c.is_whitespace() && !is_invisible(c)).collect();
    let word = bare.trim_matches(|c: char| !c.is_alphanumeric());
    if word.is_empty() { bare } else { word.to_lowercase() }
}

/// Invisible characters that keyboards and copying leave behind: zero-width spaces and joiners, direction marks, the
/// byte-order mark, variation selectors, controls.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<OptChange> {
        recognise(&OptOutConfig::default(), text)
    }

    #[test]
    fn every_default_keyword_is_recognised_however_it_is_written() {
        for word in ["STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"] {
            for text in [word.to_owned(), word.to_lowercase(), format!("  {word}\n"), format!("\u{a0}{word}!\u{200b} ")]
            {
                assert_eq!(of(&text), Some(OptChange::Stop), "{text:?}");
            }
        }
        for word in ["start", "Unstop", " SUBSCRIBE."] {
            assert_eq!(of(word), Some(OptChange::Start), "{word:?}");
        }
        for text in ["\"Stop\"", "*STOP*", "stop 🛑", "S T O P", "(stop)", "¡stop!", "\u{202b}stop\u{202c}"] {
            assert_eq!(of(text), Some(OptChange::Stop), "{text:?}");
        }
    }

    #[test]
    fn a_keyword_within_a_sentence_is_not_an_opt_out() {
        for text in ["please stop by on Monday", "don't stop", "stopping", "the end", "restart", "", " ", "!", "🛑"] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_sender_has_its_own_words() {
        let config = OptOutConfig {
            stop_keywords: vec!["arrêter".into(), "stop all".into(), "🛑".into(), "".into()],
            start_keywords: vec!["Начать".into(), "arrêter".into()],
            ..OptOutConfig::default()
        };
        assert_eq!(recognise(&config, "ARRÊTER"), Some(OptChange::Stop), "stop wins");
        assert_eq!(recognise(&config, "StopAll."), Some(OptChange::Stop));
        assert_eq!(recognise(&config, "начать"), Some(OptChange::Start));
        assert_eq!(recognise(&config, "🛑\u{fe0f}"), Some(OptChange::Stop));
        assert_eq!(recognise(&config, "stop"), None, "the defaults are replaced");
        assert_eq!(recognise(&config, " "), None, "an empty keyword matches nothing");
    }
}
