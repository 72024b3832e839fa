//! Validates a spec, and turns it into targets by country. Needs no client.

use std::collections::BTreeMap;
use std::fmt;

use crds::condition::reason;
use crds::{RouteTarget, RoutingPolicySpec};
use messaging::address::Country;
use messaging::finding::Finding;
use messaging::id::SenderName;

use crate::reconcile::error::{Advice, Explain};

/// Where messages go, before it is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Sender(SenderName),
    /// A Messaging Service, by its SID.
    Service(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(name) => name.fmt(f),
            Self::Service(sid) => f.write_str(sid),
        }
    }
}

/// A target, and the field that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) path: String,
    pub(super) target: Target,
}

/// A policy in which every country has at most one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validated {
    pub(super) default: Reference,
    pub(super) countries: BTreeMap<Country, Reference>,
}

impl Validated {
    /// Every reference. One that several countries share is repeated.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        std::iter::once(&self.default).chain(self.countries.values())
    }
}

/// Everything that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Finding::to_string).collect::<Vec<_>>().join("; "))]
pub(super) struct Invalid(pub(super) Vec<Finding>);

impl Explain for Invalid {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        reason::INVALID_SPEC
    }
}

/// # Errors
/// With every finding, by its field's path.
pub(super) fn validate(spec: &RoutingPolicySpec) -> Result<Validated, Invalid> {
    let mut findings = Vec::new();
    let default = reference("spec.default", &spec.default, &mut findings);
    let mut countries = BTreeMap::new();
    let mut routed: BTreeMap<Country, String> = BTreeMap::new();
    for (index, route) in spec.by_country.iter().enumerate() {
        let to = reference(&format!("spec.byCountry[{index}].to"), &route.to, &mut findings);
        for (at, code) in route.countries.iter().enumerate() {
            let path = format!("spec.byCountry[{index}].countries[{at}]");
            let Some(country) = Country::new(code).filter(Country::has_numbers) else {
                let hint = if code == "UK" { "GB for the United Kingdom" } else { "such as GB" };
                let message =
                    format!("{code:?} is not a country code; expected two capital letters from ISO 3166-1, {hint}");
                findings.push(Finding::new(path, message));
                continue;
            };
            if let Some(first) = routed.insert(country, path.clone()) {
                findings.push(Finding::new(path, format!("{country} already has a route, in {first}")));
            } else if let Some(to) = &to {
                countries.insert(country, to.clone());
            }
        }
    }
    match default {
        Some(default) if findings.is_empty() => Ok(Validated { default, countries }),
        _ => Err(Invalid(findings)),
    }
}

fn reference(path: &str, target: &RouteTarget, findings: &mut Vec<Finding>) -> Option<Reference> {
    match (&target.messaging_service_sid, &target.sender_ref) {
        (Some(sid), None) => {
            Some(Reference { path: format!("{path}.messagingServiceSid"), target: Target::Service(sid.clone()) })
        }
        (None, Some(sender)) => {
            let path = format!("{path}.senderRef.name");
            match sender.name.parse() {
                Ok(name) => Some(Reference { path, target: Target::Sender(name) }),
                Err(error) => {
                    findings.push(Finding::new(path, error.to_string()));
                    None
                }
            }
        }
        _ => {
            findings.push(Finding::new(path, "must have exactly one of messagingServiceSid and senderRef"));
            None
        }
    }
}
