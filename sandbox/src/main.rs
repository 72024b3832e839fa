//! `whatsapp-sandbox`: the sandbox as a program.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use sandbox::{
    Config, Delays, Sandbox,
    seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, Seed},
};
use tracing_subscriber::EnvFilter;

/// A simulator of Twilio, for the demo, tests and first steps.
#[derive(Debug, Parser)]
#[command(name = "whatsapp-sandbox", version)]
struct Flags {
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// The scheme and host of absolute links; by default, those that the caller used.
    #[arg(long, env = "SANDBOX_PUBLIC_BASE")]
    public_base: Option<String>,
    /// A YAML or JSON file with what exists at the start.
    #[arg(long, env = "SANDBOX_SEED", conflicts_with_all = ["account_sid", "auth_token", "senders"])]
    seed: Option<PathBuf>,
    /// The SID of the one account, without a seed.
    #[arg(long, env = "SANDBOX_ACCOUNT_SID")]
    account_sid: Option<String>,
    #[arg(long, env = "SANDBOX_AUTH_TOKEN", hide_env_values = true)]
    auth_token: Option<String>,
    /// The account's senders, without a seed. All are in one messaging service.
    #[arg(long = "sender", env = "SANDBOX_SENDER", value_delimiter = ',')]
    senders: Vec<String>,
    /// The time between one status of a message and the next.
    #[arg(long, env = "SANDBOX_STATUS_DELAY", default_value = "50ms", value_parser = duration)]
    status_delay: Duration,
    /// The time from the submission of a content to its decision.
    #[arg(long, env = "SANDBOX_REVIEW_DELAY", default_value = "2s", value_parser = duration)]
    review_delay: Duration,
    /// The time until a changed sender is online again.
    #[arg(long, env = "SANDBOX_SENDER_DELAY", default_value = "500ms", value_parser = duration)]
    sender_delay: Duration,
    /// How many requests, webhooks and messages are kept, each.
    #[arg(long, env = "SANDBOX_KEEP", default_value_t = 50_000)]
    keep: usize,
    /// Concurrent webhooks to one receiver.
    #[arg(long, env = "SANDBOX_DELIVERIES_PER_RECEIVER", default_value_t = 64)]
    deliveries_per_receiver: usize,
    /// Makes ids and probabilities repeatable.
    #[arg(long, env = "SANDBOX_RANDOM_SEED")]
    random_seed: Option<u64>,
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration: jiff::SignedDuration = text.parse().context("expected a duration such as 50ms or 2s")?;
    Duration::try_from(duration).context("expected a duration that is not negative")
}

impl Flags {
    fn config(self) -> anyhow::Result<Config> {
        let seed = match &self.seed {
            Some(path) => Seed::read(path)?,
            None => {
                let account_sid = self.account_sid.as_deref().unwrap_or(EXAMPLE_ACCOUNT_SID);
                let auth_token = self.auth_token.as_deref().unwrap_or(EXAMPLE_AUTH_TOKEN);
                let example = [EXAMPLE_SENDER.to_owned()];
                let senders = if self.senders.is_empty() { &example[..] } else { &self.senders };
                Seed::one_account(account_sid, auth_token, senders)
            }
        };
        Ok(Config {
            listen: self.listen,
            public_base: self.public_base.map(|base| base.trim_end_matches('/').to_owned()),
            delays: Delays { status: self.status_delay, review: self.review_delay, sender: self.sender_delay },
            keep: self.keep,
            deliveries_per_receiver: self.deliveries_per_receiver,
            random_seed: self.random_seed,
            seed,
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut sandbox = Sandbox::start(Flags::parse().config()?).await?;
    tracing::info!("the sandbox is listening on {}", sandbox.base_url());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        error = sandbox.failed() => return Err(error),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    sandbox.shutdown().await;
    Ok(())
}
