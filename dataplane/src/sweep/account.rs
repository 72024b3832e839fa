//! Sweeps one account: reads its senders' logs and records the messages that are missing.

use std::time::Duration;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::clock::after;
use messaging::id::TenantId;
use messaging::provider::webhook::WebhookRoute;
use messaging::provider::{InboundEntry, InboundQuery, MessageLog, ProviderError, WebhookEvent};

use super::plan::Span;
use super::{SweepContext, SweepOptions};
use crate::budget::Exhausted;
use crate::config::{Sender, Tenant};
use crate::metrics::Repair;
use crate::shared::Shared;
use crate::store::queue::Fenced;
use crate::store::sweep::{ClaimSweep, FinishSweep};
use crate::store::webhook::{RecordWebhook, dedupe_key, dedupe_keys, webhook_id};
use crate::store::{StoreError, WebhookLog as _};

/// Missing messages are recorded oldest first, so that the later of two keywords wins. More than this many are recorded
/// in several parts.
const HELD_AT_MOST: usize = 5_000;

/// Why a sweep did not finish. The next one reads the same span again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the provider's log could not be read")]
    Provider(#[from] ProviderError),
    #[error("it took longer than {0:?}, and another sweep may have begun")]
    TooLong(Duration),
}

/// Sweeps the tenant's senders of an account, if the account is due.
pub(super) async fn sweep(context: &SweepContext, tenant: &TenantId, account: &str) -> Result<(), Unfinished> {
    let SweepContext { shared: Shared { store, configs, clock, .. }, options, .. } = context;
    let SweepOptions { owner, every, lease, .. } = options;
    let Some(config) = configs.get(tenant) else { return Ok(()) };
    let now = clock.now();
    // Most accounts are not due, and finding that out costs no write.
    if !store.sweep_is_due(tenant, account, now).await? {
        return Ok(());
    }
    let claim =
        ClaimSweep { tenant: tenant.clone(), account: account.to_owned(), now, every: *every, owner: owner.clone() };
    let Some(claim) = store.write(claim).await? else { return Ok(()) };
    let span = Span::plan(claim.swept_until, options, now);
    if span.leaves_a_gap(claim.swept_until) {
        tracing::error!(%tenant, %account, since = %span.since, "nothing was swept for so long that earlier messages are not looked for");
    }
    let swept = Sweep { context, tenant: &config, account, until: after(now, *lease) }.senders(span, now).await;
    // Progress counts only when the sweep finishes, because the log is read newest first.
    let swept_until = swept.is_ok().then(|| claim.swept_until.max(Some(span.until))).flatten();
    if store.write(FinishSweep { claim, swept_until }).await? == Fenced::LeaseLost {
        tracing::warn!(%tenant, %account, "a sweep lasted longer than its lease; what it found is recorded all the same");
    }
    swept
}

struct Sweep<'a> {
    context: &'a SweepContext,
    tenant: &'a Tenant,
    account: &'a str,
    /// When the sweep must be finished.
    until: Timestamp,
}

impl Sweep<'_> {
    async fn senders(&self, span: Span, now: Timestamp) -> Result<(), Unfinished> {
        for sender in self.tenant.senders() {
            if sender.config.provider.account_key() != self.account {
                continue;
            }
            let span = span.within(Duration::from_secs(sender.config.retention.metadata_seconds), now);
            if !span.is_empty() {
                self.sender(&sender, span).await?;
            }
        }
        Ok(())
    }

    /// Reads a sender's log page by page, newest first.
    async fn sender(&self, sender: &Sender<'_>, span: Span) -> Result<(), Unfinished> {
        let Some(log) = sender.provider.message_log() else { return Ok(()) };
        let to = Address::Phone(sender.config.phone_number.clone());
        let mut query = InboundQuery { to, since: span.since, page: None };
        let mut missing = Vec::new();
        loop {
            self.may_ask().await?;
            let page = log.inbound(&query).await?;
            missing.extend(self.unknown(sender, log, span.covered(page.entries)).await?);
            query.page = page.next;
            if query.page.is_none() || missing.len() >= HELD_AT_MOST {
                self.record(sender, log, &mut missing).await?;
            }
            if query.page.is_none() {
                return Ok(());
            }
        }
    }

    /// The entries that are not in the log under the key that their webhook has.
    async fn unknown(
        &self,
        sender: &Sender<'_>,
        log: &dyn MessageLog,
        entries: Vec<InboundEntry>,
    ) -> Result<impl Iterator<Item = InboundEntry>, Unfinished> {
        let keys: Vec<String> = entries.iter().map(|entry| dedupe_key(&log.read(entry.body.as_bytes()))).collect();
        let store = &self.context.shared.store;
        let known = store.known_dedupe_keys(&self.tenant.config.tenant, sender.name, &keys).await?;
        Ok(entries.into_iter().zip(keys).filter(move |(_, key)| !known.contains(key)).map(|(entry, _)| entry))
    }

    /// Records the entries, oldest first, and empties the list.
    async fn record(
        &self,
        sender: &Sender<'_>,
        log: &dyn MessageLog,
        missing: &mut Vec<InboundEntry>,
    ) -> Result<(), Unfinished> {
        missing.sort_by_key(|entry| std::cmp::Reverse(entry.created_at));
        while let Some(entry) = missing.pop() {
            let entry = if entry.is_incomplete {
                self.may_ask().await?;
                log.complete(entry).await?
            } else {
                entry
            };
            self.record_one(sender, log, entry).await?;
        }
        Ok(())
    }

    async fn record_one(
        &self,
        sender: &Sender<'_>,
        log: &dyn MessageLog,
        entry: InboundEntry,
    ) -> Result<(), Unfinished> {
        let Shared { store, clock, metrics, .. } = &self.context.shared;
        let now = clock.now();
        let event = log.read(entry.body.as_bytes());
        let is_message = matches!(event, WebhookEvent::Inbound(_));
        let webhook = RecordWebhook {
            tenant: self.tenant.config.tenant.clone(),
            sender: sender.name.clone(),
            id: webhook_id(now),
            // The window opened when the customer wrote, not when the sweep found the message.
            received_at: entry.created_at.map_or(now, |at| at.min(now)),
            url: entry.url,
            headers: "{}".to_owned(),
            body: entry.body.into(),
            route: WebhookRoute::log(sender.config.provider.provider()),
            dedupe_keys: dedupe_keys(&[event]),
            left_to_others_at: now,
        };
        let is_new = !store.record_webhook(webhook).await?.is_duplicate();
        if is_new && is_message {
            metrics.repaired(Repair::InboundRecovered);
            let (tenant, id) = (&self.tenant.config.tenant, &entry.provider_message_id);
            tracing::warn!(%tenant, sender = %sender.name, %id, "recovered a message that no webhook brought");
        }
        Ok(())
    }

    /// Waits for the account's budget.
    async fn may_ask(&self) -> Result<(), Unfinished> {
        loop {
            let now = self.context.shared.clock.now();
            if now >= self.until {
                return Err(Unfinished::TooLong(self.context.options.lease));
            }
            match self.context.budget.take(self.account, now) {
                Ok(()) => return Ok(()),
                Err(Exhausted { again_at }) => {
                    tokio::time::sleep(again_at.duration_since(now).try_into().unwrap_or_default()).await;
                }
            }
        }
    }
}
