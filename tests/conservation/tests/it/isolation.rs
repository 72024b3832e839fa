//! What is stuck for one tenant delays no other tenant: a sender whose calls fail, a sender that the provider refuses
//! and that is therefore stopped, or an application that hangs.
//!
//! The speed of the machine does not matter: the other tenants' messages are timed before the trouble, and again during
//! it.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use conservation::drive::{Clients, Diary};
use conservation::plan::Chaos;
use conservation::run::report;
use conservation::settle::{Patience, settle};
use conservation::{Plan, Store, World, collect};
use futures::future::try_join_all;
use sandbox::twilio::types::MessageFilter;
use sandbox::types::{ErrorShape, FaultRules, RequestEffect, RequestFault, RequestFilter};
use serde_json::Value;
use tests::eventually::eventually;
use tokio_util::sync::CancellationToken;

const FAILING: usize = 0;
const HANGING: usize = 1;
const WELL: [usize; 2] = [2, 3];
const REFUSED: usize = 4;
const TENANTS: usize = 5;
/// More than one replica sends concurrently, so that the two stuck tenants could take every slot.
const STUCK: usize = 300;
const STOPPED: usize = 10;
const PROMPT: usize = 100;
/// How much more than twice their undisturbed time the other tenants may take. One failing call or one hanging event in
/// their way would cost three times as much.
const NOISE: Duration = Duration::from_secs(5);
/// How often they are timed during the trouble, at most. The trouble lasts through all attempts; a stall of the disk
/// does not.
const ROUNDS: usize = 2;

/// Every call of one account takes most of its time-out and then fails. Another account is locked.
fn trouble(failing: &str, refused: &str) -> FaultRules {
    let status = |status, code| RequestEffect::Status {
        status,
        retry_after: None,
        code,
        message: None,
        shape: ErrorShape::Classic,
    };
    let of = |account: &str, effect| RequestFault { account: Some(account.to_owned()), ..RequestFault::new(effect) };
    let requests = vec![
        of(failing, RequestEffect::Latency { ms: 20_000 }),
        of(failing, status(500, None)),
        of(refused, status(401, Some(20003))),
    ];
    FaultRules { requests, ..FaultRules::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_one_sender_fails_and_one_application_hangs() -> Result<()> {
    isolation(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_one_sender_fails_and_one_application_hangs_on_postgresql() -> Result<()> {
    isolation(Store::Postgres).await
}

async fn isolation(store: Store) -> Result<()> {
    let plan = Plan { chaos: Chaos::None, tenants: TENANTS, ..Plan::short(store)? };
    eprintln!("isolation: {plan:?}");
    let mut world = World::start(&plan).await?;
    let diary = Diary::default();
    let alone = serve_the_others(&plan, &world, &diary, 0..PROMPT).await?;

    let account = |tenant: usize| world.tenants[tenant].account.account_sid.clone();
    world.control.add_faults(&trouble(&account(FAILING), &account(REFUSED))).await?;
    world.tenants[HANGING].app.hang(true);
    ask(&plan, &world, &diary, FAILING, 0..STUCK).await?;
    ask(&plan, &world, &diary, HANGING, 0..STUCK).await?;
    ask(&plan, &world, &diary, REFUSED, 0..STOPPED).await?;
    eventually("all three are stuck", async || stuck(&world).await.map_err(|error| format!("{error:#}"))).await?;

    let (mut beside, bound) = (Duration::MAX, alone * 2 + NOISE);
    for round in 1..=ROUNDS {
        beside = beside.min(serve_the_others(&plan, &world, &diary, round * PROMPT..(round + 1) * PROMPT).await?);
        eprintln!("{PROMPT} messages of each of the others took {alone:?} alone and {beside:?} beside the trouble");
        if beside <= bound {
            break;
        }
    }
    ensure!(
        beside <= bound,
        "the other tenants took {alone:?} without the trouble and {beside:?} during it, each time"
    );

    let logs = collect::logs(&world, &diary).await?;
    let of = |tenant: usize| logs.stored.iter().filter(move |stored| stored.tenant == format!("tenant-{tenant}"));
    let open = |tenant| of(tenant).filter(|stored| !stored.status.is_terminal()).count();
    assert!(open(FAILING) > 0, "the failing sender was not stuck for long enough to prove anything");
    assert_eq!(open(REFUSED), STOPPED, "the stopped sender did not stay stopped");
    let heard = world.tenants[HANGING].app.log().iter().filter(|event| !event.kind().ends_with("received")).count();
    assert_eq!(heard, 0, "the hanging application answered");
    eprintln!("{} of {STUCK} messages were still stuck when the others' were done", open(FAILING));

    world.control.clear_faults().await?;
    world.tenants[HANGING].app.hang(false);
    let verdict = settle(&mut world, &diary, Patience::Brief(Duration::from_secs(3))).await?;
    report(&world, &verdict)?;
    Ok(())
}

/// How long it takes until these messages of both tenants are delivered and their applications have the events.
async fn serve_the_others(plan: &Plan, world: &World, diary: &Diary, which: Range<usize>) -> Result<Duration> {
    let began = Instant::now();
    try_join_all(WELL.map(|tenant| ask(plan, world, diary, tenant, which.clone()))).await?;
    for tenant in WELL {
        let app = &world.tenants[tenant].app;
        eventually("the other tenants' messages are delivered and published", async || {
            let delivered = app.distinct("dev.whatsapp-operator.message.delivered").len();
            if delivered == which.end { Ok(()) } else { Err(delivered) }
        })
        .await?;
    }
    Ok(began.elapsed())
}

/// One tenant's calls hang, the second one's sender is stopped, and the third one's messages are delivered while its
/// application hangs.
async fn stuck(world: &World) -> Result<()> {
    let filter = RequestFilter { method: Some("POST".to_owned()), ..RequestFilter::default() };
    let requests = world.control.requests(&filter).await?;
    let waiting = requests.iter().filter(|r| r.status.is_none() && !r.faults.is_empty()).count();
    let hanging = world.tenants[HANGING].app.hanging_requests();
    let account = Some(world.tenants[HANGING].account.account_sid.clone());
    let messages = world.control.messages(&MessageFilter { account, ..MessageFilter::default() }).await?;
    let delivered = messages.iter().filter(|message| message.status == "delivered").count();
    let stopped = stopped(world).await?;
    let is_stuck = waiting > 0 && hanging > 0 && delivered == STUCK && stopped;
    ensure!(is_stuck, "{waiting} calls, {hanging} events, {delivered} delivered, stopped: {stopped}");
    Ok(())
}

/// Whether the refused sender is stopped.
async fn stopped(world: &World) -> Result<bool> {
    let admin = world.replicas.first().context("there is a replica")?.admin;
    let holds = reqwest::get(format!("http://{admin}/admin/v1/holds")).await?.error_for_status()?.text().await?;
    let holds: Value = serde_json::from_str(&holds)?;
    let items = holds["items"].as_array().context("a list has items")?;
    Ok(items.iter().any(|hold| hold["tenant"] == world.tenants[REFUSED].name.as_str()))
}

async fn ask(plan: &Plan, world: &World, diary: &Diary, tenant: usize, which: Range<usize>) -> Result<()> {
    let clients = Clients {
        tenants: world.tenants.clone(),
        tenant,
        apis: world.apis(tenant),
        diary: diary.clone(),
        stop: CancellationToken::new(),
    };
    clients.ask_for(which, plan.chance(&format!("clients of {tenant}"))).await
}
