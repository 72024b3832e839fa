//! Ends what senders left behind that are missing from every config.
//!
//! Every replica looks at its configs and remembers in the store which senders they have; [`crate::rules::removal`] says
//! when an absent one counts as removed. Until then everything waits: messages in the queue, events for the sinks, webhooks
//! in the log. From then on:
//!
//! ```text
//! queued ──────────> canceled, here
//! handed over ─────> settled by what comes, or by its deadline: see `dispatch/settle`
//! webhooks waiting > take effect without a config: see `apply`
//! events waiting ──> dead letters: see `publish`
//! everything ──────> leaves by the retention that was last known: see `retention`
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::try_join_all;
use jiff::Timestamp;
use messaging::clock::after;
use messaging::id::{SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use tokio_util::sync::CancellationToken;

use crate::config::Configs;
use crate::progress::Task;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::senders::{Absence, CancelOfRemoved, KnownSender, NoteSender, Seen};

/// How often the configs are compared with what is remembered, besides when they change.
const EVERY: Duration = Duration::from_secs(60);
/// How often an absence that goes on is written.
const PROLONGED_EVERY: Duration = Duration::from_secs(10 * 60);
/// Configs that change together are looked at together.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);
/// Messages that are canceled, or senders that are noted, at once: few enough to leave room for other writes.
const STEP: u32 = 100;

/// The senders that are absent from all configs, as they were when this replica last looked.
#[derive(Debug)]
pub struct Removals {
    grace: Duration,
    absent: ArcSwap<BTreeMap<(TenantId, SenderName), Absence>>,
}

impl Removals {
    /// `grace` is how long a sender may be absent before it counts as removed.
    pub fn new(grace: Duration) -> Self {
        Self { grace, absent: ArcSwap::default() }
    }

    /// Whether a sender that this replica has in no config is removed, and not only absent for now.
    pub fn is_removed(&self, tenant: &TenantId, sender: &SenderName) -> bool {
        let absent = self.absent.load();
        absent.get(&(tenant.clone(), sender.clone())).is_some_and(|absence| self.counts(*absence))
    }

    /// Whether an absence has lasted for the whole grace.
    pub fn counts(&self, absence: Absence) -> bool {
        absence.is_removal(self.grace)
    }

    fn removed(&self) -> Vec<(TenantId, SenderName)> {
        let absent = self.absent.load();
        let removed = absent.iter().filter(|(_, absence)| self.counts(**absence));
        removed.map(|(key, _)| key.clone()).collect()
    }
}

/// Runs until `stop`.
pub async fn run(shared: Shared, stop: CancellationToken) {
    let mut changes = shared.configs.subscribe();
    loop {
        changes.mark_unchanged();
        match turn(&shared, &stop).await {
            Ok(()) => shared.progress.did(Task::Remove, shared.clock.now()),
            Err(error) => {
                tracing::warn!(%error, "what removed senders left behind cannot be ended yet; it is tried again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(EVERY) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SETTLES_WITHIN) => {}
        }
    }
}

/// Notes what the configs have, and cancels what is queued for removed senders.
pub async fn turn(shared: &Shared, stop: &CancellationToken) -> Result<(), StoreError> {
    let Shared { store, configs, clock, clock_check, removals, .. } = shared;
    // Absences are counted by the store's clock, and a canceled message does not come back.
    if !configs.is_ready() || !clock_check.is_reliable() {
        return Ok(());
    }
    let notes = notes(&store.senders().await?, configs, removals.grace, clock.now());
    for some in notes.chunks(usize::try_from(STEP).unwrap_or(usize::MAX)) {
        try_join_all(some.iter().map(|note| store.write(note.clone()))).await?;
    }
    let known = store.senders().await?;
    let absent = known.into_iter().filter_map(|known| Some(((known.tenant, known.sender), known.absence?)));
    removals.absent.store(Arc::new(absent.collect()));
    for (tenant, sender) in removals.removed() {
        cancel(shared, &tenant, &sender, stop).await?;
    }
    Ok(())
}

/// What there is to note: nothing of a sender that is known as it is, and nothing more of one that is removed.
fn notes(known: &[KnownSender], configs: &Configs, grace: Duration, now: Timestamp) -> Vec<NoteSender> {
    let known: BTreeMap<_, _> = known.iter().map(|known| ((&known.tenant, &known.sender), known)).collect();
    let refused = configs.refused();
    let mut notes = Vec::new();
    for tenant in configs.all() {
        for (sender, config) in &tenant.config.senders {
            let id = &tenant.config.tenant;
            let sinks = tenant.sender(sender).map(|sender| sender.sinks()).unwrap_or_default();
            let is_known = known.get(&(id, sender)).is_some_and(|known| {
                let last = (known.retention.as_ref(), known.sinks.as_ref());
                known.absence.is_none() && last == (Some(&config.retention), Some(&sinks))
            });
            if !is_known {
                let seen = Seen::Configured { retention: config.retention.clone(), sinks };
                notes.push(NoteSender { tenant: id.clone(), sender: sender.clone(), seen, now });
            }
        }
    }
    let seen = if configs.know_what_is_absent() { Seen::Absent } else { Seen::Unsure };
    for ((tenant, sender), known) in known {
        let is_sure = match configs.get(tenant) {
            Some(running) => !running.config.senders.contains_key(sender),
            // Its config cannot be read, which is not a removal.
            None => !refused.contains_key(tenant),
        };
        let is_news = known.absence.is_none_or(|absence| {
            !absence.is_removal(grace) && now >= after(absence.until, PROLONGED_EVERY.min(grace / 4))
        });
        if is_sure && is_news {
            if known.absence.is_none() && seen == Seen::Absent {
                tracing::info!(%tenant, %sender, "a sender is missing from every config; unless it is put back in time, what is queued for it is canceled");
            }
            notes.push(NoteSender { tenant: tenant.clone(), sender: sender.clone(), seen: seen.clone(), now });
        }
    }
    notes
}

/// Cancels what is queued for a removed sender.
async fn cancel(
    shared: &Shared,
    tenant: &TenantId,
    sender: &SenderName,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let Shared { store, clock, metrics, removals, .. } = shared;
    let mut last = None;
    while !stop.is_cancelled() {
        let queued = store.queued_of(tenant, sender, last, STEP).await?;
        last = queued.last().copied();
        if last.is_none() {
            return Ok(());
        }
        let (grace, now) = (removals.grace, clock.now());
        let cancel = |id| store.write(CancelOfRemoved { tenant: tenant.clone(), id, grace, now });
        let ended = try_join_all(queued.into_iter().map(cancel)).await?;
        let canceled = ended.into_iter().filter(|ended| *ended).count();
        (0..canceled).for_each(|_| metrics.message_reached(MessageStatus::Canceled));
        if canceled > 0 {
            tracing::info!(%tenant, %sender, canceled, "messages of a removed sender were canceled");
        }
    }
    Ok(())
}
