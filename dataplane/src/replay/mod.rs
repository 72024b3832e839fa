//! Reads webhooks of the log again, so that events that could not be read when they came take effect now.
//!
//! Each webhook takes the way of live ones: the sender's adapter translates it, its addressee is found, and its events
//! are recorded under the keys that make each of them take effect once. An event that took effect before has no effect
//! again, because its key is known. An event that had none, because of a defect since fixed, takes effect under the ids
//! that it would have had, because ids follow from the time the webhook came. So a replay may be repeated, interrupted,
//! and run beside serving replicas, which apply what it records.
//!
//! Signatures are not verified again: the log holds only verified webhooks, and the keys may have been rotated since.
//! Nothing is read from before the metadata's retention, because the dedupe keys of that time are forgotten and past
//! effects could not be recognised.
//!
//! [`select`] decides which events are wanted, [`command`] is the subcommand, [`progress`] reports while it runs, and
//! [`summary`] at the end.

mod addressee;
pub mod command;
pub mod progress;
mod select;
mod summary;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::id::{MessageId, SenderName, TenantId};
use messaging::provider::WebhookEvent;

use self::addressee::addressee;
pub use self::select::Kind;
use self::select::{About, Selection};
pub use self::summary::{Counts, Summary};
use crate::apply;
use crate::config::{Configs, Sender, Tenant};
use crate::store::webhook::{RecordWebhook, ReplayFilter, StoredWebhook, dedupe_keys};
use crate::store::{RecordReplayed, Store, StoreError};

/// Webhooks that are read, translated and recorded together.
const PAGE: u32 = 200;

/// What to replay. An event must meet every given condition.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub sender: SenderName,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time; without it, before now.
    pub until: Option<Timestamp>,
    pub kind: Option<Kind>,
    /// Only what is about this message, sent or received.
    pub message: Option<MessageId>,
    /// Only find out what would be new.
    pub dry_run: bool,
}

/// What replaying needs.
pub struct Replay<'a> {
    pub store: &'a Store,
    pub configs: &'a Configs,
    pub tenant: Arc<Tenant>,
    pub clock: &'a dyn Clock,
}

/// Why a replay stopped. What it had recorded remains, and is known the next time.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("tenant {tenant} has no sender {sender}: expected one of {known}")]
    UnknownSender { tenant: TenantId, sender: SenderName, known: String },
    #[error("tenant {tenant} has no message {message}, sent or received")]
    UnknownMessage { tenant: TenantId, message: MessageId },
}

/// Receives a replay's progress.
pub trait Progress: Send {
    /// So many webhooks will be read.
    fn begins(&mut self, webhooks: u64);
    fn goes_on(&mut self, so_far: &Summary);
}

