//! Webhooks on their way into the log: what is new of them is written with as few statements as the database allows.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use messaging::id::TenantId;

use crate::store::database::{Connection, LogEntries};
use crate::store::group::job::Statements;
use crate::store::signals::Bells;
use crate::store::tables::{webhook_events, webhooks as log};
use crate::store::webhook::{RecordWebhook, Recorded};
use crate::store::{Command, StoreError};

use webhook_events::Key as EventKey;

/// Appends webhooks. An event is new in the first of them that has it.
pub(crate) async fn record(
    connection: &mut dyn Connection,
    webhooks: &[&RecordWebhook],
    bells: &mut Bells,
) -> Result<Vec<Recorded>, StoreError> {
    write(connection, webhooks, Raw::Kept, bells).await
}

/// Puts events of a webhook that is in the log already into it as well, where they are not yet: those that were not
/// understood when it came. The webhook's own row stays as it is, and its id here must be another one, because an event
/// is known by its place in a webhook.
#[derive(Debug, Clone)]
pub struct RecordReplayed(pub RecordWebhook);

impl Command for RecordReplayed {
    type Answer = Recorded;
}

#[async_trait]
impl Statements for RecordReplayed {
    fn tenants(&self) -> Vec<TenantId> {
        // Like live webhooks, they are only added and conflict with no other row.
        Vec::new()
    }

    async fn run(&self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<Recorded, StoreError> {
        let recorded = write(connection, &[&self.0], Raw::KnownAlready, bells).await?;
        Ok(recorded.into_iter().next().unwrap_or(Recorded { new: Vec::new() }))
    }
}

/// What becomes of the webhooks as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw {
    Kept,
    KnownAlready,
}

async fn write(
    connection: &mut dyn Connection,
    webhooks: &[&RecordWebhook],
    raw_webhooks: Raw,
    bells: &mut Bells,
) -> Result<Vec<Recorded>, StoreError> {
    // Sorted, so that two replicas with the same keys wait for each other in one order.
    let mut offered: BTreeMap<EventKey<'_>, (&RecordWebhook, u32)> = BTreeMap::new();
    for webhook in webhooks {
        for (position, key) in (0_u32..).zip(&webhook.dedupe_keys) {
            offered.entry(event_key(webhook, key)).or_insert((webhook, position));
        }
    }
    let rows =
        offered.iter().map(|(key, (webhook, position))| webhook_events::lent(*key, webhook, *position)).collect();
    let raw = match raw_webhooks {
        Raw::KnownAlready => Vec::new(),
        // A webhook without anything new is not kept. One without events is, so that it can be looked into.
        Raw::Kept => webhooks.iter().map(|webhook| log::lent(webhook)).collect(),
    };
    let new = connection.log(LogEntries { events: rows, webhooks: raw }).await?;
    let all_keys: usize = webhooks.iter().map(|webhook| webhook.dedupe_keys.len()).sum();
    if new.len() == all_keys && new.iter().all(|new| *new) {
        // Nearly always: every key is offered once, and none was known.
        bells.webhooks |= !new.is_empty();
        return Ok(webhooks.iter().map(|webhook| Recorded { new: vec![true; webhook.dedupe_keys.len()] }).collect());
    }
    let mut unclaimed: HashSet<EventKey<'_>> =
        offered.into_keys().zip(new).filter_map(|(key, is_new)| is_new.then_some(key)).collect();
    bells.webhooks |= !unclaimed.is_empty();

    let mut recorded = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let keys = webhook.dedupe_keys.iter().map(|key| event_key(webhook, key));
        recorded.push(Recorded { new: keys.map(|key| unclaimed.remove(&key)).collect() });
    }
    Ok(recorded)
}

fn event_key<'k>(webhook: &'k RecordWebhook, dedupe_key: &'k str) -> EventKey<'k> {
    (webhook.tenant.as_str(), webhook.sender.as_str(), dedupe_key)
}
