//! Whether a message asks to opt out, or to opt in again.
//!
//! The whole message must be the keyword: "please stop by on Monday" is not an opt-out. Case, spaces and composition do
//! not count, nor do punctuation, quotes and pictures around the word, so "Stop!", " stop all. " and "STOPALL" are what
//! they look like. A word in both lists opts out.
//!
//! What counts as the customer's words: the text, a caption of media, and a tap's title and payload. A template in five
//! languages has five titles and one payload, so either one decides. The label and address of a location are names of a
//! place, so they do not count.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use serde::{Deserialize, Serialize};

use crate::config::OptOutConfig;

/// What the contact asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptChange {
    Stop,
    Start,
}

/// Recognises a keyword of the sender's lists in what a customer wrote or tapped, and returns it as it was written.
pub fn recognise<'w>(config: &OptOutConfig, words: impl IntoIterator<Item = &'w str>) -> Option<(OptChange, &'w str)> {
    let words: Vec<_> =
        words.into_iter().map(|said| (said, normal(said))).filter(|(_, word)| !word.is_empty()).collect();
    let found = |keywords: &[String]| {
        let is_said = |keyword: &String| {
            let keyword = normal(keyword);
            words.iter().find(|(_, word)| *word == keyword)
        };
        keywords.iter().find_map(is_said).map(|(said, _)| *said)
    };
    let stop = found(&config.stop_keywords).map(|said| (OptChange::Stop, said));
    stop.or_else(|| found(&config.start_keywords).map(|said| (OptChange::Start, said)))
}

/// The text without what does not count: Unicode's NFKC_Casefold, with the dotted and the dotless i of Turkish as one
/// letter. A text of symbols alone is kept, so that a symbol can be a keyword.
fn normal(text: &str) -> String {
    let bare: String = text.chars().filter(|&c| !c.is_whitespace() && !is_invisible(c)).collect();
    let word = bare.trim_matches(|c: char| !c.is_alphanumeric());
    folded(if word.is_empty() { &bare } else { word })
}

fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let nfkc = ComposingNormalizer::new_nfkc();
    // What a letter folds to may compose, and what it composes to may fold.
    let compatible: Cow<'_, str> = nfkc.normalize(text);
    let folded = CaseMapper::new().fold_string(&compatible);
    let folded = nfkc.normalize(&folded).replace("i\u{307}", "i").replace('ı', "i");
    folded.chars().filter(|&c| !is_invisible(c)).collect()
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
        said(&OptOutConfig::default(), text)
    }

    fn said(config: &OptOutConfig, text: &str) -> Option<OptChange> {
        recognise(config, [text]).map(|(change, _)| change)
    }

    #[test]
    fn every_default_keyword_is_recognised_however_it_is_written() {
        for word in ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"] {
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
        for text in ["ＳＴＯＰ", "ｓｔｏｐ！", "𝐒𝐓𝐎𝐏", "ⓢⓣⓞⓟ", "ſtop", "opt out", "stop\u{fe0e}"]
        {
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
        assert_eq!(said(&config, "ARRÊTER"), Some(OptChange::Stop), "stop wins");
        assert_eq!(said(&config, "StopAll."), Some(OptChange::Stop));
        assert_eq!(said(&config, "начать"), Some(OptChange::Start));
        assert_eq!(said(&config, "🛑\u{fe0f}"), Some(OptChange::Stop));
        assert_eq!(said(&config, "stop"), None, "the defaults are replaced");
        assert_eq!(said(&config, " "), None, "an empty keyword matches nothing");
    }

    #[test]
    fn one_word_in_several_encodings_is_one_word() {
        let spellings: [(&str, &[&str]); 6] = [
            ("iptal", &["İPTAL", "IPTAL", "ıptal", "i\u{307}ptal", "İptal"]),
            ("İPTAL", &["iptal", "IPTAL"]),
            ("arrêter", &["arre\u{302}ter", "ARRÊTER", "ARRE\u{302}TER", "Arrêter !"]),
            ("ABBESTELLEN", &["abbestellen"]),
            ("schluß", &["SCHLUSS", "Schluß", "SCHLUẞ"]),
            ("στοπ", &["ΣΤΟΠ"]),
        ];
        for (keyword, texts) in spellings {
            let config = OptOutConfig { stop_keywords: vec![keyword.to_owned()], ..OptOutConfig::default() };
            for text in texts {
                assert_eq!(said(&config, text), Some(OptChange::Stop), "{keyword:?}: {text:?}");
            }
        }
    }

    #[test]
    fn any_of_the_words_decides_and_a_stop_wins() {
        let config = OptOutConfig::default();
        let of = |words: &[&'static str]| recognise(&config, words.iter().copied());
        assert_eq!(of(&["Nie wieder", "STOP"]), Some((OptChange::Stop, "STOP")));
        assert_eq!(of(&["START", "stop "]), Some((OptChange::Stop, "stop ")));
        assert_eq!(of(&["Ja", "start"]), Some((OptChange::Start, "start")));
        assert_eq!(of(&["Yes", "yes-1"]), None);
        assert_eq!(of(&[]), None);
    }
}
