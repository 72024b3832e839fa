//! What is still open, and which of it may take long by design.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use messaging::lifecycle::MessageStatus;
use reqwest::StatusCode;
use sandbox::types::{WebhookFilter, WebhookState};

use crate::collect::{self, api};
use crate::drive::Diary;
use crate::oracle::{self, About, Broken, Violation};
use crate::world::World;

/// The statuses that are not terminal.
const STATUSES: [MessageStatus; 5] = [
    MessageStatus::Queued,
    MessageStatus::Submitted,
    MessageStatus::Unconfirmed,
    MessageStatus::Accepted,
    MessageStatus::Sent,
];
/// How many open things a report names.
const NAMED: usize = 8;
/// Messages whose outcome a replica is asking the provider for. A lookup that a killed replica had begun waits for
/// minutes.
const ASKED_ABOUT: &str = "SELECT tenant, message FROM unsettled WHERE owner IS NOT NULL";

/// Something that has not settled.
#[derive(Debug)]
struct Thing {
    what: String,
    /// The violation, if it is still open when everything should have settled; `None` if it may take long by design.
    if_stuck: Option<Violation>,
    /// Whether it may take so long that waiting for it is pointless.
    may_take_long: bool,
}

#[derive(Debug, Default)]
pub struct Open {
    things: Vec<Thing>,
    /// How many things the logs disagree on, if they were compared.
    disagreements: Option<usize>,
}

impl Open {
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Whether everything that is still open may take long.
    pub fn is_all_excused(&self) -> bool {
        self.things.iter().all(|thing| thing.may_take_long)
    }

    /// How much is open, in an order that shows progress: messages in flight first, because the logs are only compared
    /// once there are none.
    pub fn size(&self) -> (usize, usize) {
        let disagreements = self.disagreements.unwrap_or_default();
        (self.things.len() - disagreements, self.disagreements.unwrap_or(usize::MAX))
    }

    /// What should not be open.
    pub fn stuck(&mut self) -> Vec<Violation> {
        self.things.iter_mut().filter_map(|thing| thing.if_stuck.take()).collect()
    }

    pub fn describe(&self) -> String {
        let named: Vec<&str> = self.things.iter().take(NAMED).map(|thing| thing.what.as_str()).collect();
        let more = self.things.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        format!("\n  {}{more}", named.join("\n  "))
    }

    fn add(&mut self, what: String, may_take_long: bool, if_stuck: Option<Violation>) {
        self.things.push(Thing { what, if_stuck, may_take_long });
    }
}

/// What is open now. The logs are only compared when no message is in flight, because that is expensive.
pub async fn look(world: &World, diary: &Diary) -> Result<Open> {
    let mut open = Open::default();
    let webhooks = world.control.webhooks(&WebhookFilter::default()).await?;
    let pending = webhooks.iter().filter(|w| matches!(w.state, WebhookState::Pending | WebhookState::Held)).count();
    if pending > 0 {
        open.add(format!("{pending} webhooks that the provider has not delivered"), false, None);
    }
    messages(world, &mut open).await?;
    if open.is_all_excused() {
        let violations = oracle::judge(&collect::logs(world, diary).await?);
        let before = open.things.len();
        for violation in violations.into_iter().filter(|v| v.broken.may_pass() && v.broken != Broken::NotTerminal) {
            add(&mut open, violation);
        }
        open.disagreements = Some(open.things.len() - before);
    }
    Ok(open)
}

/// An event that an application has not received yet may wait for its next attempt, which comes minutes after the
/// second failure.
fn add(open: &mut Open, violation: Violation) {
    let is_publication =
        !matches!(violation.broken, Broken::AcknowledgedStatusWithoutEffect | Broken::AcknowledgedButNotStoredOnce);
    let what = violation.to_string();
    let if_stuck = Violation { broken: Broken::StuckUntilClocksWereSet, detail: what.clone(), ..violation };
    open.add(what, is_publication, Some(if_stuck).filter(|_| !is_publication));
}

async fn messages(world: &World, open: &mut Open) -> Result<()> {
    let asked_about = asked_about(world).await?;
    for tenant in world.tenants.iter() {
        let api = api(world, tenant)?;
        let mut seen = BTreeMap::new();
        for status in STATUSES {
            let answer = api.get(&format!("/v1/messages?limit=200&status={status}")).await?;
            if answer.status != StatusCode::OK {
                bail!("listing messages after every fault was repaired: {} {}", answer.status, answer.body);
            }
            let items = answer.body["items"].as_array().context("a page has items")?;
            seen.extend(items.iter().filter_map(|item| Some((item["id"].as_str()?.to_owned(), status))));
        }
        for (id, status) in seen {
            let is_asked_about = asked_about.as_ref().map(|ids| ids.contains(&(tenant.name.clone(), id.clone())));
            let what = match is_asked_about {
                Some(true) => format!("{id} of {} is {status}, and the provider is being asked about it", tenant.name),
                Some(false) | None => format!("{id} of {} is {status}", tenant.name),
            };
            // If the database cannot be queried, it is unknown which lookups a killed replica left behind.
            let is_in_queue = matches!(status, MessageStatus::Queued | MessageStatus::Submitted);
            let must_settle = is_asked_about.map_or(is_in_queue, |is_asked_about| !is_asked_about);
            let (broken, about) = (Broken::StuckUntilClocksWereSet, About::Message(id));
            let violation = must_settle.then(|| Violation::new(broken, &tenant.name, about, what.clone()));
            open.add(what, is_asked_about == Some(true), violation);
        }
    }
    Ok(())
}

/// The tenant and the message of each; `None` if the database cannot be queried.
async fn asked_about(world: &World) -> Result<Option<BTreeSet<(String, String)>>> {
    let rows = world.database.query(ASKED_ABOUT).await?;
    Ok(rows.map(|rows| {
        rows.lines().filter_map(|row| row.split_once('|')).map(|(t, id)| (t.to_owned(), id.to_owned())).collect()
    }))
}
