//! Makes text from a provider or a library fit to show.

use messaging::secret::Secret;

/// Longer explanations are cut: they end up in conditions, events and logs.
const LONGEST: usize = 600;
/// Anything shorter is not a credential, and removing it everywhere would only garble the text.
const SHORTEST_SECRET: usize = 8;

/// Removes credentials, and the query strings and user information of URLs, from text.
#[derive(Debug, Clone)]
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| secret.expose().len() >= SHORTEST_SECRET).collect() }
    }

    /// The same redactor with one more secret.
    pub(crate) fn and(&self, secret: &Secret) -> Self {
        Self::new(self.secrets.iter().chain([secret]).cloned())
    }

    /// The same redactor with one more secret, however short.
    pub(crate) fn and_code(&self, code: &Secret) -> Self {
        Self {
            secrets: self.secrets.iter().chain([code]).filter(|secret| !secret.expose().is_empty()).cloned().collect(),
        }
    }

    /// One line, at most 600 characters.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[redacted]");
            }
        }
        let mut line = String::with_capacity(text.len());
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            if !line.is_empty() {
                line.push(' ');
            }
            push_without_query(&mut line, word);
        }
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
            line.push('…');
        }
        line
    }
}

/// Appends a word. A URL or path is appended without its query and without `user:password@`.
fn push_without_query(line: &mut String, word: &str) {
    let (address, rest) = match word.split_once('?') {
        // Punctuation that closes a quotation or a sentence is not part of the query.
        Some((address, query)) if address.contains('/') => {
            (address, &query[query.trim_end_matches(['"', '\'', ')', ']', '>', '.', ',', ';', ':']).len()..])
        }
        _ => (word, ""),
    };
    match address.split_once("://") {
        Some((scheme, hierarchy)) => {
            let authority_end = hierarchy.find('/').unwrap_or(hierarchy.len());
            let host_start = hierarchy[..authority_end].rfind('@').map_or(0, |at| at + 1);
            line.push_str(scheme);
            line.push_str("://");
            line.push_str(&hierarchy[host_start..]);
        }
        None => line.push_str(address),
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_queries_and_user_information_are_removed() {
        let redactor = Redactor::new([Secret::new("0123456789abcdef"), Secret::new("key")]);
        assert_eq!(
            redactor.clean(
                "GET \"https://AC1:0123456789abcdef@api.twilio.com/x.json?To=%2B44&t=1\" said:\n key 0123456789abcdef?"
            ),
            "GET \"https://api.twilio.com/x.json\" said: key [redacted]?"
        );
        assert_eq!(
            redactor.clean("resource /2010-04-01/x.json?PageSize=1 was not found"),
            "resource /2010-04-01/x.json was not found"
        );
        assert_eq!(redactor.clean("what now? nothing"), "what now? nothing");
        assert_eq!(redactor.clean(&"x".repeat(5000)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_secret(before in ".{0,40}", after in ".{0,40}") {
            let secret = "s3cr3t-T0k3n";
            let cleaned = Redactor::new([Secret::new(secret)]).clean(&format!("{before}{secret}{after}"));
            prop_assert!(!cleaned.contains(secret));
        }
    }
}
