//! The sandbox in the provider's place, in a process of its own. Messages never move beyond accepted, so that only the
//! hand-over is measured.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sandbox::Client;
use sandbox::twilio::types::MessageFilter;
use serde_json::{Value, json};
use tests::process::{Process, binary};

use super::listens;
use crate::tenant::{ACCOUNT, AUTH_TOKEN, SENDERS, TEMPLATE, number};

pub(crate) struct Provider {
    // Dropping it ends the process.
    _process: Process,
    base_url: String,
    /// The provider's handle of the tenant's template.
    pub(crate) template: String,
}

/// What the provider accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AcceptedMessages {
    pub(crate) count: usize,
    /// Messages to a recipient who already had one. Each recipient is sent exactly one.
    pub(crate) repeated: usize,
    /// The time from the first message to the last.
    pub(crate) seconds: f64,
}

impl Provider {
    /// A provider that remembers `keep` messages.
    pub(crate) async fn start(directory: &Path, keep: usize) -> Result<Self> {
        let address = ports::free_address()?;
        let numbers: Vec<String> = (0..SENDERS.len()).map(number).collect();
        let mut command = Command::new(binary("whatsapp-sandbox")?);
        command
            .args(["--listen", &address.to_string(), "--keep", &keep.to_string(), "--status-delay", "2h"])
            .args(["--account-sid", ACCOUNT, "--auth-token", AUTH_TOKEN, "--sender", &numbers.join(",")])
            .env("RUST_LOG", "warn");
        let mut process = Process::start("sandbox", directory, &mut command)?;
        listens(&mut process, address).await?;
        let base_url = format!("http://{address}");
        let template = create_template(&base_url).await?;
        Ok(Self { _process: process, base_url, template })
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(crate) async fn accepted(&self) -> Result<AcceptedMessages> {
        let all = Client::new(&self.base_url).messages(&MessageFilter::default()).await?;
        let sent: Vec<_> = all.into_iter().filter(|message| message.direction.starts_with("outbound")).collect();
        let recipients: BTreeSet<&str> = sent.iter().map(|message| message.to.as_str()).collect();
        let times = || sent.iter().filter_map(|message| message.history.first()).map(|change| change.at);
        let seconds = match (times().min(), times().max()) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        Ok(AcceptedMessages { count: sent.len(), repeated: sent.len() - recipients.len(), seconds })
    }
}

async fn create_template(base_url: &str) -> Result<String> {
    let body = json!({
        "friendly_name": TEMPLATE,
        "language": "en_US",
        "variables": {"1": "Ava"},
        "types": {"twilio/text": {"body": "Hello {{1}}, your order has left our warehouse and is on its way to you."}},
    });
    let request = reqwest::Client::new().post(format!("{base_url}/v1/Content")).basic_auth(ACCOUNT, Some(AUTH_TOKEN));
    let answer = request.json(&body).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "the sandbox refused a new content with {status}: {text}");
    let content: Value = serde_json::from_str(&text)?;
    content["sid"].as_str().map(str::to_owned).context("a content has a sid")
}
