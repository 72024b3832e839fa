//! Validates a sender and its Secrets, and compiles them for the tenant's config. Later steps take only the result.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crds::duration;
use crds::{HttpSink, MessageRate, WhatsAppSender};
use kube::ResourceExt;
use messaging::address::PhoneNumber;
use messaging::config::{
    ConsentConfig, DEFAULT_SINK, HttpSink as HttpSinkConfig, Limits, OptOutConfig, Retention, SenderConfig, SinkConfig,
    Validity,
};
use messaging::id::{PoolId, SenderName, SinkName, TenantId};

use super::SenderSettings;
use super::dereference::Found;
use super::invalid::Invalid;
use super::provider::{Next, Offered, Registration, Sandbox, SpecProvider};
use crate::reconcile::kind::Id;

/// What a sender should be.
#[derive(Debug, Clone)]
pub struct Desired {
    pub tenant: TenantId,
    pub name: SenderName,
    pub number: PhoneNumber,
    /// The pool of senders that the spec names.
    pub pool: Option<PoolId>,
    /// Whether the operator keeps the sender in that pool.
    pub manages_membership: bool,
    /// How the operator registers the number where the account does not have it.
    pub registration: Option<Box<Registration>>,
    /// Present where the number is the provider's sandbox.
    pub sandbox: Option<Sandbox>,
    /// The name of the Secret with the credentials.
    pub secret: String,
    /// A credential in it that is to replace the one in use.
    pub next: Option<Next>,
    pub config: SenderConfig,
}

/// The API server has already checked the spec. This refuses what its rules let through and the data plane can't use.
pub fn validate(
    sender: &WhatsAppSender,
    id: &Id<SenderName>,
    found: &Found,
    settings: &SenderSettings,
) -> Result<Desired, Invalid> {
    let spec = &sender.spec;
    let invalid = |path: &str, what: String| Invalid::Spec { path: path.to_owned(), what };
    let Id { tenant, name } = id.clone();
    let number = spec.phone_number.parse::<PhoneNumber>().map_err(|e| invalid("spec.phoneNumber", e.to_string()))?;
    let provider = SpecProvider::of(sender);
    let provider = provider.ok_or_else(|| invalid("spec.provider", "must name the provider: twilio".into()))?;
    let events = spec.events.iter().enumerate().filter_map(|(i, sink)| Some((i, &sink.name, sink.http.as_ref()?)));
    let seconds = |path: &str, text: &str| match duration::parse(text) {
        Ok(duration) => Ok(duration.as_secs()),
        Err(error) => Err(invalid(path, error.to_string())),
    };
    let max_age = spec.consent.max_age.as_deref();
    let sinks: Vec<SinkConfig> = events.map(|(i, name, http)| sink(i, name, http, found)).collect::<Result<_, _>>()?;
    if let Some(i) = repeated(&sinks) {
        return Err(invalid(
            &format!("spec.events[{i}].http.url"),
            "is already in an earlier entry; name each URL once".into(),
        ));
    }
    if let Some(rotation) = &spec.credential_rotation {
        let path = "spec.credentialRotation";
        let every = seconds(&format!("{path}.every"), &rotation.every)?;
        if every < 2 * seconds(&format!("{path}.minOverlap"), &rotation.min_overlap)? {
            return Err(invalid(
                &format!("{path}.every"),
                format!("is {}: expected at least twice minOverlap, which is {}", rotation.every, rotation.min_overlap),
            ));
        }
    }
    let sandbox = provider.sandbox();
    let Offered { account, next } = provider.compile(&found.credentials, &settings.provider_base_urls)?;
    let config = SenderConfig {
        phone_number: number.clone(),
        provider: account,
        limits: limits(&spec.limits, sandbox.as_ref())?,
        opt_out: OptOutConfig {
            stop_keywords: spec.opt_out.stop_keywords.clone(),
            start_keywords: spec.opt_out.start_keywords.clone(),
            stop_reply: spec.opt_out.stop_reply.clone(),
            start_reply: spec.opt_out.start_reply.clone(),
        },
        consent: ConsentConfig {
            required: spec.consent.required,
            max_age_seconds: max_age.map(|age| seconds("spec.consent.maxAge", age)).transpose()?,
        },
        retention: Retention {
            bodies_seconds: seconds("spec.retention.bodies", &spec.retention.bodies)?,
            metadata_seconds: seconds("spec.retention.metadata", &spec.retention.metadata)?,
        },
        validity: Validity {
            authentication_seconds: seconds("spec.validity.authentication", &spec.validity.authentication)?,
            utility_seconds: seconds("spec.validity.utility", &spec.validity.utility)?,
            marketing_seconds: seconds("spec.validity.marketing", &spec.validity.marketing)?,
        },
        events: sinks,
        paused: sender.annotations().get(crds::annotation::PAUSED).is_some_and(|paused| paused == "true"),
    };
    Ok(Desired {
        tenant,
        name,
        number,
        pool: provider.pool(),
        manages_membership: provider.manages_membership(),
        registration: provider.registration().map(Box::new),
        sandbox,
        secret: provider.credentials_secret().to_owned(),
        next,
        config,
    })
}

