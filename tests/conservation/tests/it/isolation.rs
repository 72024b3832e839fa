//! What is stuck for one tenant keeps nobody else waiting: neither a sender that the provider fails nor an application
//! that hangs.
//!
//! Nothing here is a matter of speed: all that the other tenants asked for is done while the two are still stuck.

use std::time::Duration;

use anyhow::Result;
use conservation::drive::{Clients, Diary};
use conservation::plan::Chaos;
use conservation::run::report;
use conservation::settle::{Patience, settle};
use conservation::{Plan, Store, World, collect};
use sandbox::control::types::{ErrorShape, FaultRules, RequestEffect, RequestFault, RequestFilter};
use tests::eventually::eventually;
use tokio_util::sync::CancellationToken;

const FAILING: usize = 0;
const HANGING: usize = 1;
const WELL: [usize; 2] = [2, 3];
/// More than one replica hands over at once in all, so that the two could take every place.
const STUCK: usize = 300;
const PROMPT: usize = 100;

/// Every call of one account waits for most of the time that it may take, and then fails.
fn failing(account: &str) -> FaultRules {
    let of_account = |effect| RequestFault { account: Some(account.to_owned()), ..RequestFault::new(effect) };
    let error =
        RequestEffect::Status { status: 500, retry_after: None, code: None, message: None, shape: ErrorShape::Classic };
    let requests = vec![of_account(RequestEffect::Latency { ms: 20_000 }), of_account(error)];
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
    let plan = Plan { chaos: Chaos::None, ..Plan::short(store)? };
    eprintln!("isolation: {plan:?}");
    let mut world = World::start(&plan).await?;
    let diary = Diary::default();
    let account = world.tenants[FAILING].account.account_sid.clone();
    world.control.add_faults(&failing(&account)).await?;
    world.tenants[HANGING].app.hang(true);

    ask(&plan, &world, &diary, FAILING, STUCK).await?;
    ask(&plan, &world, &diary, HANGING, STUCK).await?;
    eventually("both are stuck", async || {
        let filter = RequestFilter { method: Some("POST".to_owned()), ..RequestFilter::default() };
        let requests = world.control.requests(&filter).await.map_err(|error| error.to_string())?;
        let waiting = requests.iter().filter(|r| r.status.is_none() && !r.faults.is_empty()).count();
        let hanging = world.tenants[HANGING].app.hanging_requests();
        if waiting > 0 && hanging > 0 { Ok(()) } else { Err(format!("{waiting} calls, {hanging} events")) }
    })
    .await?;

    for tenant in WELL {
        ask(&plan, &world, &diary, tenant, PROMPT).await?;
    }
    for tenant in WELL {
        let app = &world.tenants[tenant].app;
        eventually("the others' messages are delivered, and they know it", async || {
            let told = app.distinct("dev.whatsapp-operator.message.delivered").len();
            if told == PROMPT { Ok(()) } else { Err(told) }
        })
        .await?;
    }

    let logs = collect::logs(&world, &diary).await?;
    let of = |tenant: usize| logs.stored.iter().filter(move |stored| stored.tenant == format!("tenant-{tenant}"));
    let open = of(FAILING).filter(|stored| !stored.status.is_terminal()).count();
    assert!(open > 0, "the failing sender was not stuck for long enough to tell anything");
    let heard = world.tenants[HANGING].app.log().iter().filter(|event| !event.kind().ends_with("received")).count();
    assert_eq!(heard, 0, "the hanging application answered");
    eprintln!("{open} of {STUCK} messages were still stuck when the others' were done");

    world.control.clear_faults().await?;
    world.tenants[HANGING].app.hang(false);
    let verdict = settle(&mut world, &diary, Patience::Brief(Duration::from_secs(3))).await?;
    report(&world, &verdict)?;
    Ok(())
}

async fn ask(plan: &Plan, world: &World, diary: &Diary, tenant: usize, count: usize) -> Result<()> {
    let clients = Clients {
        tenants: world.tenants.clone(),
        tenant,
        apis: world.apis(tenant),
        diary: diary.clone(),
        stop: CancellationToken::new(),
    };
    clients.ask_for(count, plan.chance(&format!("clients of {tenant}"))).await
}
