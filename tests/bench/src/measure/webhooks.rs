//! The throughput of webhooks: distinct, signed, each committed before its response. Every round starts each server
//! anew, in turn. A ratio compares servers within one round, and the median of the rounds' ratios is reported.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use crate::cost::own_cpu;
use crate::load::{Requests, closed};
use crate::results::Results;
use crate::servers::data_plane::Parts;
use crate::servers::database::{Databases, Kind};
use crate::servers::express::Express;
use crate::servers::verify::VerifyOnly;
use crate::servers::{Server, cpu};
use crate::statistics::median;
use crate::webhook::{self, DATA_PLANE_PATH, EXPRESS_PATH};

/// Concurrent connections, the same for every server, enough that neither core waits for the disk. With 256, a sixth
/// of the machine was still idle while webhooks were committed.
pub(super) const CONNECTIONS: usize = 384;
const ROUNDS: usize = 5;
/// Requests before the clock starts: they open pools, compile code and grow files.
const WARM_UP: usize = 5_000;
/// About two seconds' work for each server.
const TO_VERIFY: usize = 150_000;
const TO_COMMIT: usize = 60_000;
const TO_EXPRESS: usize = 20_000;
/// Rounds in which the webhooks' effects are applied too.
const ROUNDS_WITH_EFFECTS: usize = 2;
const TO_APPLY: usize = 20_000;

/// Any handle will do, because nothing is sent.
pub(super) const NO_TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

/// One server's figures in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) cpu_us: f64,
    /// Processor time of the load generator itself.
    pub(super) generator_us: f64,
}

/// Webhooks for the warm-up, and webhooks to measure.
pub(super) struct Load {
    warm_up: Arc<Requests>,
    timed: Arc<Requests>,
}

impl Load {
    pub(super) fn new(path: &str, count: usize) -> Result<Self> {
        let warm_up = Arc::new(webhook::requests(path, 0, WARM_UP)?);
        Ok(Self { warm_up, timed: Arc::new(webhook::requests(path, WARM_UP, count)?) })
    }
}

/// Puts all servers under load at once, with the requests spread over them.
pub(super) async fn saturate(servers: &[&dyn Server], load: &Load) -> Result<Run> {
    let addresses: Vec<_> = servers.iter().map(|server| server.webhooks()).collect();
    closed::run(&addresses, CONNECTIONS, &load.warm_up).await?;
    let (before, own) = (cpu(servers)?, own_cpu()?);
    let outcome = closed::run(&addresses, CONNECTIONS, &load.timed).await?;
    let (cpu, own) = (cpu_since(servers, before)?, own_cpu()?.saturating_sub(own));
    Ok(Run {
        per_second: outcome.per_second(),
        p50_ms: outcome.latencies.percentile_ms(50),
        p99_ms: outcome.latencies.percentile_ms(99),
        cpu_us: micros_each(cpu, load.timed.len()),
        generator_us: micros_each(own, load.timed.len()),
    })
}

fn cpu_since(servers: &[&dyn Server], before: Duration) -> Result<Duration> {
    Ok(cpu(servers)?.saturating_sub(before))
}

fn micros_each(cpu: Duration, requests: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / requests as f64
}

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    Databases::describe(results);
    let to_verify = Load::new(DATA_PLANE_PATH, TO_VERIFY)?;
    let to_commit = Load::new(DATA_PLANE_PATH, TO_COMMIT)?;
    let to_express = Load::new(EXPRESS_PATH, TO_EXPRESS)?;
    let (mut verify, mut express) = (Vec::new(), Vec::new());
    let mut committed = bench.on_each::<Vec<Run>>();
    for _ in 0..ROUNDS {
        verify.push(verify_only(bench, &to_verify).await?);
        for (kind, runs) in &mut committed {
            runs.push(commit(bench, *kind, &to_commit).await?);
        }
        express.push(against_express(bench, &to_express).await?);
    }
    record(results, "webhook.verify", &verify);
    for (kind, runs) in &committed {
        let name = format!("webhook.{}", kind.name());
        record(results, &name, runs);
        results.figure(format!("{name}.ratio_to_verify"), ratio(runs, &verify, |run| run.per_second), "");
    }
    record(results, "webhook.express", &express);
    for (kind, runs) in &committed {
        let name = format!("webhook.{}", kind.name());
        results.figure(format!("{name}.ratio_to_express"), ratio(runs, &express, |run| run.per_second), "");
        results.figure(format!("{name}.cpu_to_express"), ratio(runs, &express, |run| run.cpu_us), "");
    }
    let generator: Vec<f64> = verify.iter().map(|run| run.generator_us).collect();
    results.figure("generator.cpu_us", median(&generator), "µs");
    with_effects(bench, results).await
}

