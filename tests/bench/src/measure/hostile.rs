//! Memory, and the answers to signed webhooks, while thousands of hostile clients hold on to their connections.

use std::sync::Arc;

use anyhow::Result;

use super::Bench;
use super::webhooks::NO_TEMPLATE;
use crate::load::hostile;
use crate::results::Results;
use crate::servers::Server;
use crate::servers::data_plane::Parts;
use crate::webhook::{self, DATA_PLANE_PATH};

/// Signed webhooks per second.
const RATE: u32 = 100;
const SECONDS: u32 = 20;

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let requests = Arc::new(webhook::requests(DATA_PLANE_PATH, 0, (RATE * SECONDS) as usize)?);
    for (kind, ()) in bench.on_each() {
        let directory = bench.directory(NO_TEMPLATE)?;
        let database = bench.databases.fresh(kind, directory.path()).await?;
        let server = bench.data_plane(directory.path(), Parts::WebhooksAndEffects, &database).await?;
        let outcome = hostile::run(server.webhooks(), RATE, &requests).await?;
        let name = format!("hostile.{}", kind.name());
        results.figure(format!("{name}.memory_mb"), server.peak_mib()?, "MiB");
        results.figure(format!("{name}.p50_ms"), outcome.latencies.percentile_ms(50), "ms");
        results.figure(format!("{name}.p99_ms"), outcome.latencies.percentile_ms(99), "ms");
        let made_room =
            server.metric("whatsapp_connections_closed_total", &["listener=\"webhooks\"", "made_room"]).await?;
        results.figure(format!("{name}.made_room"), made_room, "");
        server.stop()?;
    }
    Ok(())
}
