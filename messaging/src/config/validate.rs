//! Checks what a tenant config can say but not mean: dangling references, and values that no provider accepts.
//!
//! The operator leaves a faulty object out and says so on it. The data plane only counts: a refusal would leave a
//! restarted replica without the whole tenant. What the types already exclude is not checked again, and templates are
//! linted where they are written ([`crate::template::lint`]), not here.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::{
    ApiKeyConfig, HttpSink, ProviderAccount, SenderConfig, SinkConfig, TemplateConfig, TenantConfig, TwilioAccount,
    Validity,
};
use crate::address::Country;
use crate::finding::Finding;
use crate::id::{PolicyName, SenderName, TemplateName};
use crate::routing::Route;

/// A part of a config that can be left out of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Sender(SenderName),
    Template(TemplateName),
    Policy(PolicyName),
    ApiKey(String),
}

impl TenantConfig {
    /// Everything that is wrong, in the order of the document; empty when the config can be run.
    pub fn validate(&self) -> Vec<Finding> {
        self.faults().into_iter().map(|(_, finding)| finding).collect()
    }

    /// As [`Self::validate`], each with the part that it is about; `None` for the config as a whole.
    pub fn faults(&self) -> Vec<(Option<Part>, Finding)> {
        let mut faults = Vec::new();
        let mut findings = Vec::new();
        check_web_url("publicBaseUrl", &self.public_base_url, &mut findings);
        if self.public_base_url.query().is_some() || self.public_base_url.fragment().is_some() {
            findings.push(Finding::new(
                "publicBaseUrl",
                "has a query or a fragment; expected a URL that webhook paths can be appended to",
            ));
        }
        let mut add = |part: Option<Part>, findings: &mut Vec<Finding>| {
            faults.extend(findings.drain(..).map(|finding| (part.clone(), finding)));
        };
        add(None, &mut findings);
        let mut numbers = BTreeMap::new();
        for (name, sender) in &self.senders {
            let path = format!("senders.{name}");
            check_sender(&path, sender, &mut findings);
            let number = (sender.provider.account_key(), &sender.phone_number);
            if let Some(other) = numbers.insert(number, name) {
                let message = format!("is already the number of senders.{other} at the same account");
                findings.push(Finding::new(format!("{path}.phoneNumber"), message));
            }
            add(Some(Part::Sender(name.clone())), &mut findings);
        }
        for (name, template) in &self.templates {
            check_template(&format!("templates.{name}"), template, &mut findings);
            add(Some(Part::Template(name.clone())), &mut findings);
        }
        for (name, policy) in &self.policies {
            self.check_target(&format!("policies.{name}.default"), &policy.default, &mut findings);
            for (country, target) in &policy.by_country {
                let path = format!("policies.{name}.byCountry.{country}");
                if Country::new(country).is_none() {
                    findings.push(Finding::new(&path, "is not a country; expected two upper-case letters, such as GB"));
                }
                self.check_target(&path, target, &mut findings);
            }
            add(Some(Part::Policy(name.clone())), &mut findings);
        }
        for (index, key) in self.api_keys.iter().enumerate() {
            check_api_key(&format!("apiKeys[{index}]"), key, &mut findings);
            add(Some(Part::ApiKey(key.name.clone())), &mut findings);
        }
        faults
    }

    fn check_target(&self, path: &str, target: &Route, findings: &mut Vec<Finding>) {
        if !self.senders.contains_key(&target.sender) {
            let message = match self.senders.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ") {
                known if known.is_empty() => format!("{} has no entry in senders, which is empty", target.sender),
                known => format!("{} has no entry in senders (known: {known})", target.sender),
            };
            findings.push(Finding::new(format!("{path}.sender"), message));
        }
        if let Some(pool) = &target.via {
            check_sid(&format!("{path}.messagingServiceSid"), pool.as_str(), "MG", findings);
        }
    }
}

