//! The tenant config: all that passes from the operator to the data plane.
//!
//! The operator compiles one [`TenantConfig`] per tenant into one Secret in the data plane's namespace, and what does
//! not fit into [`parts`]; the data plane watches those Secrets and keeps a copy of each config as a file. A directory
//! of such files, `<tenant>.json`, is also how the data plane is configured without Kubernetes. The format is
//! versioned: a reader refuses an unknown version and keeps the config that it has.

pub mod packed;
pub mod parts;
mod unreadable;
mod validate;

pub use validate::Part;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::PhoneNumber;
use crate::id::{PolicyName, PoolId, SenderName, SinkName, TemplateName, TenantId};
use crate::routing::{Route, RoutingConfig};
use crate::secret::Secret;
use crate::template::{TemplateCategory, TemplateConfig};

/// How a compiled config is stored and acknowledged in Kubernetes: the names that both sides must agree on.
pub mod kubernetes {
    /// Label of every compiled Secret, with the tenant as its value.
    pub const TENANT_LABEL: &str = "whatsapp-operator.dev/tenant";
    /// The one key of a compiled Secret. Its value is [`super::packed`].
    pub const CONFIG_KEY: &str = "tenant.json";
    /// `type` of a compiled Secret.
    pub const SECRET_TYPE: &str = "whatsapp-operator.dev/tenant-config";
    /// `type` of a Secret that holds one of the [`super::parts`] of a config that is too large for one Secret, under
    /// [`CONFIG_KEY`]. It has [`TENANT_LABEL`], too, and is immutable.
    pub const PART_TYPE: &str = "whatsapp-operator.dev/tenant-config-part";
    /// `whatsapp-tenant-<tenant>`; a namespace is at most 63 characters, so this always fits.
    pub fn secret_name(tenant: &super::TenantId) -> String {
        format!("whatsapp-tenant-{tenant}")
    }
    /// `whatsapp-tenant-<tenant>.<id>`; a namespace's name has no dot, so this is no tenant's Secret.
    pub fn part_name(tenant: &super::TenantId, id: &super::parts::ContentId) -> String {
        format!("{}.{id}", secret_name(tenant))
    }
    /// The part that a Secret of this name holds; `None` where it is no part of this tenant's.
    pub fn part_of(tenant: &super::TenantId, name: &str) -> Option<super::parts::ContentId> {
        name.strip_prefix(&secret_name(tenant))?.strip_prefix('.')?.parse().ok()
    }
    /// Label of the Lease that each data-plane replica renews in the namespace of the compiled Secrets.
    pub const REPLICA_LABEL: &str = "whatsapp-operator.dev/data-plane-replica";
    /// Annotation on that Lease: the newest `resourceVersion` of a compiled Secret that the replica has applied.
    pub const APPLIED_ANNOTATION: &str = "whatsapp-operator.dev/applied-resource-version";
    /// Annotation on that Lease: a JSON object of tenant → why its config was refused; the last good config keeps
    /// running.
    pub const REFUSED_ANNOTATION: &str = "whatsapp-operator.dev/refused-tenants";
    /// Annotation on that Lease: a JSON object of tenant → [`super::parts::PartIndex::id`] of the config in parts that
    /// the replica runs. A replica that does not have it does not read parts.
    pub const PARTS_ANNOTATION: &str = "whatsapp-operator.dev/applied-parts";
    /// `type` of a Secret in a tenant's namespace that holds an API key under [`API_KEY_KEY`].
    pub const API_KEY_SECRET_TYPE: &str = "whatsapp-operator.dev/api-key";
    /// The key of such a Secret's data.
    pub const API_KEY_KEY: &str = "key";
    /// The audience that a ServiceAccount token must be issued for.
    pub const DEFAULT_AUDIENCE: &str = "whatsapp-operator.dev";
}

/// The version of the format that this build writes and reads.
pub const FORMAT: u32 = 1;