impl Replay<'_> {
    /// Replays page by page, oldest first.
    pub async fn run(&self, wanted: &Wanted, progress: &mut dyn Progress) -> Result<Summary, ReplayError> {
        let (now, tenant) = (self.clock.now(), &self.tenant.config.tenant);
        let Some(sender) = self.tenant.sender(&wanted.sender) else {
            let known: Vec<_> = self.tenant.senders().map(|sender| sender.name.as_str()).collect();
            let (tenant, sender) = (tenant.clone(), wanted.sender.clone());
            return Err(ReplayError::UnknownSender { tenant, sender, known: known.join(", ") });
        };
        let about = match wanted.message {
            Some(message) => Some(self.about(message).await?),
            None => None,
        };
        let selection = Selection { kind: wanted.kind, about };
        let mut filter = ReplayFilter {
            tenant: tenant.clone(),
            sender: wanted.sender.clone(),
            since: wanted.since.max(now.checked_sub(self.keys_are_kept_for()).ok()),
            // Webhooks that arrive during the replay are translated by the serving version.
            until: Some(wanted.until.map_or(now, |until| until.min(now))),
            after: None,
            limit: PAGE,
        };
        let mut summary = Summary::of(wanted, filter.since, filter.until);
        let mut would_be_new = HashSet::new();
        progress.begins(self.store.count_webhooks(&filter).await?);
        loop {
            let page = self.store.webhooks(&filter).await?;
            let Some(last) = page.last() else { return Ok(summary) };
            filter.after = Some((last.received_at, last.id.clone()));
            summary.read += u64::try_from(page.len()).unwrap_or(u64::MAX);
            let webhooks: Vec<_> = page
                .into_iter()
                .filter_map(|stored| self.translate(stored, sender, &selection, &mut summary))
                .collect();
            let unknown = self.without_known(webhooks, &wanted.sender, &mut summary).await?;
            if wanted.dry_run {
                would_record(&unknown, &mut would_be_new, &mut summary);
            } else {
                self.record(unknown, &mut summary).await?;
            }
            progress.goes_on(&summary);
        }
    }

    /// How long the dedupe key of every event is kept.
    fn keys_are_kept_for(&self) -> SignedDuration {
        let kept = self.tenant.senders().map(|sender| sender.config.retention.metadata_seconds);
        SignedDuration::from_secs(kept.min().and_then(|seconds| seconds.try_into().ok()).unwrap_or(i64::MAX))
    }

    /// The names by which events refer to a message.
    async fn about(&self, message: MessageId) -> Result<About, ReplayError> {
        let tenant = &self.tenant.config.tenant;
        let record = self.store.message(tenant, message).await?;
        let provider_id = self.store.answerable(tenant, message).await?.map(|known| known.provider_message_id);
        if record.is_none() && provider_id.is_none() {
            return Err(ReplayError::UnknownMessage { tenant: tenant.clone(), message });
        }
        let attempts = record.iter().flat_map(|record| &record.timeline).filter_map(|step| step.attempt).collect();
        Ok(About { provider_message_ids: provider_id.into_iter().collect(), attempts })
    }

    /// Translates a stored webhook like a live one, with today's adapter. `None` when none of its events is wanted.
    fn translate(
        &self,
        stored: StoredWebhook,
        sender: Sender<'_>,
        selection: &Selection,
        summary: &mut Summary,
    ) -> Option<Translated> {
        let came_as = apply::traffic(self.configs, &stored);
        let events = apply::translate(self.configs, Some(sender.provider.as_ref()), &stored);
        let addressee = addressee(&self.tenant, sender, &events).name.clone();
        let StoredWebhook { tenant, sender: _, id, received_at, url, route, headers, body } = stored;
        let (mut kept, mut unreadable) = (Vec::new(), false);
        for event in events {
            if !selection.wants(&event, came_as) {
                summary.passed_over += 1;
            } else if let WebhookEvent::Unreadable { .. } = event {
                unreadable = true;
                summary.unreadable += 1;
            } else {
                kept.push(event);
            }
        }
        if unreadable {
            tracing::debug!(webhook = id, "a webhook of the log still cannot be read");
        }
        (!kept.is_empty()).then(|| {
            let (dedupe_keys, left_to_others_at) = (dedupe_keys(&kept), self.clock.now());
            let sender = addressee;
            let webhook = RecordWebhook {
                tenant,
                sender,
                id,
                received_at,
                url,
                route,
                headers,
                body,
                dedupe_keys,
                left_to_others_at,
            };
            Translated { webhook, events: kept }
        })
    }

    /// Keeps only events whose key is unknown. An event may have come when its addressee was not configured; it then
    /// took effect for the sender whose URL was called.
    async fn without_known(
        &self,
        webhooks: Vec<Translated>,
        called: &SenderName,
        summary: &mut Summary,
    ) -> Result<Vec<Translated>, ReplayError> {
        let mut keys: BTreeMap<&SenderName, Vec<String>> = BTreeMap::new();
        for Translated { webhook, .. } in &webhooks {
            if webhook.sender != *called {
                keys.entry(called).or_default().extend(webhook.dedupe_keys.iter().cloned());
            }
            keys.entry(&webhook.sender).or_default().extend(webhook.dedupe_keys.iter().cloned());
        }
        let mut known: BTreeMap<SenderName, HashSet<String>> = BTreeMap::new();
        for (sender, keys) in keys {
            let found = self.store.known_dedupe_keys(&self.tenant.config.tenant, sender, &keys).await?;
            known.insert(sender.clone(), found);
        }
        let is_known = |sender: &SenderName, key: &String| known.get(sender).is_some_and(|keys| keys.contains(key));
        let mut unknown = Vec::new();
        for Translated { mut webhook, events } in webhooks {
            let keys = std::mem::take(&mut webhook.dedupe_keys);
            let mut left = Vec::new();
            for (key, event) in keys.into_iter().zip(events) {
                if is_known(&webhook.sender, &key) || is_known(called, &key) {
                    summary.count_duplicate(&event);
                } else {
                    webhook.dedupe_keys.push(key);
                    left.push(event);
                }
            }
            if !left.is_empty() {
                unknown.push(Translated { webhook, events: left });
            }
        }
        Ok(unknown)
    }

    async fn record(&self, webhooks: Vec<Translated>, summary: &mut Summary) -> Result<(), ReplayError> {
        let recorded = webhooks.into_iter().map(|Translated { webhook, events }| async move {
            self.store.write(RecordReplayed(webhook)).await.map(|recorded| (events, recorded))
        });
        for recorded in join_all(recorded).await {
            let (events, recorded) = recorded?;
            for (event, is_new) in events.iter().zip(recorded.new) {
                if is_new { summary.count_new(event) } else { summary.count_duplicate(event) }
            }
        }
        Ok(())
    }
}

/// A webhook of the log, with the wanted ones of its events.
struct Translated {
    webhook: RecordWebhook,
    events: Vec<WebhookEvent>,
}

/// Counts as [`Replay::record`] would.
fn would_record(webhooks: &[Translated], would_be_new: &mut HashSet<(SenderName, String)>, summary: &mut Summary) {
    for Translated { webhook, events } in webhooks {
        for (key, event) in webhook.dedupe_keys.iter().zip(events) {
            if would_be_new.insert((webhook.sender.clone(), key.clone())) {
                summary.count_new(event);
            } else {
                summary.count_duplicate(event);
            }
        }
    }
}
