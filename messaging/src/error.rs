//! Writes an error and its causes in one line.

use std::error::Error;

/// The error and its causes, outermost first, separated by colons. A cause that the text already ends with is left out:
/// some errors include their cause in their own message.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Layer {
        words: &'static str,
        #[source]
        cause: Option<Box<Layer>>,
    }

    fn chain(words: &[&'static str]) -> Layer {
        let (words, inner) = words.split_first().expect("at least one");
        Layer { words, cause: (!inner.is_empty()).then(|| Box::new(chain(inner))) }
    }

    #[test]
    fn every_cause_is_in_the_line_once() {
        assert_eq!(with_causes(&chain(&["the lease is lost"])), "the lease is lost");
        assert_eq!(with_causes(&chain(&["send", "connect", "refused"])), "send: connect: refused");
        assert_eq!(with_causes(&chain(&["send: connect", "connect", "refused"])), "send: connect: refused");
    }
}
