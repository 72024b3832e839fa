//! Makes an error message fit for tenants: no secret, no query string, and short enough for an Event.

use std::sync::LazyLock;

use messaging::error::with_causes;
use regex::Regex;

/// How long a note of a Kubernetes Event may be, in bytes.
pub const NOTE_BYTES: usize = 1024;

struct Rule {
    pattern: Regex,
    replacement: &'static str,
}

/// Applied in order: a URL's parts first, so that the later rules see only the rest of it.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    [
        // User and password in a URL.
        (r"([a-z][a-z0-9+.-]*://)[^/\s@]+@", "$1"),
        // A URL's query and fragment, which may carry tokens.
        (r#"([a-z][a-z0-9+.-]*://[^\s?"'<>)]*)\?[^\s"'<>)]*"#, "$1"),
        (r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{8,}", "$1 [redacted]"),
        (r"whsec_[A-Za-z0-9+/=_-]+", "[redacted]"),
        // Auth tokens and key secrets of Twilio are 32 letters and digits; its ids have two letters more.
        (r"\b[A-Za-z0-9]{32}\b", "[redacted]"),
    ]
    .map(|(pattern, replacement)| Rule {
        pattern: Regex::new(pattern).unwrap_or_else(|e| unreachable!("{pattern}: {e}")),
        replacement,
    })
    .into()
});

/// The text without secrets and query strings.
pub fn redact(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, rule| rule.pattern.replace_all(&text, rule.replacement).into_owned())
}

/// The error and its causes in one line that a tenant may see, of at most [`NOTE_BYTES`].
pub fn chain(error: &dyn std::error::Error) -> String {
    note(&with_causes(error))
}

/// The text for an Event or a condition: redacted, and of at most [`NOTE_BYTES`].
pub fn note(text: &str) -> String {
    let mut text = redact(text);
    text.truncate(text.floor_char_boundary(NOTE_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the webhooks of {0} cannot be set")]
    struct Outer(&'static str, #[source] std::io::Error);

    #[test]
    fn the_whole_chain_is_shown() {
        let error = Outer("support", std::io::Error::other("connection reset"));
        assert_eq!(chain(&error), "the webhooks of support cannot be set: connection reset");
    }

    #[test]
    fn secrets_and_query_strings_do_not_reach_a_tenant() {
        for (text, shown) in [
            (
                "GET https://api.twilio.com/x.json?Body=hello&To=%2B44 failed",
                "GET https://api.twilio.com/x.json failed",
            ),
            ("http://AC1:secret@proxy.local/v1", "http://proxy.local/v1"),
            ("Authorization: Basic QUMxMjM6c2VjcmV0", "Authorization: Basic [redacted]"),
            ("signed with whsec_dGVzdA==", "signed with [redacted]"),
            ("token 0123456789abcdef0123456789abcdef is wrong", "token [redacted] is wrong"),
            ("account AC0123456789abcdef0123456789abcdef", "account AC0123456789abcdef0123456789abcdef"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    proptest! {
        #[test]
        fn a_note_fits_into_an_event_whatever_the_text(text in "\\PC{0,2000}") {
            prop_assert!(note(&text).len() <= NOTE_BYTES);
        }

        #[test]
        fn a_token_is_never_shown_wherever_it_is(before in "[ a-z:,]{0,40}", token in "[0-9a-f]{32}", after in "[ :,.]{1,10}") {
            let text = format!("{before} {token}{after}");
            prop_assert!(!redact(&text).contains(&token));
        }
    }
}
