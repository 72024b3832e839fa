//! The languages that WhatsApp has templates in.

/// Meta's list, as of its page's update of 2026-05-21.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/supported-languages>
pub const LANGUAGES: &[&str] = &[
    "af", "ar", "ar_AE", "ar_EG", "ar_LB", "ar_MA", "ar_QA", "az", "be_BY", "bg", "bn", "bn_IN", "ca", "cs", "da",
    "de", "de_AT", "de_CH", "el", "en", "en_AE", "en_AU", "en_CA", "en_GB", "en_GH", "en_IE", "en_IN", "en_JM",
    "en_MY", "en_NZ", "en_QA", "en_SG", "en_UG", "en_US", "en_ZA", "es", "es_AR", "es_CL", "es_CO", "es_CR", "es_DO",
    "es_EC", "es_ES", "es_HN", "es_MX", "es_PA", "es_PE", "es_UY", "et", "fa", "fi", "fil", "fr", "fr_BE", "fr_CA",
    "fr_CH", "fr_CI", "fr_MA", "ga", "gu", "ha", "he", "hi", "hr", "hu", "id", "it", "ja", "ka", "kk", "kn", "ko",
    "ky_KG", "lo", "lt", "lv", "mk", "ml", "mr", "ms", "nb", "nl", "nl_BE", "pa", "pl", "prs_AF", "ps_AF", "pt_BR",
    "pt_PT", "ro", "ru", "rw_RW", "si_LK", "sk", "sl", "sq", "sr", "sv", "sw", "ta", "te", "th", "tr", "uk", "ur",
    "uz", "vi", "zh_CN", "zh_HK", "zh_TW", "zu",
];

/// Whether WhatsApp has templates in a language, by its code.
pub fn is_known(language: &str) -> bool {
    LANGUAGES.contains(&language)
}

/// What to try instead of an unknown code: the languages that begin with the same letters, or some examples.
pub fn similar(language: &str) -> String {
    let base: String = language.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let alike: Vec<&str> = LANGUAGES
        .iter()
        .copied()
        .filter(|known| !base.is_empty() && known.split('_').next() == Some(base.as_str()))
        .collect();
    if alike.is_empty() { "one such as en, en_US or de".to_owned() } else { format!("one of {}", alike.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_metas_codes_in_their_own_letter_case() {
        for known in ["en", "en_US", "fil", "pt_BR", "zh_HK", "prs_AF"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", "xx", "en_DE", "EN", "en-US", "en_us", "english", "pt", "zh", "_US", "en_"] {
            assert!(!is_known(unknown), "{unknown}");
        }
        assert!(LANGUAGES.is_sorted());
    }

    #[test]
    fn an_unknown_code_gets_those_of_its_language_as_a_hint() {
        assert_eq!(similar("pt"), "one of pt_BR, pt_PT");
        assert_eq!(similar("ZH-tw"), "one of zh_CN, zh_HK, zh_TW");
        assert_eq!(similar("xx"), "one such as en, en_US or de");
    }
}
