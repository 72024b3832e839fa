//! Meta's review: first the rules that a test added, then Meta's format rules.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::{
    approvals::{Approval, Verdict},
    contents::Content,
};
use crate::twilio::{content_types, types::ReviewRule};

/// The rules in force, in order.
#[derive(Debug, Default)]
pub(crate) struct Reviews(Vec<(Option<Regex>, ReviewRule)>);

impl Reviews {
    /// Adds rules ahead of those in force, so that a newer one wins. Adds none if one has an invalid regular
    /// expression.
    pub(crate) fn add(&mut self, rules: Vec<ReviewRule>) -> Result<(), regex::Error> {
        let compile = |rule: ReviewRule| Ok((rule.name.as_deref().map(Regex::new).transpose()?, rule));
        let compiled = rules.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        self.0.splice(0..0, compiled);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Decides about a submission: by the first rule that matches, else by the format rules.
pub(crate) fn decide(reviews: &Reviews, content: &Content, approval: &Approval) -> Verdict {
    let fits = |(name, rule): &&(Option<Regex>, ReviewRule)| {
        name.as_ref().is_none_or(|name| name.is_match(&approval.name))
            && rule.category.as_ref().is_none_or(|category| category.eq_ignore_ascii_case(&approval.category))
            && rule.account.as_ref().is_none_or(|account| *account == content.account)
    };
    if let Some((_, rule)) = reviews.0.iter().find(fits) {
        let reason = match (rule.decision.as_str(), rule.reason.as_str()) {
            ("rejected", "") => "TAG_CONTENT_MISMATCH. The text does not fit the category of the template.",
            (_, reason) => reason,
        };
        return Verdict {
            status: rule.decision.to_ascii_lowercase(),
            reason: reason.to_owned(),
            category: rule.change_category.clone().filter(|_| approval.allow_category_change),
            delay: rule.delay_ms.map(Duration::from_millis),
        };
    }
    let fault = format_fault(content);
    let status = if fault.is_some() { "rejected" } else { "approved" }.to_owned();
    let reason = fault
        .map(|fault| {
            let name = format!("{}_{}", approval.name, content.sid.to_ascii_lowercase());
            format!("INVALID_FORMAT. The template {name} cannot be created: {fault}")
        })
        .unwrap_or_default();
    Verdict { status, reason, category: None, delay: None }
}

/// The first of Meta's format rules that a content breaks.
fn format_fault(content: &Content) -> Option<String> {
    let types = Value::Object(content.types.clone());
    for body in content.types.values().filter_map(|content| content["body"].as_str()) {
        let body = body.trim();
        if body.starts_with("{{") || body.ends_with("}}") {
            return Some("the text begins or ends with a variable".to_owned());
        }
        if body.replace(' ', "").contains("}}{{") {
            return Some("two variables are side by side".to_owned());
        }
        let variables = content_types::placeholders(&Value::String(body.to_owned())).len();
        let words = body.split_whitespace().filter(|word| !word.contains("{{")).count();
        if words < 2 * variables + 1 && variables > 0 {
            return Some(format!("{words} words are too few for {variables} variables"));
        }
    }
    let names = content_types::placeholders(&types);
    let mut numbers: Vec<usize> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.len() == names.len() && numbers.iter().enumerate().any(|(place, number)| *number != place + 1) {
        return Some("the variables are not numbered 1, 2, 3 and so on".to_owned());
    }
    let sample = |name: &&String| content.variables.get(*name).is_some_and(|value| value.as_str() != Some(""));
    names.iter().find(|name| !sample(name)).map(|name| format!("the variable {{{{{name}}}}} has no sample value"))
}
