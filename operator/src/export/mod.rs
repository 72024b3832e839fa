//! `whatsapp-operator export`: writes the manifests of what an account has, so that applying them changes nothing at
//! the provider.
//!
//! Reads as a list: [`credentials`] from the environment, [`account`] reads the lists, [`templates`], [`senders`] and
//! [`services`] turn them into objects with [`names`] of their own, and [`yaml`] writes them down, with what was left
//! out and why. Only `account` calls the provider, and it only reads.

mod account;
mod credentials;
mod names;
mod senders;
mod services;
mod templates;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt;

use clap::Args;
use confidential::Confidential;
use messaging::id::SenderName;
use providers::HttpSettings;
use serde_json::Value;
use url::Url;

pub use account::Unread;
pub use credentials::NoCredentials;

use crate::settings;

/// What to export. The credentials come from the environment: `TWILIO_AUTH_TOKEN`, or `TWILIO_API_KEY` and
/// `TWILIO_API_SECRET`
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// The account to export, such as AC and 32 hexadecimal digits at Twilio
    #[arg(
        long,
        env = "TWILIO_ACCOUNT_SID",
        value_name = "SID",
        value_parser = Confidential::new("TWILIO_ACCOUNT_SID", credentials::account_sid)
    )]
    pub account: String,

    /// The namespace to write into the manifests. Without it they have none, and are applied to the current one
    #[arg(long, value_name = "NAMESPACE", value_parser = settings::namespace)]
    pub namespace: Option<String>,

    /// The Secret that will hold the account's credentials in that namespace
    #[arg(long, value_name = "NAME", default_value = "twilio")]
    pub secret: String,

    /// The WhatsAppSender that templates are submitted through. Without it: the account's first
    #[arg(long, value_name = "NAME", value_parser = sender_name)]
    pub sender: Option<String>,

    /// The URL to call instead of Twilio's hosts, with the same paths: for an egress proxy, or the sandbox
    #[arg(
        long,
        env = "WHATSAPP_TWILIO_BASE_URL",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_TWILIO_BASE_URL", settings::base_url)
    )]
    pub twilio_base_url: Option<Url>,
}

fn sender_name(text: &str) -> Result<String, String> {
    SenderName::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportFailed {
    #[error(transparent)]
    Credentials(#[from] NoCredentials),
    #[error("the HTTP client for the provider can't be created")]
    Client(#[from] providers::InvalidHttpSettings),
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(transparent)]
    NoSender(#[from] NoSender),
    #[error("the manifests can't be written as YAML")]
    Yaml(#[from] serde_yaml::Error),
}

/// A template is submitted through a sender, and there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "the account has {templates} templates and no WhatsApp sender that they could name: name the WhatsAppSender that they are submitted through with --sender"
)]
pub struct NoSender {
    templates: usize,
}

/// What is written, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub yaml: String,
    pub left_out: Vec<LeftOut>,
}

/// Something that the manifests do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

impl LeftOut {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Exports an account. `environment` looks a variable up.
pub async fn export(
    options: &Export,
    environment: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Exported, ExportFailed> {
    let access = credentials::of(options, environment)?;
    let http = providers::http_client(HttpSettings::default())?;
    let contents = account::read(&*providers::admin(&access, &http)).await?;
    let Manifests { objects, left_out } = manifests(options, &contents)?;
    Ok(Exported { yaml: yaml::write(options, &objects, &left_out)?, left_out })
}

/// The objects in the order in which they are written, and what none of them says.
#[derive(Debug, Default)]
struct Manifests {
    objects: Vec<Value>,
    left_out: Vec<LeftOut>,
}

impl Manifests {
    fn add(&mut self, more: Self) {
        let Self { objects, left_out } = more;
        self.objects.extend(objects);
        self.left_out.extend(left_out);
    }
}

fn manifests(options: &Export, contents: &account::Contents) -> Result<Manifests, NoSender> {
    let account::Contents { templates, senders, services } = contents;
    let (senders, first) = senders::senders(options, senders, services);
    let first = options.sender.clone().or(first);
    let mut all = senders;
    all.add(services::services(options, services));
    match first {
        Some(sender) => all.add(templates::templates(options, templates, &sender)),
        None if templates.is_empty() => {}
        None => return Err(NoSender { templates: templates.len() }),
    }
    Ok(all)
}

/// An object of one of our kinds.
fn object(options: &Export, kind: &str, name: &str, spec: Value) -> Value {
    let mut metadata = serde_json::json!({ "name": name });
    if let Some(namespace) = &options.namespace {
        metadata["namespace"] = namespace.clone().into();
    }
    let mut object =
        serde_json::json!({ "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind, "metadata": metadata });
    object["spec"] = spec;
    object
}