/// Everything that the data plane must know about one tenant. It holds credentials: keep it where secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantConfig {
    /// [`FORMAT`].
    pub format: u32,
    pub tenant: TenantId,
    /// The cell that serves this tenant; absent where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// The webhook listener's URL as seen from the internet, without a trailing slash.
    pub public_base_url: Url,
    #[serde(default)]
    pub senders: BTreeMap<SenderName, SenderConfig>,
    #[serde(default)]
    pub templates: BTreeMap<TemplateName, TemplateConfig>,
    #[serde(default)]
    pub policies: BTreeMap<PolicyName, RoutingConfig>,
    /// The policy for messages that name neither a sender nor a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_policy: Option<PolicyName>,
    /// The pools that the tenant's senders are in or its policies route through. Absent when there are none, so that
    /// the config of a tenant without pools stays readable by versions that do not know them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<PoolId, PoolConfig>,
    #[serde(default)]
    pub api_keys: Vec<ApiKeyConfig>,
}

/// A pool as it was observed at the provider. Its senders are those of the tenant's that have one of its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolConfig {
    /// The number of every sender in the pool, also of those that no object declares.
    pub numbers: BTreeSet<PhoneNumber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SenderConfig {
    pub phone_number: PhoneNumber,
    pub provider: ProviderAccount,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub opt_out: OptOutConfig,
    #[serde(default)]
    pub consent: ConsentConfig,
    #[serde(default)]
    pub retention: Retention,
    /// Left out where it is the default, so that a data plane of an earlier version reads the config.
    #[serde(default, skip_serializing_if = "Validity::is_default")]
    pub validity: Validity,
    #[serde(default)]
    pub events: Vec<SinkConfig>,
    /// While true, nothing is dispatched through this sender; webhooks are still accepted.
    #[serde(default)]
    pub paused: bool,
}

/// How to reach the provider as this sender. Adding a provider adds a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ProviderAccount {
    Twilio(TwilioAccount),
}

