//! Finds what WhatsApp would refuse in a template, before it is submitted.
//!
//! A review takes minutes to days, so whatever can be known beforehand is reported at once, with its place in the
//! manifest. The rules are the ones that Twilio and Meta publish. What only a reviewer can judge is left out, and so is
//! what the resource's schema already excludes.

use std::collections::{BTreeMap, BTreeSet};

use super::LocalizedContent;
use super::findings::{Findings, listed};
use super::languages::{is_known, similar};
use super::placeholder::{Piece, keys, pieces, used_keys};
use super::{buttons, values};
use crate::finding::Finding;

/// A template as a person wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub variables: Vec<Variable>,
    /// Language and text, in the order of the manifest.
    pub localizations: Vec<(String, LocalizedContent)>,
    pub fallback_language: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub key: String,
    /// A sample value for the reviewers.
    pub example: String,
}

/// Characters of a body. Twilio error 63021 counts them with the values in place, so this is only the first check.
pub const MAX_BODY: usize = 1024;
/// Characters of a header and of a footer.
pub const MAX_HEADER: usize = 60;
pub const MAX_FOOTER: usize = 60;
/// Variables of a template (Twilio error 92002).
pub const MAX_VARIABLES: usize = 100;

/// Everything that is wrong with a template, in the order of the manifest; empty when it may be submitted.
pub fn lint(draft: &Draft) -> Vec<Finding> {
    let mut findings = Findings::default();
    lint_variables(draft, &mut findings);
    lint_languages(draft, &mut findings);
    for (index, (_, content)) in draft.localizations.iter().enumerate() {
        lint_content(draft, &format!("spec.localizations[{index}]"), content, &mut findings);
    }
    findings.into_vec()
}

fn lint_variables(draft: &Draft, findings: &mut Findings) {
    if draft.variables.len() > MAX_VARIABLES {
        let count = draft.variables.len();
        findings.add("spec.variables", format!("has {count} entries; expected at most {MAX_VARIABLES}"));
    }
    let used: BTreeSet<_> = draft.localizations.iter().flat_map(|(_, content)| used_keys(content)).collect();
    let mut seen = BTreeMap::new();
    for (index, variable) in draft.variables.iter().enumerate() {
        let path = format!("spec.variables[{index}]");
        let key = &variable.key;
        if number(key).is_none() {
            findings.add(format!("{path}.key"), format!("{key:?} is not a number; expected \"1\", \"2\", and so on"));
        }
        if let Some(first) = seen.insert(key, index) {
            findings.add(format!("{path}.key"), format!("{key:?} is already declared in spec.variables[{first}]"));
        } else if !used.contains(key.as_str()) {
            findings.add(path.clone(), format!("no localization uses {{{{{key}}}}}; remove it, or use it"));
        }
        if let Err(expected) = values::check_value(&variable.example) {
            let message = format!("{:?} is not a value that WhatsApp accepts; expected {expected}", variable.example);
            findings.add(format!("{path}.example"), message);
        }
    }
}

fn lint_languages(draft: &Draft, findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    if draft.localizations.is_empty() {
        findings.add("spec.localizations", "is empty; expected at least one language");
    }
    for (index, (language, _)) in draft.localizations.iter().enumerate() {
        let path = format!("spec.localizations[{index}].language");
        if !is_known(language) {
            let message = format!("{language:?} is not a language of WhatsApp's; expected {}", similar(language));
            findings.add(&path, message);
        }
        if let Some(first) = seen.insert(language.as_str(), index) {
            findings.add(&path, format!("{language:?} is already the language of spec.localizations[{first}]"));
        }
    }
    if !draft.localizations.is_empty() && !seen.contains_key(draft.fallback_language.as_str()) {
        let (fallback, known) = (&draft.fallback_language, listed(seen.into_keys()));
        findings
            .add("spec.fallbackLanguage", format!("{fallback:?} has no entry in spec.localizations (known: {known})"));
    }
}

