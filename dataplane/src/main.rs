//! The binary: reads its settings and serves, replays the log, or prints the API's description.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use dataplane::clock::SystemClock;
use dataplane::replay::{command as replay, progress};
use dataplane::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What a request allocates on one thread, the store's writer frees on another, many times a second; the system's
/// allocator takes a lock for each.
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
        /// How log lines look.
        #[arg(long, env = "WHATSAPP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
        log_format: LogFormat,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Read webhooks of the log again, so that what could not be understood when it came takes effect now.
    ///
    /// Each webhook goes the way of live ones, so what took effect before has no effect again, and a replay may be
    /// repeated, cut off, and run beside serving replicas. It only records: a serving replica lets what is new take
    /// effect within seconds, and where none serves, the next one that starts does. Signatures are not verified again:
    /// only what was verified is in the log. How far back the log goes is the senders' retention of bodies.
    Replay {
        #[command(flatten)]
        options: Box<replay::Options>,
    },
    /// Print the tenants' API in OpenAPI.
    Openapi,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Openapi => {
            #[expect(clippy::print_stdout, reason = "it is what was asked for")]
            {
                print!("{}", dataplane::api::openapi_document());
            }
            ExitCode::SUCCESS
        }
        Command::Replay { options } => {
            log(LogFormat::Text, "warn");
            match replay(*options) {
                Ok(summary) => {
                    #[expect(clippy::print_stdout, reason = "it is what was asked for")]
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

#[tokio::main]
async fn replay(options: replay::Options) -> anyhow::Result<dataplane::replay::Summary> {
    replay::run(options, &SystemClock, progress::on_stderr().as_mut()).await
}

fn log(format: LogFormat, level: &str) {
    // RUST_LOG says more or less.
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