fn check_sender(path: &str, sender: &SenderConfig, findings: &mut Vec<Finding>) {
    match &sender.provider {
        ProviderAccount::Twilio(account) => check_twilio(&format!("{path}.provider.twilio"), account, findings),
    }
    let limits = &sender.limits;
    for (field, value) in [
        ("messagesPerSecond", limits.messages_per_second),
        ("burst", limits.burst),
        ("maxConcurrency", limits.max_concurrency),
    ] {
        if value == 0 {
            let message = "is 0; expected at least 1, or paused: true to send nothing";
            findings.push(Finding::new(format!("{path}.limits.{field}"), message));
        }
    }
    if limits.interval_millis == Some(0) {
        let message = "is 0; expected at least 1, or none for a whole number of messages per second";
        findings.push(Finding::new(format!("{path}.limits.intervalMillis"), message));
    }
    let Validity { authentication_seconds, utility_seconds, marketing_seconds } = sender.validity;
    for (field, seconds) in [
        ("authenticationSeconds", authentication_seconds),
        ("utilitySeconds", utility_seconds),
        ("marketingSeconds", marketing_seconds),
    ] {
        if !Validity::BOUNDS.contains(&seconds) {
            let (shortest, longest) = (Validity::BOUNDS.start(), Validity::BOUNDS.end());
            let message = format!("is {seconds}; expected {shortest} to {longest}");
            findings.push(Finding::new(format!("{path}.validity.{field}"), message));
        }
    }
    let mut names = BTreeSet::new();
    for (index, sink) in sender.events.iter().enumerate() {
        // Several without names are known by their addresses.
        let name = sink.name().map_or_else(|| sink.address(), |name| name.as_str());
        if !names.insert(name) {
            let message = format!("{name:?} is in an earlier entry; expected each sink once");
            findings.push(Finding::new(format!("{path}.events[{index}]"), message));
        }
        match sink {
            SinkConfig::Http(sink) => check_sink(&format!("{path}.events[{index}].http"), sink, findings),
        }
    }
}

fn check_twilio(path: &str, account: &TwilioAccount, findings: &mut Vec<Finding>) {
    check_sid(&format!("{path}.accountSid"), &account.account_sid, "AC", findings);
    if account.username.is_empty() || account.password.expose().is_empty() {
        findings.push(Finding::new(path, "has no username or no password"));
    }
    if account.webhook_keys.is_empty() || account.webhook_keys.iter().any(|key| key.expose().is_empty()) {
        let message = "has no key, or an empty one; expected the account's auth token, or no webhook can be verified";
        findings.push(Finding::new(format!("{path}.webhookKeys"), message));
    }
    if let Some(sid) = &account.messaging_service_sid {
        check_sid(&format!("{path}.messagingServiceSid"), sid, "MG", findings);
    }
    if let Some(url) = &account.base_url {
        check_web_url(&format!("{path}.baseUrl"), url, findings);
    }
}

fn check_sink(path: &str, sink: &HttpSink, findings: &mut Vec<Finding>) {
    check_web_url(&format!("{path}.url"), &sink.url, findings);
    if sink.signing_secrets.is_empty() {
        findings.push(Finding::new(format!("{path}.signingSecrets"), "is empty; events are never sent unsigned"));
    }
    for (index, secret) in sink.signing_secrets.iter().enumerate() {
        let key = secret.expose().strip_prefix("whsec_").and_then(|key| BASE64_STANDARD.decode(key).ok());
        if !key.is_some_and(|key| (24..=64).contains(&key.len())) {
            let message = "is not a Standard Webhooks secret; expected whsec_ and the base64 of 24 to 64 bytes";
            findings.push(Finding::new(format!("{path}.signingSecrets[{index}]"), message));
        }
    }
}

fn check_template(path: &str, template: &TemplateConfig, findings: &mut Vec<Finding>) {
    if !template.localizations.contains_key(&template.fallback_language) {
        let known = template.localizations.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("{:?} has no entry in localizations (known: {known})", template.fallback_language);
        findings.push(Finding::new(format!("{path}.fallbackLanguage"), message));
    }
}

fn check_api_key(path: &str, key: &ApiKeyConfig, findings: &mut Vec<Finding>) {
    if key.sha256.len() != 64 || !key.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        // The value is not shown: it may be the key itself.
        let message = "is not a SHA-256 digest; expected 64 lower-case hexadecimal digits";
        findings.push(Finding::new(format!("{path}.sha256"), message));
    }
}

fn check_sid(path: &str, sid: &str, prefix: &str, findings: &mut Vec<Finding>) {
    let digits = sid.strip_prefix(prefix).unwrap_or("");
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let message = format!("{sid:?} is not a SID of this kind; expected {prefix} and 32 hexadecimal digits");
        findings.push(Finding::new(path, message));
    }
}

fn check_web_url(path: &str, url: &Url, findings: &mut Vec<Finding>) {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        findings
            .push(Finding::new(path, format!("{:?} is not the scheme of a web URL; expected https://…", url.scheme())));
    }
}