impl ProviderAccount {
    /// The key of template handles and account-wide limits.
    pub fn account_key(&self) -> &str {
        match self {
            Self::Twilio(account) => &account.account_sid,
        }
    }
    /// The provider's name, as in URLs and metrics.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Twilio(_) => "twilio",
        }
    }
    /// The key that the provider signs webhooks with now.
    pub fn webhook_key(&self) -> Option<&Secret> {
        self.webhook_keys().first()
    }
    /// The keys that webhooks may be signed with, the current one first.
    pub fn webhook_keys(&self) -> &[Secret] {
        match self {
            Self::Twilio(account) => &account.webhook_keys,
        }
    }
    pub fn webhook_keys_mut(&mut self) -> &mut Vec<Secret> {
        match self {
            Self::Twilio(account) => &mut account.webhook_keys,
        }
    }
    /// Who makes the calls: the account itself, or the id of a key.
    pub fn username(&self) -> &str {
        match self {
            Self::Twilio(account) => &account.username,
        }
    }
    /// The same account, with a key that makes the calls.
    pub fn called_with(&self, id: &str, secret: &Secret) -> Self {
        match self {
            Self::Twilio(account) => {
                Self::Twilio(TwilioAccount { username: id.to_owned(), password: secret.clone(), ..account.clone() })
            }
        }
    }
    /// The same account, called with its own token. A key may not do everything that the token may.
    pub fn called_with_token(&self, token: &Secret) -> Self {
        let Self::Twilio(TwilioAccount { account_sid, .. }) = self;
        self.called_with(account_sid, token)
    }
    /// The pool that the sender is declared to be in.
    pub fn pool(&self) -> Option<PoolId> {
        match self {
            Self::Twilio(account) => account.messaging_service_sid.as_deref().map(PoolId::new),
        }
    }
    /// What its calls go to: the account, and the address that replaces the provider's own. Calls to the same fail
    /// together while the provider, or the way to it, is away.
    pub fn destination(&self) -> (&str, Option<&Url>) {
        match self {
            Self::Twilio(account) => (&account.account_sid, account.base_url.as_ref()),
        }
    }
    /// Everything that identifies the caller to the provider: two configs with the same values make the same calls.
    /// Webhook keys and the pool are left out. It holds secrets: hash it, never show it.
    pub fn caller(&self) -> Vec<&str> {
        match self {
            Self::Twilio(TwilioAccount { account_sid, username, password, base_url, .. }) => {
                let base_url = base_url.as_ref().map(Url::as_str).unwrap_or_default();
                vec![self.provider(), account_sid, username, password.expose(), base_url]
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TwilioAccount {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// HTTP Basic user name: the account SID, or an API key's SID (`SK…`).
    pub username: String,
    /// HTTP Basic password: the auth token, or the API key's secret.
    pub password: Secret,
    /// Auth tokens that webhooks may be signed with, the current one first. An API key's secret never signs webhooks.
    pub webhook_keys: Vec<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_service_sid: Option<String>,
    /// Replaces every Twilio host, keeping the path: for a proxy, or the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
}

/// How fast a sender may send.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limits {
    /// Messages per second; 80 is a WhatsApp sender's default at Twilio.
    pub messages_per_second: u32,
    /// Counts instead, for a rate that is no whole number of messages per second: the time between two messages. Left
    /// out otherwise, so that a data plane of an earlier version reads the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_millis: Option<u64>,
    /// Messages that may leave at once after a quiet period.
    pub burst: u32,
    /// Concurrent calls.
    pub max_concurrency: u32,
}
impl Eq for Limits {}

impl Default for Limits {
    fn default() -> Self {
        Self { messages_per_second: 80, interval_millis: None, burst: 60, max_concurrency: 32 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OptOutConfig {
    pub stop_keywords: Vec<String>,
    pub start_keywords: Vec<String>,
    /// The reply, inside the window, to a customer who opts out; absent: no reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reply: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_reply: Option<String>,
}

impl Default for OptOutConfig {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect();
        Self {
            stop_keywords: words(&["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"]),
            start_keywords: words(&["START", "UNSTOP", "SUBSCRIBE"]),
            stop_reply: None,
            start_reply: None,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConsentConfig {
    /// Whether a business-initiated message needs recorded consent.
    pub required: bool,
    /// Consent older than this no longer counts; absent: it never lapses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Retention {
    /// Raw webhooks and message bodies.
    pub bodies_seconds: u64,
    /// Everything else that is kept about a message.
    pub metadata_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { bodies_seconds: 30 * DAY, metadata_seconds: 400 * DAY }
    }
}

impl Retention {
    pub fn bodies(&self) -> Duration {
        Duration::from_secs(self.bodies_seconds)
    }
}

/// How long a message of each category is worth sending where its request does not say so, counted from when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Validity {
    pub authentication_seconds: u64,
    /// Also free-form answers.
    pub utility_seconds: u64,
    pub marketing_seconds: u64,
}

impl Validity {
    /// The shortest and the longest validity that a message may have, in seconds.
    pub const BOUNDS: std::ops::RangeInclusive<u64> = 10..=30 * 86_400;

    /// The validity of a message by its template's category; `None` is free-form content.
    pub fn of(&self, category: Option<TemplateCategory>) -> Duration {
        Duration::from_secs(match category {
            Some(TemplateCategory::Authentication) => self.authentication_seconds,
            Some(TemplateCategory::Utility) | None => self.utility_seconds,
            Some(TemplateCategory::Marketing) => self.marketing_seconds,
        })
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Validity {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { authentication_seconds: 10 * 60, utility_seconds: DAY, marketing_seconds: DAY }
    }
}

/// The name of a sender's only sink that has none.
pub const DEFAULT_SINK: &str = "default";

/// Where a sender's events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SinkConfig {
    Http(HttpSink),
}

impl SinkConfig {
    /// What it is known by; `None` for the only one of its sender that may go without.
    pub fn name(&self) -> Option<&SinkName> {
        match self {
            Self::Http(http) => http.name.as_ref(),
        }
    }
    /// Where it is: what sinks were known by before they had names.
    pub fn address(&self) -> &str {
        match self {
            Self::Http(http) => http.url.as_str(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSink {
    /// The events that wait for a sink are kept under its name, so its URL may change. Left out where it is the
    /// default, so that a data plane of an earlier version reads the config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SinkName>,
    pub url: Url,
    /// Standard Webhooks secrets (`whsec_` and base64), the current one first; each request carries one signature per
    /// secret.
    pub signing_secrets: Vec<Secret>,
}

/// An API key of a tenant's application. Only its digest leaves the tenant's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// The name of its Secret, for logs.
    pub name: String,
    /// SHA-256 of the key, in lower-case hexadecimal.
    pub sha256: String,
}

/// Why bytes are not a tenant config that this build can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("tenant config: {0}")]
    Malformed(String),
    #[error(
        "the tenant config has format {found}, and this build reads {FORMAT}; upgrade the data plane before the operator"
    )]
    UnknownFormat { found: u64 },
    #[error("the tenant config is for {found}, not for {expected}")]
    WrongTenant { expected: TenantId, found: TenantId },
}

impl TenantConfig {
    /// Reads what [`TenantConfig::to_json`] wrote, plain or [`packed`], and checks that it is for the expected tenant.
    pub fn from_json(expected: &TenantId, bytes: &[u8]) -> Result<Self, InvalidConfig> {
        let json = packed::unpacked(bytes).map_err(|e| InvalidConfig::Malformed(e.to_string()))?;
        // The format is read before the rest, so that a newer config does not look like a broken one.
        match format_of(&json)? {
            Some(found) if found != u64::from(FORMAT) => return Err(InvalidConfig::UnknownFormat { found }),
            Some(_) => {}
            None => return Err(InvalidConfig::Malformed("missing field `format`".into())),
        }
        // Straight from the bytes: a tree of values in between would take several times the memory of a large config.
        let config: Self =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(&json)).map_err(|e| {
                let at = e.path().to_string();
                InvalidConfig::Malformed(unreadable::explained(&at, &e.into_inner()))
            })?;
        if &config.tenant != expected {
            return Err(InvalidConfig::WrongTenant { expected: expected.clone(), found: config.tenant });
        }
        Ok(config)
    }

    /// The tenant's senders in a pool, as observed or declared.
    pub fn senders_in(&self, pool: &PoolId) -> impl Iterator<Item = &SenderName> {
        self.senders.iter().filter(move |(_, sender)| self.is_in(sender, pool)).map(|(name, _)| name)
    }

    /// The other senders of the route's pools: of the one that it goes through, and of those that its sender is in.
    /// What suppresses a person at any of them counts for all.
    pub fn others_in_pool(&self, route: &Route) -> Vec<SenderName> {
        let own = self.senders.get(&route.sender);
        let of_sender = self.pools.keys().filter(|pool| own.is_some_and(|own| self.is_in(own, pool)));
        let declared = own.and_then(|own| own.provider.pool());
        let pools: BTreeSet<&PoolId> = of_sender.chain(&declared).chain(&route.via).collect();
        let others: BTreeSet<&SenderName> =
            pools.into_iter().flat_map(|pool| self.senders_in(pool)).filter(|name| **name != route.sender).collect();
        others.into_iter().cloned().collect()
    }

    fn is_in(&self, sender: &SenderConfig, pool: &PoolId) -> bool {
        sender.provider.pool().as_ref() == Some(pool)
            || self.pools.get(pool).is_some_and(|observed| observed.numbers.contains(&sender.phone_number))
    }

    /// Canonical JSON: the same config is always the same bytes, so that an unchanged tenant is never rewritten.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self)
            .unwrap_or_else(|e| unreachable!("a tenant config has no map keys but strings: {e}"))
    }
}

/// The version of a config's format; `None` where it has none.
fn format_of(json: &[u8]) -> Result<Option<u64>, InvalidConfig> {
    #[derive(Deserialize)]
    struct Head {
        format: Option<serde_json::Value>,
    }
    match serde_json::from_slice(json) {
        Ok(Head { format }) => Ok(format.as_ref().and_then(serde_json::Value::as_u64)),
        // It is JSON, and no object. What serde says of it may quote it.
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(InvalidConfig::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