fn lint_content(draft: &Draft, path: &str, content: &LocalizedContent, findings: &mut Findings) {
    let known: BTreeSet<_> = draft.variables.iter().map(|variable| variable.key.as_str()).collect();
    if let Some(header) = &content.header {
        let path = format!("{path}.header");
        findings.check_length(&path, header, MAX_HEADER);
        findings.check_placeholders(&path, header, &known);
        findings.check_is_plain(&path, header);
        if header.contains('*') {
            findings.add(&path, "has an asterisk; WhatsApp allows no formatting in a header");
        }
        if keys(header).count() > 1 {
            findings.add(path, "has more than one placeholder; WhatsApp allows at most one in a header");
        }
    }
    // The schema requires one, except where WhatsApp writes the text itself.
    if !content.body.is_empty() {
        let body = format!("{path}.body");
        findings.check_length(&body, &content.body, MAX_BODY);
        findings.check_placeholders(&body, &content.body, &known);
        lint_placement(&body, &content.body, findings);
    }
    if let Some(footer) = &content.footer {
        let path = format!("{path}.footer");
        findings.check_length(&path, footer, MAX_FOOTER);
        findings.check_has_no_placeholder(&path, footer);
        findings.check_is_plain(&path, footer);
    }
    buttons::lint(path, &content.buttons, &known, findings);
    lint_sequence(path, content, findings);
}

/// Checks where a body has placeholders, and how many.
fn lint_placement(path: &str, body: &str, findings: &mut Findings) {
    let pieces = pieces(body.trim());
    let key = |piece: Option<&Piece<'_>>| match piece {
        Some(Piece::Placeholder(key)) => Some((*key).to_owned()),
        _ => None,
    };
    if let Some(first) = key(pieces.first()) {
        findings.add(path, format!("begins with {{{{{first}}}}}; put words before it"));
    }
    if let Some(last) = key(pieces.last()).filter(|_| pieces.len() > 1) {
        findings.add(path, format!("ends with {{{{{last}}}}}; put words after it"));
    }
    let visible: Vec<_> =
        pieces.iter().filter(|piece| !matches!(piece, Piece::Text(text) if text.trim().is_empty())).collect();
    for pair in visible.windows(2) {
        if let [Piece::Placeholder(one), Piece::Placeholder(two)] = pair {
            findings.add(path, format!("{{{{{one}}}}} and {{{{{two}}}}} are side by side; put words between them"));
        }
    }
    let variables: BTreeSet<_> = keys(body).collect();
    let count = |text: &str| text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
    let words: usize = pieces.iter().map(|piece| if let Piece::Text(text) = piece { count(text) } else { 0 }).sum();
    let least = 2 * variables.len() + 1;
    if !variables.is_empty() && words < least && is_written_with_spaces(body) {
        let message = format!(
            "has {words} words for {} variables; WhatsApp wants at least {least} (twice the variables and one)",
            variables.len()
        );
        findings.add(path, message);
    }
}

/// Whether words can be counted. Chinese, Japanese, Thai and similar scripts have no spaces, so only a reviewer can
/// judge.
fn is_written_with_spaces(text: &str) -> bool {
    !text.chars().any(|c| {
        matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
    })
}

/// At WhatsApp each language is a separate template, so each must use 1, 2, … without a gap.
fn lint_sequence(path: &str, content: &LocalizedContent, findings: &mut Findings) {
    let used: BTreeSet<u32> = used_keys(content).into_iter().filter_map(number).collect();
    if let Some(gap) = (1..).zip(&used).find_map(|(expected, found)| (expected != *found).then_some(expected)) {
        let used = listed(used.iter().map(|n| format!("{{{{{n}}}}}")));
        findings
            .add(path, format!("uses {used}, but not {{{{{gap}}}}}; number the placeholders 1, 2, … without a gap"));
    }
}

/// A key that WhatsApp accepts: a positive number without leading zeros.
fn number(key: &str) -> Option<u32> {
    key.parse().ok().filter(|n: &u32| *n > 0 && n.to_string() == key)
}

#[cfg(test)]
mod tests;
