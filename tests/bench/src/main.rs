//! Measures what the data plane costs, over real sockets and in one run with the servers that it is compared with.
//!
//! The load generator shares the machine's cores with what it measures, and the machine is never quiet. Servers that
//! are compared therefore take turns, several times, and their medians are compared. Ratios carry over to other
//! machines; absolute figures do not. Prints a table with a target beside each figure, and writes
//! `target/bench/results.json`.
//!
//! Reading order: [`measure`] (a file per measurement), then what measurements are made of: [`servers`] and [`load`].

mod cost;
mod load;
mod machine;
mod measure;
mod results;
mod servers;
mod statistics;
mod tenant;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

use crate::measure::scale::Size;
use crate::measure::{Bench, Measurement};
use crate::results::Results;
use crate::servers::database::Kind;

/// The data plane's allocator, so that the server it is compared with has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The measurements to run; all of them by default.
    #[arg(value_enum, env = "BENCH_ONLY", value_delimiter = ',')]
    only: Vec<Measurement>,
    /// The databases to measure.
    #[arg(long, value_enum, env = "BENCH_DATABASES", value_delimiter = ',', default_values_t = [Kind::Postgres, Kind::Sqlite])]
    databases: Vec<Kind>,
    /// How many templates the operator has, with a sender for every 20 of them.
    #[arg(long, env = "BENCH_TEMPLATES", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(50..=20_000))]
    templates: u32,
    /// How many tenants have them; by default one for every 50 templates.
    #[arg(long, env = "BENCH_TENANTS", value_parser = clap::value_parser!(u32).range(1..=400))]
    tenants: Option<u32>,
}

/// Runs in a separate process, so that its processor time and memory can be measured.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve webhooks as the data plane does, and store nothing.
    #[command(hide = true)]
    ServeVerify {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        config: PathBuf,
    },
    /// Fill a queue, claim from it, and print the cost as JSON.
    #[command(hide = true)]
    Claim(measure::queue::ClaimSettings),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Some(Command::ServeVerify { listen, config }) => servers::verify::serve(listen, &config),
        Some(Command::Claim(settings)) => measure::queue::claim(&settings),
        None => run(
            &cli.only,
            cli.databases,
            Size::new(cli.templates as usize, cli.tenants.map(|tenants| tenants as usize)),
        ),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(only: &[Measurement], databases: Vec<Kind>, size: Size) -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing: run `make bench`");
    tests::install_crypto();
    let mut results = Results::default();
    machine::describe(&mut results);
    let bench = Bench::start(databases, size)?;
    let mut failed = Vec::new();
    for measurement in Measurement::ALL.into_iter().filter(|m| only.is_empty() || only.contains(m)) {
        eprintln!("{}…", measurement.title());
        // A measurement that fails, for want of Node.js for example, does not stop the others.
        if let Err(error) = measurement.run(&bench, &mut results).await {
            eprintln!("  not measured: {error:#}");
            failed.push(measurement.title());
        }
    }
    results.note_memory(bench.peak_mib());
    results.print();
    let path = tests::process::root().join("target/bench/results.json");
    std::fs::create_dir_all(path.parent().context("the results have no folder")?)?;
    std::fs::write(&path, results.to_json()?)?;
    eprintln!("written to target/bench/results.json");
    if failed.is_empty() { Ok(()) } else { bail!("not measured: {}", failed.join("; ")) }
}
