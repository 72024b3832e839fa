//! The latency of webhooks at a fixed rate of arrival, while their effects are applied too, as in production.

use std::sync::Arc;

use anyhow::Result;

use super::Bench;
use super::webhooks::NO_TEMPLATE;
use crate::load::open::{self, Schedule};
use crate::results::Results;
use crate::servers::Server;
use crate::servers::data_plane::Parts;
use crate::statistics::median;
use crate::webhook::{self, DATA_PLANE_PATH};

/// Webhooks per second.
const RATES: [u32; 2] = [500, 5_000];
const SECONDS: u32 = 10;
const ROUNDS: usize = 3;
/// More than are ever in flight, unless the server is overrun. Then requests wait, and the wait counts.
const CONNECTIONS: usize = 256;

/// The results of one rate on one database, one per round.
#[derive(Debug, Default)]
struct Percentiles {
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let mut loads = Vec::new();
    let mut first = 0;
    for rate in RATES {
        let count = (rate * SECONDS) as usize;
        loads.push((rate, Arc::new(webhook::requests(DATA_PLANE_PATH, first, count)?)));
        first += count;
    }
    let mut latencies = bench.on_each::<[Percentiles; RATES.len()]>();
    for _ in 0..ROUNDS {
        for (kind, latencies) in &mut latencies {
            let directory = bench.directory(NO_TEMPLATE)?;
            let database = bench.databases.fresh(*kind, directory.path()).await?;
            let server = bench.data_plane(directory.path(), Parts::WebhooksAndEffects, &database).await?;
            for ((rate, requests), percentiles) in loads.iter().zip(latencies) {
                let outcome = open::run(server.webhooks(), CONNECTIONS, Schedule::new(*rate), requests).await?;
                percentiles.p50_ms.push(outcome.latencies.percentile_ms(50));
                percentiles.p99_ms.push(outcome.latencies.percentile_ms(99));
            }
            bench.end(server)?;
        }
    }
    for (kind, latencies) in &latencies {
        for (rate, percentiles) in RATES.into_iter().zip(latencies) {
            results.figure(format!("webhook.{}.p50_ms_at_{rate}", kind.name()), median(&percentiles.p50_ms), "ms");
            results.figure(format!("webhook.{}.p99_ms_at_{rate}", kind.name()), median(&percentiles.p99_ms), "ms");
        }
    }
    Ok(())
}
