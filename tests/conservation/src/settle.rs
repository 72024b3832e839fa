//! Waits until nothing moves any more, and lets the oracle judge.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::SignedDuration;
use reqwest::StatusCode;
use sandbox::control::types::{WebhookFilter, WebhookState};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::collect::{self, api};
use crate::drive::Diary;
use crate::logs::Logs;
use crate::oracle::{self, Violation};
use crate::world::World;

/// When everything had its time to settle by itself, every replica is started again with its clock so far ahead: beyond
/// the longest lease, the third repetition of an event, and the hour after which the provider is asked about a message
/// whose last callback was lost.
const AHEAD: SignedDuration = SignedDuration::from_mins(90);
/// How long everything gets after that.
const AFTER_THAT: Duration = Duration::from_secs(90);
/// The statuses in which a message has not ended.
const OPEN: [&str; 5] = ["queued", "submitted", "unconfirmed", "accepted", "sent"];

/// What was found at the end.
#[derive(Debug)]
pub struct Verdict {
    pub logs: Logs,
    pub violations: Vec<Violation>,
    /// Whether the clocks had to be put forward.
    pub hastened: bool,
}

/// Everything gets so long to settle by itself before the clocks are put forward.
pub async fn settle(world: &mut World, diary: &Diary, by_itself: Duration) -> Result<Verdict> {
    world.ready().await?;
    let settled = until_settled(world, diary, by_itself).await?;
    let (last, hastened) = match settled {
        Ok(logs) => (Ok(logs), false),
        Err(why) => {
            eprintln!("not settled after {} s ({why}): the clocks are put forward", by_itself.as_secs());
            world.restart_with_clock(AHEAD).await?;
            (until_settled(world, diary, AFTER_THAT).await?, true)
        }
    };
    if let Err(why) = last {
        eprintln!("not settled after another {} s: {why}", AFTER_THAT.as_secs());
    }
    let logs = collect::logs(world, diary).await?;
    let violations = oracle::judge(&logs);
    Ok(Verdict { logs, violations, hastened })
}

/// Looks until nothing is open and nothing that may still come is missing; else says what is.
async fn until_settled(world: &World, diary: &Diary, patience: Duration) -> Result<Result<(), String>> {
    let deadline = Instant::now() + patience;
    let mut ticks = interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let why = match open(world).await? {
            Some(why) => why,
            None => {
                let violations = oracle::judge(&collect::logs(world, diary).await?);
                match violations.iter().find(|violation| violation.broken.may_pass()) {
                    Some(violation) => violation.to_string(),
                    None => return Ok(Ok(())),
                }
            }
        };
        if Instant::now() >= deadline {
            return Ok(Err(why));
        }
    }
}

/// What is still under way, if anything is.
async fn open(world: &World) -> Result<Option<String>> {
    let webhooks = world.control.webhooks(&WebhookFilter::default()).await?;
    let pending = webhooks.iter().filter(|w| matches!(w.state, WebhookState::Pending | WebhookState::Held)).count();
    if pending > 0 {
        return Ok(Some(format!("{pending} webhooks are under way")));
    }
    for tenant in world.tenants.iter() {
        let api = api(world, tenant)?;
        for status in OPEN {
            let answer = api.get(&format!("/v1/messages?limit=1&status={status}")).await?;
            if answer.status != StatusCode::OK {
                bail!("listing messages after every fault was mended: {} {}", answer.status, answer.body);
            }
            if let Some(message) = answer.body["items"].as_array().and_then(|items| items.first()) {
                return Ok(Some(format!("{} of {} is {status}", message["id"], tenant.name)));
            }
        }
    }
    Ok(None)
}
