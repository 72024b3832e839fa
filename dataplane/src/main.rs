//! The binary: serves, replays the log, or prints the description of the API or of the events.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use dataplane::clock::SystemClock;
use dataplane::replay::{command as replay, progress};
use dataplane::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A request allocates on one thread what the store's writer frees on another, many times a second. The system's
/// allocator takes a lock each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The data plane of whatsapp-operator: webhooks in, messages out, events to tenants.
#[derive(Debug, Parser)]
#[command(name = "whatsapp-dataplane", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then drain.
    Serve {
        /// The format of log lines.
        #[arg(long, env = "WHATSAPP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
        log_format: LogFormat,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Apply webhooks of the log again, so that those that were unreadable when they arrived take effect now.
    ///
    /// A webhook that took effect before has no effect again, as with live ones. So a replay may be repeated,
    /// interrupted, and run beside serving replicas. It only records new events: a serving replica applies them within
    /// seconds, or the next one to start does. Signatures are not verified again, because the log holds only verified
    /// webhooks. The log goes as far back as the senders' retention of bodies.
    Replay {
        #[command(flatten)]
        options: Box<replay::Options>,
    },
    /// Print the OpenAPI description of the tenants' API.
    Openapi,
    /// Print the page of the documentation that describes the events.
    Events,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Openapi => print(&dataplane::api::openapi_document()),
        Command::Events => print(&dataplane::api::events_page()),
        Command::Replay { options } => {
            log(LogFormat::Text, "warn");
            match replay(*options) {
                Ok(summary) => {
                    #[expect(clippy::print_stdout, reason = "the output that was asked for")]
                    {
                        println!("{summary}");
                    }
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("error: {error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Serve { log_format, settings } => {
            log(log_format, "info");
            match serve(*settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "the data plane ends");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the output that was asked for")]
fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

#[tokio::main]
async fn replay(options: replay::Options) -> anyhow::Result<dataplane::replay::Summary> {
    replay::run(options, &SystemClock, progress::on_stderr().as_mut()).await
}

fn log(format: LogFormat, level: &str) {
    // RUST_LOG overrides the level.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let coloured = std::io::stderr().is_terminal();
    match format {
        LogFormat::Text => builder.with_ansi(coloured).init(),
        LogFormat::Json => builder.json().init(),
    }
}

#[tokio::main]
async fn serve(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = dataplane::serve::serve(settings, shutdown.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    serving.await
}
