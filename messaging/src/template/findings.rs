//! Collects findings about a template, and holds the checks that apply to each of its texts.

use std::collections::BTreeSet;

use super::emoji;
use super::placeholder::{Piece, pieces};
use crate::finding::Finding;
use crate::text::is_blank;

#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }

    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding::new(path, message));
    }

    /// Text of 1 to `limit` characters.
    pub(super) fn check_length(&mut self, path: &str, text: &str, limit: usize) {
        let length = text.chars().count();
        if is_blank(text) {
            self.add(path, format!("is empty; expected 1 to {limit} characters"));
        } else if length > limit {
            self.add(path, format!("has {length} characters; expected at most {limit}"));
        }
    }

    /// Text on one line without emoji, as headers, footers and buttons must be. (Twilio docs, error 63040; of buttons,
    /// Meta's guidelines for templates.)
    pub(super) fn check_is_plain(&mut self, path: &str, text: &str) {
        if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            self.add(path, "has a line break; WhatsApp allows none here");
        }
        if let Some(emoji) = emoji::first(text) {
            self.add(path, format!("has the emoji {emoji}; WhatsApp allows none here"));
        }
    }

    pub(super) fn check_has_no_placeholder(&mut self, path: &str, text: &str) {
        if text.contains("{{") || text.contains("}}") {
            self.add(path, "has a placeholder; WhatsApp allows none here");
        }
    }

    pub(super) fn check_placeholders(&mut self, path: &str, text: &str, known: &BTreeSet<&str>) {
        for piece in pieces(text) {
            match piece {
                Piece::Malformed(braces) => self.add(
                    path,
                    format!("{:?} is not a placeholder; expected {{{{1}}}}, with no space inside", shortened(braces)),
                ),
                Piece::Placeholder(key) if !known.contains(key) => self.add(
                    path,
                    format!("{{{{{key}}}}} has no entry in spec.variables (known: {})", listed(known.iter().copied())),
                ),
                Piece::Text(_) | Piece::Placeholder(_) => {}
            }
        }
    }
}

pub(super) fn listed<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<_> = items.map(|item| item.as_ref().to_owned()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 24;
    let start: String = text.chars().take(LONGEST).collect();
    if start.len() < text.len() { start + "…" } else { start }
}