/// How much longer one call may take than the next, which a provider that is strict about the time between two would
/// refuse.
const ON_THE_WAY: Duration = Duration::from_millis(250);

fn limits(limits: &crds::Limits, sandbox: Option<&Sandbox>) -> Result<Limits, Invalid> {
    let defaults = Limits::default();
    let invalid = |what: String| Invalid::Spec { path: "spec.limits.messagesPerSecond".to_owned(), what };
    let declared = limits.messages_per_second.as_ref();
    let interval = declared.map(|rate| rate.interval().map_err(|error| invalid(error.to_string()))).transpose()?;
    if let Some(sandbox) = sandbox
        && interval.is_some_and(|interval| interval < sandbox.interval)
    {
        let seconds = sandbox.interval.as_secs();
        return Err(invalid(format!(
            "is more than the one message in {seconds} seconds that Twilio's Sandbox takes; leave it out, or set it to \"0.33\""
        )));
    }
    let interval = match sandbox {
        // What leaves on time may arrive too early.
        Some(sandbox) => Some(interval.unwrap_or(sandbox.interval) + ON_THE_WAY),
        None => interval,
    };
    let whole = declared.map_or_else(|| sandbox.is_none().then_some(defaults.messages_per_second), MessageRate::whole);
    let is_slow = interval.is_some_and(|interval| interval > Duration::from_secs(1));
    // The schema keeps both above zero.
    let positive = |value: i32| u32::try_from(value).unwrap_or(1).max(1);
    let burst = limits.burst.map_or(if is_slow { 1 } else { defaults.burst }, positive);
    Ok(Limits {
        messages_per_second: whole.unwrap_or(1),
        interval_millis: interval
            .filter(|_| whole.is_none())
            .map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
        // Its rate is strict.
        burst: if sandbox.is_some() { 1 } else { burst },
        max_concurrency: positive(limits.max_concurrency),
    })
}

fn sink(i: usize, name: &str, http: &HttpSink, found: &Found) -> Result<SinkConfig, Invalid> {
    let name = SinkName::new(name)
        .map_err(|e| Invalid::Spec { path: format!("spec.events[{i}].name"), what: e.to_string() })?;
    let path = format!("spec.events[{i}].http");
    let url = http.url.parse().map_err(|e| Invalid::Spec {
        path: format!("{path}.url"),
        what: format!("{:?} is not a URL ({e}): expected one such as https://shop.example.com/events", http.url),
    })?;
    let secret = &http.signing_secret_ref;
    let wrong =
        |what: String| Invalid::Signing { path: format!("{path}.signingSecretRef"), secret: secret.name.clone(), what };
    let value = found.signing.get(&secret.name).and_then(|contents| contents.get(&secret.key));
    let value = value.ok_or_else(|| wrong(format!("has no key {:?}", secret.key)))?;
    if !is_signing_secret(value.expose()) {
        return Err(wrong(format!(
            "has no signing secret under {:?}: expected whsec_ and 24 to 64 bytes in base64, such as `whsec_$(openssl rand -base64 32)`",
            secret.key
        )));
    }
    let name = Some(name).filter(|name| name.as_str() != DEFAULT_SINK);
    Ok(SinkConfig::Http(HttpSinkConfig { name, url, signing_secrets: vec![value.clone()] }))
}

/// The first entry whose URL is also in an earlier one, in any spelling: an event goes to each URL once.
fn repeated(sinks: &[SinkConfig]) -> Option<usize> {
    let mut urls = BTreeSet::new();
    sinks.iter().position(|SinkConfig::Http(http)| !urls.insert(&http.url))
}

/// Follows Standard Webhooks. The data plane refuses a tenant's whole config for any other secret.
fn is_signing_secret(value: &str) -> bool {
    value
        .strip_prefix("whsec_")
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .is_some_and(|key| (24..=64).contains(&key.len()))
}

#[cfg(test)]
pub(crate) mod tests;
