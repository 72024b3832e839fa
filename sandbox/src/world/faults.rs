//! Injected faults: rules, and how often each has been applied.

use rand::{RngExt, rngs::StdRng};
use regex::Regex;

use crate::types::{
    FaultReport, FaultRules, Hits, RequestEffect, RequestFault, WebhookEffect, WebhookFault, WebhookKind,
};

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    requests: Vec<Rule<RequestFault>>,
    webhooks: Vec<Rule<WebhookFault>>,
}

#[derive(Debug)]
struct Rule<Fault> {
    hits: Hits<Fault>,
    /// The rule's regular expressions, in the order of its fields.
    patterns: Vec<Option<Regex>>,
}

impl<Fault> Rule<Fault> {
    fn new(rule: Fault, patterns: &[Option<&str>]) -> Result<Self, regex::Error> {
        let patterns = patterns.iter().map(|pattern| pattern.map(Regex::new).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { hits: Hits { rule, matched: 0, hits: 0 }, patterns })
    }

    fn pattern_fits(&self, place: usize, text: impl AsRef<str>) -> bool {
        self.patterns[place].as_ref().is_none_or(|pattern| pattern.is_match(text.as_ref()))
    }

    /// Counts a matching occasion, and returns whether it is hit.
    fn hit(&mut self, skip: u64, count: Option<u64>, probability: Option<f64>, rng: &mut StdRng) -> bool {
        if count.is_some_and(|count| self.hits.hits >= count) {
            return false;
        }
        if probability.is_some_and(|probability| !rng.random_bool(probability.clamp(0.0, 1.0))) {
            return false;
        }
        self.hits.matched += 1;
        if self.hits.matched <= skip {
            return false;
        }
        self.hits.hits += 1;
        true
    }
}

/// The faults that apply to one request.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) names: Vec<String>,
    pub(crate) latency_ms: u64,
    pub(crate) effect: Option<RequestEffect>,
}

impl Faults {
    /// Adds rules after those in force, or none if one has an invalid regular expression.
    pub(crate) fn add(&mut self, rules: FaultRules) -> Result<(), regex::Error> {
        let requests = rules.requests.into_iter().map(|rule| {
            let (path, body) = (rule.path.clone(), rule.body.clone());
            Rule::new(rule, &[path.as_deref(), body.as_deref()])
        });
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let webhooks = rules.webhooks.into_iter().map(|rule| {
            let to = rule.to.clone();
            Rule::new(rule, &[to.as_deref()])
        });
        self.webhooks.extend(webhooks.collect::<Result<Vec<_>, _>>()?);
        self.requests.extend(requests);
        Ok(())
    }

    pub(crate) fn report(&self) -> FaultReport {
        FaultReport {
            requests: self.requests.iter().map(|rule| rule.hits.clone()).collect(),
            webhooks: self.webhooks.iter().map(|rule| rule.hits.clone()).collect(),
        }
    }

    pub(crate) fn meet_request(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        account: Option<&str>,
        rng: &mut StdRng,
    ) -> Met {
        let mut met = Met::default();
        for rule in &mut self.requests {
            let RequestFault { skip, count, probability, .. } = rule.hits.rule;
            let fault = &rule.hits.rule;
            let is_latency = matches!(fault.effect, RequestEffect::Latency { .. });
            if (!is_latency && met.effect.is_some())
                || fault.method.as_deref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(method))
                || fault.account.as_deref().is_some_and(|wanted| Some(wanted) != account)
                || !rule.pattern_fits(0, path)
                || (rule.patterns[1].is_some() && !rule.pattern_fits(1, String::from_utf8_lossy(body)))
                || !rule.hit(skip, count, probability, rng)
            {
                continue;
            }
            let fault = &rule.hits.rule;
            met.names.push(name(&fault.name, &fault.effect));
            match fault.effect {
                RequestEffect::Latency { ms } => met.latency_ms = met.latency_ms.saturating_add(ms),
                _ => met.effect = Some(fault.effect.clone()),
            }
        }
        met
    }

    pub(crate) fn meet_webhook(
        &mut self,
        kind: WebhookKind,
        status: &str,
        to: &str,
        account: &str,
        rng: &mut StdRng,
    ) -> Option<(String, WebhookEffect)> {
        for rule in &mut self.webhooks {
            let WebhookFault { skip, count, probability, .. } = rule.hits.rule;
            let fault = &rule.hits.rule;
            if fault.kind.is_none_or(|wanted| wanted == kind)
                && fault.status.as_deref().is_none_or(|wanted| wanted == status)
                && fault.account.as_deref().is_none_or(|wanted| wanted == account)
                && rule.pattern_fits(0, to)
                && rule.hit(skip, count, probability, rng)
            {
                let fault = &rule.hits.rule;
                return Some((name(&fault.name, &fault.effect), fault.effect.clone()));
            }
        }
        None
    }
}

/// The rule's name, else its effect's.
fn name(name: &str, effect: &impl serde::Serialize) -> String {
    if !name.is_empty() {
        return name.to_owned();
    }
    let effect = serde_json::to_value(effect).unwrap_or_default();
    effect["kind"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn hits(rule: RequestFault, calls: usize) -> Vec<bool> {
        let mut faults = Faults::default();
        faults.add(FaultRules { requests: vec![rule], webhooks: vec![] }).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        (0..calls).map(|_| faults.meet_request("POST", "/x", b"", None, &mut rng).effect.is_some()).collect()
    }

    #[test]
    fn a_rule_skips_then_counts() {
        let rule = RequestFault { skip: 1, count: Some(2), ..RequestFault::new(RequestEffect::Refuse) };
        assert_eq!(hits(rule, 5), [false, true, true, false, false]);
    }

    #[test]
    fn a_rule_for_another_method_or_path_does_nothing() {
        let base = RequestFault::new(RequestEffect::Refuse);
        assert_eq!(hits(RequestFault { method: Some("GET".to_owned()), ..base.clone() }, 1), [false]);
        assert_eq!(hits(RequestFault { path: Some("^/y".to_owned()), ..base.clone() }, 1), [false]);
        assert_eq!(hits(RequestFault { path: Some("^/x$".to_owned()), ..base }, 1), [true]);
    }
}
