//! What goes wrong on our side, at random moments: replicas die, clocks are set, databases crash, networks break.

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

/// Something that is to be mended later.
#[derive(Debug, Clone, Copy)]
enum Mend {
    Replica(usize),
    Network(usize),
    Database,
}

/// What was done, for the person who reads the run.
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

/// Acts for so long, and then mends everything. Returns what was done.
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
    let mut mends: Vec<(Instant, Mend)> = Vec::new();
    let mut next = Instant::now();
    while Instant::now() < end {
        if Instant::now() >= next {
            let (pause, mend) = harm(world, &mends, chance, done).await?;
            mends.extend(mend.map(|(after, mend)| (Instant::now() + after, mend)));
            next = Instant::now() + pause;
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

/// One blow, the pause after it, and how and when it is mended.
async fn harm(
    world: &mut World,
    mends: &[(Instant, Mend)],
    chance: &mut StdRng,
    done: &mut Done,
) -> Result<(Duration, Option<(Duration, Mend)>)> {
    let pause = Duration::from_millis(chance.random_range(200..1200));
    let after = Duration::from_millis(chance.random_range(100..2500));
    let n = chance.random_range(0..world.replicas.len());
    let blow = chance.random_range(0..100);
    let network_is_well = !mends.iter().any(|(_, mend)| matches!(mend, Mend::Network(ill) if *ill == n));
    let database_is_well = !mends.iter().any(|(_, mend)| matches!(mend, Mend::Database));
    let Some(postgres) = world.database.postgres() else {
        // Half of the time goes by without a blow, because there is only one replica to hit.
        let hit = blow < 50 && world.replicas[n].runs();
        return Ok((pause, if hit { Some((after, kill(world, n, chance, done)?)) } else { None }));
    };
    let mend = match blow {
        0..40 if world.replicas[n].runs() => Some(kill(world, n, chance, done)?),
        40..55 => {
            for proxy in postgres.proxies(n) {
                proxy.cut().await?;
            }
            done.note("cuts");
            None
        }
        55..70 if network_is_well => {
            postgres.proxies(n).iter().for_each(|proxy| proxy.freeze(true));
            done.note("freezes");
            Some(Mend::Network(n))
        }
        70..80 if network_is_well => {
            for proxy in postgres.proxies(n) {
                proxy.refuse(true);
                proxy.cut().await?;
            }
            done.note("refusals");
            Some(Mend::Network(n))
        }
        80..90 if network_is_well => {
            postgres.proxies(n).iter().for_each(|proxy| proxy.delay(Duration::from_millis(60)));
            done.note("delays");
            Some(Mend::Network(n))
        }
        90.. if database_is_well => {
            postgres.crash().await?;
            done.note("crashes of the database");
            Some(Mend::Database)
        }
        _ => None,
    };
    Ok((pause, mend.map(|mend| (after, mend))))
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
            eprintln!("{} ended by itself and is started again: {ended}", replica.name);
            done.note("replicas that ended by themselves");
        }
    }
    Ok(())
}
