//! Two replicas on one PostgreSQL: their joint throughput beside that of one, and proof that neither sends what the
//! other has sent.

use std::sync::Arc;

use anyhow::Result;

use super::Bench;
use super::send;
use super::webhooks::{self, CONNECTIONS, Load, NO_TEMPLATE, Run};
use crate::load::closed;
use crate::results::Results;
use crate::servers::Server;
use crate::servers::data_plane::{DataPlane, Parts};
use crate::servers::database::Kind;
use crate::servers::provider::Provider;
use crate::webhook::DATA_PLANE_PATH;

const ROUNDS: usize = 3;
const WEBHOOKS: usize = 60_000;
const MESSAGES: usize = 10_000;

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let load = Load::new(DATA_PLANE_PATH, WEBHOOKS)?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(take(bench, 1, &load).await?);
        two.push(take(bench, 2, &load).await?);
    }
    webhooks::record(results, "replicas.one", &one);
    webhooks::record(results, "replicas.two", &two);
    results.figure("replicas.two_to_one", webhooks::ratio(&two, &one, |run| run.per_second), "");
    results.figure("replicas.sent_twice", sent_twice(bench).await?, "");
    Ok(())
}

async fn take(bench: &Bench, replicas: usize, load: &Load) -> Result<Run> {
    let directory = bench.directory(NO_TEMPLATE)?;
    let database = bench.databases.fresh(Kind::Postgres, directory.path()).await?;
    let mut servers = Vec::new();
    for n in 0..replicas {
        let name = format!("replica-{n}");
        servers.push(DataPlane::start(&name, directory.path(), Parts::Webhooks, &database, None).await?);
    }
    database.quiesce().await?;
    let shared: Vec<&dyn Server> = servers.iter().map(|server| server as &dyn Server).collect();
    let run = webhooks::saturate(&shared, load).await?;
    for server in servers {
        bench.end(server)?;
    }
    Ok(run)
}

/// How many messages the provider gets more than once from two replicas that dispatch the same queue.
async fn sent_twice(bench: &Bench) -> Result<f64> {
    let provider_directory = tempfile::tempdir()?;
    let provider = Provider::start(provider_directory.path(), 4 * MESSAGES).await?;
    let directory = bench.directory(&provider.template)?;
    let database = bench.databases.fresh(Kind::Postgres, directory.path()).await?;
    let server = bench.data_plane(directory.path(), Parts::Api, &database).await?;
    closed::run(&[server.api()], CONNECTIONS, &Arc::new(send::requests(0, MESSAGES))).await?;
    bench.end(server)?;
    let accepted = send::dispatch(bench, directory.path(), &database, &provider, 2, MESSAGES).await?;
    Ok(accepted.repeated as f64)
}
