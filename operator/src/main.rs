//! The binary `whatsapp-operator`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use operator::export::{Export, Exported};
use operator::release::Release;
use operator::uninstall::RemoveConfigs;
use operator::{LogFormat, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Declares WhatsApp senders, templates and routing in Kubernetes
#[derive(Debug, Parser)]
#[command(name = "whatsapp-operator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the operator until SIGTERM or SIGINT
    Run(Box<Settings>),
    /// After an uninstallation, removes the compiled tenant configs that nothing still needs
    RemoveConfigs(RemoveConfigs),
    /// Writes the manifests of what an account at Twilio has to stdout, and what they leave out to stderr. Applied,
    /// they change nothing there. The credentials come from TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET
    Export(Export),
    /// When the operator is gone for good: lets objects go that are being deleted and still wait for it, and writes to
    /// stdout what they leave at the provider. Without --execute it changes nothing. Exits with 4 if an operator lives
    /// or may live, with 5 if a right is missing
    Release(Release),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    log(match &command {
        Command::Run(settings) => settings.log_format,
        Command::RemoveConfigs(_) | Command::Export(_) | Command::Release(_) => LogFormat::Text,
    });
    let failed = match &command {
        Command::Run(_) | Command::RemoveConfigs(_) => "the operator has ended",
        Command::Export(_) => "nothing was exported",
        Command::Release(_) => "not everything was released",
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the async runtime can't be started");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match command {
            Command::Run(settings) => run_until_signal(*settings).await,
            Command::RemoveConfigs(options) => Ok(operator::remove_configs(options).await?),
            Command::Export(options) => export(&options).await,
            Command::Release(options) => Ok(operator::release(&options).await?),
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref::<operator::Ended>().map_or(1, operator::Ended::exit_code);
            tracing::error!(error = format!("{error:#}"), code, "{failed}");
            ExitCode::from(code)
        }
    }
}

/// Runs the operator; SIGTERM and SIGINT make it drain.
async fn run_until_signal(settings: Settings) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let mut running = std::pin::pin!(operator::run(settings, shutdown.clone()));
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    Ok(running.await?)
}

async fn export(options: &Export) -> anyhow::Result<()> {
    let Exported { yaml, left_out } = operator::export::export(options, &|name| std::env::var(name).ok()).await?;
    std::io::stdout().write_all(yaml.as_bytes()).context("the manifests can't be written to stdout")?;
    for one in left_out {
        writeln!(std::io::stderr(), "left out: {one}")?;
    }
    Ok(())
}

/// `RUST_LOG` selects what is logged; the default is what the person who runs the operator needs.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
