//! What the data plane costs, over real sockets, beside what it is compared with, in one run.
//!
//! The load generator shares the machine's cores with what it measures, and the machine is never quiet: so whatever is
//! compared is measured in turns, several times, and the medians are compared. Ratios carry; absolute figures are those
//! of one machine on one day. Prints a table, each row beside its target, and writes `target/bench/results.json`.
//!
//! Reading order: [`measure`] (one file for each thing that is measured), then what they stand on: [`servers`], [`load`].

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

use crate::measure::{Bench, Measurement};
use crate::results::Results;
use crate::servers::database::Kind;

/// As in the data plane, so that what it is compared with here has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Measure only these; without any, everything.
    #[arg(value_enum, env = "BENCH_ONLY", value_delimiter = ',')]
    only: Vec<Measurement>,
    /// On these databases.
    #[arg(long, value_enum, env = "BENCH_DATABASES", value_delimiter = ',', default_values_t = [Kind::Postgres, Kind::Sqlite])]
    databases: Vec<Kind>,
}

/// What runs as a process of its own, so that its processor time and memory are its own.
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
    /// Fill a queue and claim from it; prints what that took as JSON.
    #[command(hide = true)]
    Claim(measure::queue::ClaimSettings),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Some(Command::ServeVerify { listen, config }) => servers::verify::serve(listen, &config),
        Some(Command::Claim(settings)) => measure::queue::claim(&settings),
        None => run(&cli.only, cli.databases),
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
async fn run(only: &[Measurement], databases: Vec<Kind>) -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing: run `make bench`");
    tests::install_crypto();
    let mut results = Results::default();
    machine::describe(&mut results);
    let bench = Bench::start(databases)?;
    let mut failed = Vec::new();
    for measurement in Measurement::ALL.into_iter().filter(|m| only.is_empty() || only.contains(m)) {
        eprintln!("{}…", measurement.title());
        // One that cannot be made, because something is missing here, does not take the others with it.
        if let Err(error) = measurement.run(&bench, &mut results).await {
            eprintln!("  not measured: {error:#}");
            failed.push(measurement.title());
        }
    }
    results.note_memory(bench.peak_mib());
    results.print();
    let path = tests::process::root().join("target/bench/results.json");
    std::fs::create_dir_all(path.parent().context("a parent")?)?;
    std::fs::write(&path, results.to_json()?)?;
    eprintln!("written to target/bench/results.json");
    if failed.is_empty() { Ok(()) } else { bail!("not measured: {}", failed.join("; ")) }
}
