//! The cost of a claim with a million messages queued, beside its cost with a thousand. It runs against the store
//! itself, in a process of its own. A turn does what dispatch does: it lists the lanes and claims from them.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use dataplane::clock::SystemClock;
use dataplane::serve::open_store;
use dataplane::settings::StoreUrl;
use dataplane::store::Store;
use dataplane::store::message::{AcceptMessage, NewMessage, OnUnconfirmed, Priority};
use dataplane::store::queue::{ClaimDue, LaneRef, Share};
use jiff::Timestamp;
use messaging::clock::{Clock, after};
use messaging::content::OutboundContent;
use messaging::id::{MessageId, TenantId};
use messaging::policy::Purpose;
use messaging::routing::Route;
use serde::{Deserialize, Serialize};
use tests::process::output;
use tokio::task::JoinSet;

use super::Bench;
use super::webhooks::NO_TEMPLATE;
use crate::cost::peak_mib;
use crate::results::Results;
use crate::servers::database::Kind;
use crate::statistics::median;
use crate::tenant::{SENDERS, TEMPLATE, TENANT};

const SHORT: u32 = 1_000;
const LONG: u32 = 1_000_000;
/// Messages that one turn claims, from all senders together.
const PER_TURN: u32 = 64;
/// Messages claimed from each queue. The short queue is refilled after every thousand.
const CLAIMS: u32 = 10_000;
/// Messages accepted at once while the queue is filled: enough for one commit group, and within the bound of the queue.
const FILLING: u32 = 512;

/// The settings of the claiming process.
#[derive(Debug, Args)]
pub(crate) struct ClaimSettings {
    #[arg(long)]
    store: StoreUrl,
    /// Messages queued when claiming begins.
    #[arg(long)]
    queued: u32,
    /// Messages to claim.
    #[arg(long)]
    claims: u32,
}

/// The claiming process's result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimFigures {
    /// Time per claimed message; the median over all turns.
    claim_us: f64,
    filled_per_second: f64,
    peak_mib: f64,
}

pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    // On one database: filling takes most of the time, and PostgreSQL is what the promise is about.
    let (kind, name) =
        if bench.measures(Kind::Postgres) { (Kind::Postgres, "queue") } else { (Kind::Sqlite, "queue.sqlite") };
    let short = in_its_own_process(bench, kind, SHORT).await?;
    let long = in_its_own_process(bench, kind, LONG).await?;
    bench.note_memory(long.peak_mib);
    results.figure(format!("{name}.claim_us_at_{SHORT}"), short.claim_us, "µs");
    results.figure(format!("{name}.claim_us_at_{LONG}"), long.claim_us, "µs");
    results.figure(format!("{name}.claim_ratio_{LONG}_to_{SHORT}"), long.claim_us / short.claim_us, "");
    results.figure(format!("{name}.filled_per_s"), long.filled_per_second, "1/s");
    results.figure(format!("{name}.memory_mb_at_{LONG}"), long.peak_mib, "MiB");
    Ok(())
}

async fn in_its_own_process(bench: &Bench, kind: Kind, queued: u32) -> Result<ClaimFigures> {
    let directory = bench.directory(NO_TEMPLATE)?;
    let database = bench.databases.fresh(kind, directory.path()).await?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["claim", "--store", database.url()]);
    command.args(["--queued", &queued.to_string(), "--claims", &CLAIMS.to_string()]);
    let printed = output(command).await?;
    serde_json::from_str(&printed).with_context(|| format!("the claiming process printed: {printed}"))
}

/// The claiming process's own work.
#[tokio::main]
pub(crate) async fn claim(settings: &ClaimSettings) -> Result<()> {
    let mut ground = JoinSet::new();
    let store = open(&settings.store, &mut ground).await?;
    let (mut claimed, mut filled) = (0, 0);
    let mut costs = Vec::new();
    let began = Instant::now();
    let mut filling = began.elapsed();
    while claimed < settings.claims {
        let began = Instant::now();
        fill(&store, filled, settings.queued).await?;
        filling += began.elapsed();
        filled += settings.queued;
        let until = (claimed + settings.queued).min(settings.claims);
        while claimed < until {
            let (taken, micros) = turn(&store).await?;
            claimed += taken;
            costs.push(micros / f64::from(taken));
        }
    }
    store.close().await;
    while let Some(ended) = ground.join_next().await {
        ended?;
    }
    let figures = ClaimFigures {
        claim_us: median(&costs),
        filled_per_second: f64::from(filled) / filling.as_secs_f64(),
        peak_mib: peak_mib(std::process::id())?,
    };
    #[expect(clippy::print_stdout, reason = "what the first process reads")]
    {
        println!("{}", serde_json::to_string(&figures)?);
    }
    Ok(())
}

async fn open(url: &StoreUrl, ground: &mut JoinSet<()>) -> Result<Store> {
    let (store, writers) = open_store(url, None).await?;
    ground.spawn(writers.run());
    Ok(store)
}

/// Accepts messages, numbered from `first`, enough of them at once to be committed in groups.
async fn fill(store: &Store, first: u32, count: u32) -> Result<()> {
    let mut fillers = JoinSet::new();
    for filler in 0..FILLING {
        let store = store.clone();
        fillers.spawn(async move {
            let mut n = first + filler;
            while n < first + count {
                let message = message(n, SystemClock.now())?;
                store.write(AcceptMessage { message, idempotency: None }).await?;
                n += FILLING;
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    Ok(())
}

/// One turn of dispatch, with claims spread evenly over all lanes. Returns how many messages it claimed, and in how
/// many µs.
async fn turn(store: &Store) -> Result<(u32, f64)> {
    let now = SystemClock.now();
    let began = Instant::now();
    let lanes = store.lanes().await?;
    let due: Vec<LaneRef> = lanes.into_iter().filter(|lane| lane.next_at <= now).map(|lane| lane.lane).collect();
    let share = PER_TURN.div_ceil(u32::try_from(due.len().max(1))?);
    let shares = due.into_iter().map(|lane| Share { lane, limit: share, draws_on: Vec::new() }).collect();
    let lease_until = after(now, std::time::Duration::from_secs(3600));
    let claim = ClaimDue { now, owner: "bench".to_owned(), lease_until, shares, rates: Vec::new(), leave_timed: false };
    let claims = store.write(claim).await?.claims;
    let micros = began.elapsed().as_secs_f64() * 1e6;
    ensure!(!claims.is_empty(), "the queue is empty: nothing could be claimed");
    Ok((u32::try_from(claims.len())?, micros))
}

/// The nth message, to a recipient of its own, through every sender in turn.
fn message(n: u32, now: Timestamp) -> Result<NewMessage> {
    let mut entropy = [0; 10];
    entropy[..4].copy_from_slice(&n.to_be_bytes());
    Ok(NewMessage {
        id: MessageId::new(now, &entropy),
        tenant: TenantId::new(TENANT)?,
        route: Route::direct(SENDERS[n as usize % SENDERS.len()].parse()?),
        to: format!("+44770{n:07}").parse()?,
        content: OutboundContent::Template {
            name: TEMPLATE.parse()?,
            language: Some("en_US".to_owned()),
            values: [("1".to_owned(), "Ava".to_owned())].into(),
        },
        purpose: Purpose::Message,
        priority: Priority::Utility,
        from: None,
        reply_to: None,
        served_language: None,
        metadata: [("order".to_owned(), n.to_string())].into(),
        on_unconfirmed: OnUnconfirmed::Fail,
        created_at: now,
        scheduled_at: None,
        expires_at: None,
    })
}
