//! Waits until nothing changes, then asks the oracle.
//!
//! Some things take long by design. [`open`](crate::open) lists them, and the clocks are put forward for them.
//! Everything else must settle by itself.

use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::collect;
use crate::drive::Diary;
use crate::logs::Logs;
use crate::open::{self, Open};
use crate::oracle::{self, Violation};
use crate::world::World;

/// After the time to settle, every replica restarts with its clock this far ahead, beyond the longest remaining wait.
/// Those waits are an event that an application failed twice, which is retried after 5 minutes and up to a fifth more,
/// and a lookup that a killed replica had begun, which is repeated after 5 minutes.
const AHEAD: SignedDuration = SignedDuration::from_mins(6);
/// How long everything may take after that.
const AFTER_THAT: Duration = Duration::from_secs(90);
/// The clocks are not put forward earlier, nor while anything changes: most of what may take long does not.
const AT_LEAST: Duration = Duration::from_secs(10);
const AT_REST: Duration = Duration::from_secs(5);
/// Settling is given up after this time.
const AT_MOST: Duration = Duration::from_secs(15 * 60);

/// How long everything may take before the clocks are put forward.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// This long. What is still open then is not a violation.
    Brief(Duration),
    /// This long without progress. Slow progress, as on a busy machine, is waited for.
    Enough(Duration),
}

/// The result.
#[derive(Debug)]
pub struct Verdict {
    pub logs: Logs,
    pub violations: Vec<Violation>,
    /// Whether the clocks had to be put forward.
    pub hastened: bool,
}

pub async fn settle(world: &mut World, diary: &Diary, patience: Patience) -> Result<Verdict> {
    world.ready().await?;
    let (mut open, waited) = until_settled(world, diary, patience, true).await?;
    let mut stuck = Vec::new();
    let hastened = !open.is_empty();
    if hastened {
        let which = open.describe();
        eprintln!("after {} s the clocks are put forward by {AHEAD:#}, because of {which}", waited.as_secs());
        if let Patience::Enough(_) = patience {
            stuck = open.stuck();
        }
        world.restart_with_clock(AHEAD).await?;
        (open, _) = until_settled(world, diary, Patience::Enough(AFTER_THAT), false).await?;
    }
    if !open.is_empty() {
        eprintln!("not settled after another {} s: {}", AFTER_THAT.as_secs(), open.describe());
    }
    let logs = collect::logs(world, diary).await?;
    let mut violations = oracle::judge(&logs);
    violations.extend(stuck);
    Ok(Verdict { logs, violations, hastened })
}

/// Polls until nothing is open, until the time is over, or until only things are open for which the clocks can be put
/// forward. Returns what is open, and how long that took.
async fn until_settled(world: &World, diary: &Diary, patience: Patience, can_hasten: bool) -> Result<(Open, Duration)> {
    let (began, mut ticks) = (Instant::now(), interval(Duration::from_millis(500)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut least, mut progressed) = (None, began);
    loop {
        ticks.tick().await;
        let open = open::look(world, diary).await?;
        if least.is_none_or(|least| open.size() < least) {
            (least, progressed) = (Some(open.size()), Instant::now());
        }
        let (waited, rests) = (began.elapsed(), progressed.elapsed());
        let is_over = match patience {
            Patience::Brief(time) => waited >= time,
            Patience::Enough(time) => {
                let only_long = waited >= AT_LEAST && rests >= AT_REST && open.is_all_excused();
                rests >= time || waited >= AT_MOST || (can_hasten && only_long)
            }
        };
        if open.is_empty() || is_over {
            return Ok((open, waited));
        }
    }
}
