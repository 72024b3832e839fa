//! One run, from its seed to its verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tests::eventually::eventually;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::customer::Customers;
use crate::disturb::Around;
use crate::drive::{Clients, Diary};
use crate::logs::Logs;
use crate::oracle::{asked_in_vain, times_resent};
use crate::plan::{Chaos, Plan};
use crate::settle::{Patience, Verdict, settle};
use crate::world::World;
use crate::{chaos, faults, story};

/// Violations that are reported with their whole story.
const STORIES: usize = 5;
/// How long clients may keep repeating requests after all faults are repaired.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

/// The statistics of a run that kept every promise.
#[derive(Debug)]
pub struct Summary {
    pub accepted: usize,
    pub acknowledged: usize,
    pub events: usize,
    pub deliveries: usize,
    /// The provider's messages with a template.
    pub with_template: usize,
    /// Messages that went back into the queue because of `onUnconfirmed: resend`.
    pub resent: usize,
    /// Requests to send to a customer who had certainly opted out.
    pub asked_in_vain: usize,
    /// The terminal statuses of the accepted messages, with the beginning of the reason.
    pub ends: BTreeMap<String, usize>,
    pub hastened: bool,
}

/// Drives the world, injects faults, waits until it settles, and asks the oracle. An error contains the story of every
/// violation, and the seed.
pub async fn run(plan: &Plan) -> Result<Summary> {
    eprintln!("conservation: {plan:?}");
    let seed = plan.seed;
    attempt(plan).await.with_context(|| format!("to repeat this run: CONSERVATION_SEED={seed}"))
}

async fn attempt(plan: &Plan) -> Result<Summary> {
    let mut world = World::start(plan).await?;
    let (diary, stop) = (Diary::default(), CancellationToken::new());
    let mut everybody = people(plan, &world, &diary, &stop);
    if plan.chaos != Chaos::None {
        world.control.add_faults(&faults::bad_day()).await?;
        world.tenants.iter().for_each(|tenant| tenant.app.stumble(true));
    }
    let mut chance = plan.chance("chaos");
    let around = Around::of(&world);
    let (done, disturbed) =
        tokio::try_join!(chaos::act(&mut world, plan.chaos, plan.load, &mut chance), around.disturb(plan))?;
    eprintln!("faults injected on our side: {done}");
    eprintln!("faults around it: {disturbed}");
    eprintln!("faults of the provider: {}", provider_faults(&world).await?);
    world.control.clear_faults().await?;
    world.tenants.iter().for_each(|tenant| tenant.app.stumble(false));
    world.ready().await?;
    // However slowly events have come until now: a run without this shows nothing about opt-outs.
    eventually("a message is asked for that its recipient has opted out of", async || {
        let pages = diary.open();
        let keywords = pages.keywords.len();
        if asked_in_vain(&pages.asked, &pages.keywords) > 0 { Ok(()) } else { Err(format!("{keywords} keywords")) }
    })
    .await?;
    stop.cancel();
    let decided = async {
        while let Some(ended) = everybody.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    // The oracle reports requests that are not final by then.
    if let Ok(ended) = timeout(DECIDED_WITHIN, decided).await {
        ended?;
    }
    everybody.shutdown().await;
    let verdict = settle(&mut world, &diary, Patience::Enough(plan.by_itself)).await?;
    report(&world, &verdict)
}

/// All clients and customers.
fn people(plan: &Plan, world: &World, diary: &Diary, stop: &CancellationToken) -> JoinSet<Result<()>> {
    let mut people = JoinSet::new();
    for tenant in 0..plan.tenants {
        let clients = Clients {
            tenants: world.tenants.clone(),
            tenant,
            apis: world.apis(tenant),
            diary: diary.clone(),
            stop: stop.clone(),
        };
        people.spawn(clients.ask(plan.sends_per_second, plan.chance(&format!("clients of {tenant}"))));
        let customers = Customers {
            tenants: world.tenants.clone(),
            tenant,
            control: world.control.clone(),
            public_url: world.balancer.url(),
            listeners: world.webhook_listeners(),
            diary: diary.clone(),
            stop: stop.clone(),
        };
        people.spawn(customers.clone().waver(plan.chance(&format!("fickle customers of {tenant}"))));
        let per_second = plan.sends_per_second.div_ceil(2);
        people.spawn(customers.write(per_second, plan.chance(&format!("customers of {tenant}"))));
    }
    people
}

async fn provider_faults(world: &World) -> Result<String> {
    let report = world.control.faults().await?;
    let requests = report.requests.iter().map(|hits| (format!("{:?}", hits.rule.effect), hits.hits));
    let webhooks = report.webhooks.iter().map(|hits| (format!("{:?}", hits.rule.effect), hits.hits));
    let parts: Vec<_> = requests.chain(webhooks).map(|(effect, hits)| format!("{effect} {hits}")).collect();
    Ok(parts.join(", "))
}

/// Reports the violations with their stories, or how much was conserved if there are none.
pub fn report(world: &World, verdict: &Verdict) -> Result<Summary> {
    let Verdict { logs, violations, hastened } = verdict;
    let refused: Vec<String> = world.tenants.iter().flat_map(|tenant| tenant.app.refused()).collect();
    if !refused.is_empty() {
        bail!("applications refused events whose signatures were wrong: {refused:?}");
    }
    if violations.is_empty() {
        let accepted = logs.asked.iter().filter(|asked| asked.answers.iter().any(|a| a.message.is_some())).count();
        let ids: BTreeSet<_> = logs.received.iter().map(|received| &received.id).collect();
        let summary = Summary {
            accepted,
            acknowledged: logs.webhooks.iter().filter(|webhook| webhook.was_acknowledged()).count(),
            events: ids.len(),
            deliveries: logs.received.len(),
            with_template: logs.provider.iter().filter(|outbound| outbound.template.is_some()).count(),
            resent: logs.stored.iter().map(times_resent).sum(),
            asked_in_vain: asked_in_vain(&logs.asked, &logs.keywords),
            ends: ends(logs),
            hastened: *hastened,
        };
        eprintln!("every promise held: {summary:#?}");
        return Ok(summary);
    }
    for violation in violations.iter().take(STORIES) {
        let text = story::of(logs, violation);
        eprintln!("{text}");
        for line in said_by_replicas(world, &text) {
            eprintln!("    {line}");
        }
    }
    let all: Vec<_> = violations.iter().map(|violation| violation.to_string()).collect();
    bail!("{} violations:\n{}", all.len(), all.join("\n"))
}

fn ends(logs: &Logs) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for message in &logs.stored {
        let reason: String = message
            .reason
            .iter()
            .flat_map(|reason| reason.chars().take_while(|c| !c.is_ascii_digit()).take(60))
            .collect();
        *ends.entry(format!("{} {reason}", message.status).trim_end().to_owned()).or_default() += 1;
    }
    ends
}

/// The replicas' own log lines about the ids in a story.
fn said_by_replicas(world: &World, text: &str) -> Vec<String> {
    let is_id = |word: &&str| ["msg_", "att-", "evt_"].iter().any(|prefix| word.starts_with(prefix));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let names: BTreeSet<String> = words.filter(is_id).map(str::to_owned).collect();
    let names: Vec<String> = names.into_iter().collect();
    world.replicas.iter().flat_map(|replica| replica.lines_about(&names)).collect()
}
