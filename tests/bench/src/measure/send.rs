//! Sends: accepted over the tenants' API, each under its own key and committed before the response, then handed to the
//! provider under limits too high to matter.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::Bench;
use super::webhooks::CONNECTIONS;
use crate::load::{Requests, closed};
use crate::results::Results;
use crate::servers::cpu;
use crate::servers::data_plane::{DataPlane, Parts};
use crate::servers::database::{Database, Kind};
use crate::servers::provider::{AcceptedMessages, Provider};
use crate::statistics::median;
use crate::tenant::{SENDERS, TEMPLATE, TENANTS, api_key};

const ROUNDS: usize = 2;
/// Messages accepted before the clock starts, and handed over with the others.
const WARM_UP: usize = 2_000;
const MESSAGES: usize = 20_000;
/// Dispatch that takes longer is broken, or too slow to wait for.
const LONGEST_DISPATCH: Duration = Duration::from_secs(120);

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let mut runs = bench.on_each::<Vec<Run>>();
    for _ in 0..ROUNDS {
        for (kind, runs) in &mut runs {
            runs.push(run(bench, *kind).await?);
        }
    }
    for (kind, runs) in &runs {
        // PostgreSQL is what the promise is about.
        let name = if *kind == Kind::Postgres { "send".to_owned() } else { format!("send.{}", kind.name()) };
        let of = |figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
        results.figure(format!("{name}.accept_per_s"), of(|run| run.accept_per_second), "1/s");
        results.figure(format!("{name}.accept_cpu_us"), of(|run| run.accept_cpu_us), "µs");
        results.figure(format!("{name}.accept_p99_ms"), of(|run| run.accept_p99_ms), "ms");
        results.figure(format!("{name}.dispatch_per_s"), of(|run| run.dispatch_per_second), "1/s");
    }
    Ok(())
}

struct Run {
    accept_per_second: f64,
    accept_cpu_us: f64,
    accept_p99_ms: f64,
    dispatch_per_second: f64,
}

async fn run(bench: &Bench, kind: Kind) -> Result<Run> {
    let provider_directory = tempfile::tempdir()?;
    let provider = Provider::start(provider_directory.path(), 4 * (WARM_UP + MESSAGES)).await?;
    let directory = bench.directory(&provider.template)?;
    let database = bench.databases.fresh(kind, directory.path()).await?;

    let server = bench.data_plane(directory.path(), Parts::Api, &database).await?;
    database.quiesce().await?;
    closed::run(&[server.api()], CONNECTIONS, &Arc::new(requests(0, WARM_UP))).await?;
    let timed = Arc::new(requests(WARM_UP, MESSAGES));
    let before = cpu(&[&server])?;
    let outcome = closed::run(&[server.api()], CONNECTIONS, &timed).await?;
    let spent = cpu(&[&server])?.saturating_sub(before);
    bench.end(server)?;

    let handed_over = dispatch(bench, directory.path(), &database, &provider, 1, WARM_UP + MESSAGES).await?;
    ensure!(handed_over.repeated == 0, "{} messages were sent twice", handed_over.repeated);
    Ok(Run {
        accept_per_second: outcome.per_second(),
        accept_cpu_us: spent.as_secs_f64() * 1e6 / MESSAGES as f64,
        accept_p99_ms: outcome.latencies.percentile_ms(99),
        dispatch_per_second: handed_over.count as f64 / handed_over.seconds,
    })
}

/// Hands over the whole queue, and returns what the provider received.
pub(super) async fn dispatch(
    bench: &Bench,
    directory: &Path,
    database: &Arc<Database>,
    provider: &Provider,
    replicas: usize,
    messages: usize,
) -> Result<AcceptedMessages> {
    let mut servers = Vec::new();
    for n in 0..replicas {
        let name = format!("dispatch-{n}");
        let server = DataPlane::start(&name, directory, Parts::Dispatch, database, Some(provider.base_url())).await?;
        servers.push(server);
    }
    handed_over(&servers, messages).await?;
    for server in servers {
        bench.end(server)?;
    }
    let accepted = provider.accepted().await?;
    ensure!(accepted.count >= messages, "the provider has {} of {messages} messages", accepted.count);
    Ok(accepted)
}

/// Waits until `count` messages are handed over. It asks the data planes, because the provider would answer with a
/// list of all its messages.
async fn handed_over(servers: &[DataPlane], messages: usize) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(250));
    let deadline = Instant::now() + LONGEST_DISPATCH;
    loop {
        looks.tick().await;
        let mut accepted = 0.0;
        for server in servers {
            accepted += server.metric("whatsapp_attempts_total", &[r#"outcome="accepted""#]).await?;
        }
        if accepted >= messages as f64 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{accepted} of {messages} messages are handed over after {LONGEST_DISPATCH:?}"
        );
    }
}

/// Messages to distinct recipients, from every tenant and through every sender in turn.
pub(super) fn requests(first: usize, count: usize) -> Requests {
    let mut requests = Requests::default();
    for n in first..first + count {
        let body = json!({
            "to": format!("+44770{n:07}"),
            "from": SENDERS[n / TENANTS.len() % SENDERS.len()],
            "template": {"name": TEMPLATE, "language": "en_US", "values": {"1": "Ava"}},
            "metadata": {"order": n.to_string()},
        })
        .to_string();
        let key = api_key(TENANTS[n % TENANTS.len()]);
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: whatsapp.example.com\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\nidempotency-key: order-{n}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        requests.push(&[head.as_bytes(), body.as_bytes()].concat());
    }
    requests
}
