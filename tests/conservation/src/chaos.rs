//! Faults on our side, at random moments: replicas die, clocks are set, databases crash, networks break.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep_until};

use crate::plan::Chaos;
use crate::world::World;

/// Clocks differ by less than the provider's log allows for (5 s), and by more than a lease lasts.
const CLOCKS_DIFFER_BY: i64 = 3_500;

/// How late everything arrives, each way, on a slow network.
const LATE: Duration = Duration::from_millis(60);

/// A fault that is repaired later.
#[derive(Debug, Clone, Copy)]
enum Mend {
    Replica(usize),
    Network(usize),
    Database,
}

/// What was done, for the report of the run.
#[derive(Debug, Default)]
pub struct Done(BTreeMap<&'static str, usize>);

impl Done {
    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> = self.0.iter().map(|(what, times)| format!("{what} {times}")).collect();
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// Injects faults for `load`, then repairs everything. Returns what was done.
pub async fn act(world: &mut World, chaos: Chaos, load: Duration, chance: &mut StdRng) -> Result<Done> {
    let end = Instant::now() + load;
    let mut done = Done::default();
    match chaos {
        Chaos::None => sleep_until(end).await,
        Chaos::Failover => fail_over(world, end, load, &mut done).await?,
        Chaos::All => everything(world, end, chance, &mut done).await?,
    }
    Ok(done)
}

async fn fail_over(world: &mut World, end: Instant, load: Duration, done: &mut Done) -> Result<()> {
    sleep_until(end - load / 2).await;
    world.database.postgres().context("a failover needs PostgreSQL")?.fail_over().await?;
    done.note("failovers");
    while Instant::now() < end {
        sleep_until(Instant::now() + Duration::from_millis(200)).await;
        revive(world, done)?;
    }
    Ok(())
}

async fn everything(world: &mut World, end: Instant, chance: &mut StdRng, done: &mut Done) -> Result<()> {
    let (mut mends, mut deck): (Vec<(Instant, Mend)>, Vec<Blow>) = Default::default();
    let mut next = Instant::now();
    while Instant::now() < end {
        if Instant::now() >= next {
            let blow = draw(&mut deck, chance);
            let mend = strike(world, blow, &mends, chance, done).await?;
            let after = Duration::from_millis(chance.random_range(100..2500));
            mends.extend(mend.map(|mend| (Instant::now() + after, mend)));
            next = Instant::now() + Duration::from_millis(chance.random_range(200..1200));
        }
        let (due, later) = mends.into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= Instant::now());
        mends = later;
        for (_, mend) in due {
            apply(world, mend).await?;
        }
        revive(world, done)?;
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
    for (_, mend) in mends {
        apply(world, mend).await?;
    }
    Ok(())
}

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Kill,
    Cut,
    Freeze,
    Refuse,
    Delay,
    Crash,
}

/// Faults are drawn from here without replacement until none is left, so that a short run has some of each.
const DECK: [Blow; 12] = {
    use Blow::{Crash, Cut, Delay, Freeze, Kill, Refuse};
    [Kill, Kill, Kill, Kill, Cut, Cut, Freeze, Freeze, Refuse, Delay, Crash, Crash]
};

fn draw(deck: &mut Vec<Blow>, chance: &mut StdRng) -> Blow {
    if deck.is_empty() {
        deck.extend(DECK);
    }
    deck.swap_remove(chance.random_range(0..deck.len()))
}

/// Injects the fault, and returns how to repair it. Does nothing if its target is down already or does not exist.
async fn strike(
    world: &mut World,
    blow: Blow,
    mends: &[(Instant, Mend)],
    chance: &mut StdRng,
    done: &mut Done,
) -> Result<Option<Mend>> {
    let n = chance.random_range(0..world.replicas.len());
    if blow == Blow::Kill {
        return if world.replicas[n].runs() { kill(world, n, chance, done).map(Some) } else { Ok(None) };
    }
    let Some(postgres) = world.database.postgres() else { return Ok(None) };
    let is_down = |mend: &Mend| match blow {
        Blow::Crash => matches!(mend, Mend::Database),
        _ => matches!(mend, Mend::Network(ill) if *ill == n),
    };
    if mends.iter().any(|(_, mend)| is_down(mend)) {
        return Ok(None);
    }
    let (what, mend) = match blow {
        Blow::Kill | Blow::Crash => {
            postgres.crash().await?;
            ("crashes of the database", Some(Mend::Database))
        }
        Blow::Cut => {
            for proxy in postgres.proxies(n) {
                proxy.cut().await?;
            }
            ("cuts", None)
        }
        Blow::Freeze => {
            postgres.proxies(n).iter().for_each(|proxy| proxy.freeze(true));
            ("freezes", Some(Mend::Network(n)))
        }
        Blow::Refuse => {
            for proxy in postgres.proxies(n) {
                proxy.refuse(true);
                proxy.cut().await?;
            }
            ("refusals", Some(Mend::Network(n)))
        }
        Blow::Delay => {
            postgres.proxies(n).iter().for_each(|proxy| proxy.delay(LATE));
            ("delays", Some(Mend::Network(n)))
        }
    };
    done.note(what);
    Ok(mend)
}

/// SIGKILL. When it comes back, its clock may have been set.
fn kill(world: &mut World, n: usize, chance: &mut StdRng, done: &mut Done) -> Result<Mend> {
    let replica = &mut world.replicas[n];
    replica.kill()?;
    done.note("killed replicas");
    if chance.random_bool(0.5) {
        replica.clock = SignedDuration::from_millis(chance.random_range(-CLOCKS_DIFFER_BY..CLOCKS_DIFFER_BY));
        done.note("set clocks");
    }
    Ok(Mend::Replica(n))
}

async fn apply(world: &mut World, mend: Mend) -> Result<()> {
    match mend {
        Mend::Replica(n) => world.replicas[n].start(world.folder.path())?,
        Mend::Network(n) => {
            if let Some(postgres) = world.database.postgres() {
                for proxy in postgres.proxies(n) {
                    proxy.freeze(false);
                    proxy.refuse(false);
                    proxy.delay(Duration::ZERO);
                }
            }
        }
        Mend::Database => {
            if let Some(postgres) = world.database.postgres() {
                postgres.start_again().await?;
            }
        }
    }
    Ok(())
}

fn revive(world: &mut World, done: &mut Done) -> Result<()> {
    for replica in &mut world.replicas {
        if let Some(ended) = replica.revive(world.folder.path())? {
            let last_words = ended.lines().last().unwrap_or_default();
            eprintln!("{} ended by itself and is started again: {last_words}", replica.name);
            done.note("replicas that ended by themselves");
        }
    }
    Ok(())
}