async fn verify_only(bench: &Bench, load: &Load) -> Result<Run> {
    let directory = bench.directory(NO_TEMPLATE)?;
    let server = VerifyOnly::start(directory.path()).await?;
    saturate(&[&server], load).await
}

async fn commit(bench: &Bench, kind: Kind, load: &Load) -> Result<Run> {
    let directory = bench.directory(NO_TEMPLATE)?;
    let database = bench.databases.fresh(kind, directory.path()).await?;
    let server = bench.data_plane(directory.path(), Parts::Webhooks, &database).await?;
    database.quiesce().await?;
    let run = saturate(&[&server], load).await?;
    bench.end(server)?;
    Ok(run)
}

async fn against_express(bench: &Bench, load: &Load) -> Result<Run> {
    let directory = bench.directory(NO_TEMPLATE)?;
    let server = Express::start(directory.path()).await?;
    saturate(&[&server], load).await
}

/// The same with the webhooks' effects: the cost of a webhook until its effects are committed.
async fn with_effects(bench: &Bench, results: &mut Results) -> Result<()> {
    let load = Load::new(DATA_PLANE_PATH, TO_APPLY)?;
    let mut costs = bench.on_each::<Vec<f64>>();
    for _ in 0..ROUNDS_WITH_EFFECTS {
        for (kind, costs) in &mut costs {
            let directory = bench.directory(NO_TEMPLATE)?;
            let database = bench.databases.fresh(*kind, directory.path()).await?;
            let server = bench.data_plane(directory.path(), Parts::WebhooksAndEffects, &database).await?;
            closed::run(&[server.webhooks()], CONNECTIONS, &load.warm_up).await?;
            server.wait_until_idle().await?;
            let before = cpu(&[&server])?;
            closed::run(&[server.webhooks()], CONNECTIONS, &load.timed).await?;
            server.wait_until_idle().await?;
            costs.push(micros_each(cpu_since(&[&server], before)?, load.timed.len()));
            bench.end(server)?;
        }
    }
    for (kind, costs) in &costs {
        results.figure(format!("webhook.{}.applied_cpu_us", kind.name()), median(costs), "µs");
    }
    Ok(())
}

pub(super) fn record(results: &mut Results, name: &str, runs: &[Run]) {
    let of = |figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
    results.figure(format!("{name}.requests_per_s"), of(|run| run.per_second), "1/s");
    results.figure(format!("{name}.p50_ms"), of(|run| run.p50_ms), "ms");
    results.figure(format!("{name}.p99_ms"), of(|run| run.p99_ms), "ms");
    results.figure(format!("{name}.cpu_us"), of(|run| run.cpu_us), "µs");
}

/// The median of the rounds' ratios. A disturbance in a round affects both servers, and cancels out.
pub(super) fn ratio(these: &[Run], to: &[Run], figure: fn(&Run) -> f64) -> f64 {
    median(&these.iter().zip(to).map(|(this, other)| figure(this) / figure(other)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(per_second: f64) -> Run {
        Run { per_second, p50_ms: 1.0, p99_ms: 1.0, cpu_us: 1.0, generator_us: 1.0 }
    }

    #[test]
    fn a_ratio_is_of_one_round_and_not_of_two() {
        // The machine was half as fast in the second round, for both.
        let (these, others) = ([run(50.0), run(25.0), run(52.0)], [run(100.0), run(50.0), run(100.0)]);
        assert!((ratio(&these, &others, |run| run.per_second) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn processor_time_is_shared_evenly_among_requests() {
        assert!((micros_each(Duration::from_secs(2), 100_000) - 20.0).abs() < 1e-9);
    }
}
