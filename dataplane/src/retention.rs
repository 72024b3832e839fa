//! Deletes what the tenants' retention no longer keeps.
//!
//! Where the database partitions the log by day, a day of raw webhooks is dropped as a whole once no sender keeps any
//! of it. So the webhooks of the sender with the longest retention live up to a day longer than it says. The webhooks
//! of all others are deleted row by row in bounded steps, like everything outside the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use messaging::clock::before;
use messaging::config::Retention;
use messaging::id::{SenderName, TenantId};
use tokio_util::sync::CancellationToken;

use crate::config::Configs;
use crate::metrics::Metrics;
use crate::progress::Task;
use crate::removal::Removals;
use crate::shared::Shared;
use crate::store::senders::KnownSender;
use crate::store::webhook::{DayMade, Forget, ForgetRemoved, GiveUpEvents, GivenUp};
use crate::store::{DropDay, ForgetOldUnaddressed, MakeDay, Store, StoreError};

/// How often every sender's rows are checked.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows of each table that one step deletes: a few milliseconds of the writer's time.
const STEP: u32 = 500;
/// Days of the log that are created ahead. The store may fail this long before a day is missing.
const DAYS_AHEAD: i32 = 3;
/// An event that could not be applied within this time, and so often, never can: what was wrong for long was wrong with
/// it.
const APPLIED_BEFORE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A few days of tries. A time in which no replica ran does not count.
const APPLIED_WITHIN_TRIES: u32 = 50;
/// A status whose message has not become known within this is of none of ours. Meta sends a webhook again for as long.
const UNKNOWN_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How much longer than their retention webhooks may be kept, so that they are dropped with their day.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// Runs until `stop`.
pub async fn run(shared: Shared, stop: CancellationToken) {
    let Shared { clock, clock_check, progress, .. } = &shared;
    loop {
        // What is deleted does not come back, so an unreliable clock deletes nothing.
        if clock_check.is_reliable() {
            match turn(&shared, &stop).await {
                Ok(()) => progress.did(Task::Forget, clock.now()),
                Err(error) => {
                    tracing::warn!(%error, "retention failed and will be tried again; nothing is deleted too early");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Creates the partitions of the log for today and the next days; called before anything is accepted, so that today's
/// exists. Returns whether the store partitions the log by day. A day that fails is created later; until then its
/// webhooks go to the default partition.
pub async fn make_days(store: &Store, now: Timestamp) -> bool {
    let today = now.to_zoned(TimeZone::UTC).date();
    for day in (0..=DAYS_AHEAD).filter_map(|ahead| today.checked_add(ahead.days()).ok()) {
        match store.write(MakeDay(day)).await {
            Ok(DayMade::NotApart) => return false,
            Ok(DayMade::Made) => tracing::info!(%day, "a day of the log was created"),
            Ok(DayMade::WasThere) => {}
            Ok(DayMade::Taken) => {
                tracing::info!(%day, "the log holds webhooks of a day that was not created in time; they are deleted one by one");
            }
            Err(error) => tracing::warn!(%day, %error, "a day of the log cannot be created yet"),
        }
    }
    true
}

/// Deletes what every sender's retention no longer keeps: of the senders that configs have now, and of those that they
/// have had.
pub async fn turn(shared: &Shared, stop: &CancellationToken) -> Result<(), StoreError> {
    let Shared { store, configs, removals, clock, metrics, .. } = shared;
    let now = clock.now();
    give_up(store, metrics, now).await?;
    let days_are_apart = make_days(store, now).await;
    let all = kept(store.senders().await?, configs, removals);
    let keep_from = longest(&all, configs).filter(|_| days_are_apart).and_then(|longest| day_kept_from(longest, now));
    if let Some(keep_from) = keep_from {
        drop_days(store, keep_from, stop).await;
    }
    store.write(ForgetOldUnaddressed { now }).await?;
    for ((tenant, sender), kept) in &all {
        let Some(Retention { bodies_seconds, metadata_seconds }) = kept.retention.clone() else { continue };
        let bodies_before = before(now, Duration::from_secs(bodies_seconds));
        let metadata_before = before(now, Duration::from_secs(metadata_seconds));
        let forget = Forget {
            tenant: tenant.clone(),
            sender: sender.clone(),
            webhooks_before: webhooks_before(bodies_before, keep_from),
            bodies_before,
            metadata_before,
            parked_before: metadata_before.max(before(now, UNKNOWN_KEPT_FOR)),
            limit: STEP,
        };
        while !stop.is_cancelled() && store.write(forget.clone()).await? > 0 {}
        if kept.is_removed {
            let others_are_left = all.iter().any(|((of, _), kept)| of == tenant && !kept.is_removed);
            let forget = ForgetRemoved {
                tenant: tenant.clone(),
                sender: sender.clone(),
                before: metadata_before,
                others_are_left,
                limit: STEP,
            };
            while !stop.is_cancelled() && store.write(forget.clone()).await? > 0 {}
        }
    }
    Ok(())
}

/// Gives up events that can never be applied: until then they keep the whole day of the log that they came on.
async fn give_up(store: &Store, metrics: &Metrics, now: Timestamp) -> Result<(), StoreError> {
    let hopeless = GiveUpEvents { received_before: before(now, APPLIED_BEFORE), tries: APPLIED_WITHIN_TRIES };
    for GivenUp { tenant, sender, webhook, received_at } in store.write(hopeless).await? {
        metrics.webhook_given_up();
        tracing::error!(
            %tenant, %sender, webhook, %received_at,
            "an event of the log could not be applied for a week and is given up; its webhook is kept as long as the \
             sender's retention says, and a replay lets it take effect"
        );
    }
    Ok(())
}

/// How long a sender's rows are kept.
struct Kept {
    /// `None` while it is not known.
    retention: Option<Retention>,
    is_removed: bool,
}

type AllKept = BTreeMap<(TenantId, SenderName), Kept>;

/// What is kept of whom. The config of now counts more than what is remembered.
fn kept(known: Vec<KnownSender>, configs: &Configs, removals: &Removals) -> AllKept {
    let mut all = AllKept::new();
    for KnownSender { tenant, sender, retention, sinks: _, absence } in known {
        let is_removed = absence.is_some_and(|absence| removals.counts(absence));
        // A sender that was removed before retention was remembered has the default one.
        let retention = retention.or_else(|| is_removed.then(Retention::default));
        all.insert((tenant, sender), Kept { retention, is_removed });
    }
    for tenant in configs.all() {
        for (sender, config) in &tenant.config.senders {
            let kept = Kept { retention: Some(config.retention.clone()), is_removed: false };
            all.insert((tenant.config.tenant.clone(), sender.clone()), kept);
        }
    }
    all
}

/// The longest retention of webhooks among all senders; `None` while some sender's is not known.
///
/// Failure policy: fail closed. A tenant whose config has not been read may keep its webhooks longer than the others.
fn longest(kept: &AllKept, configs: &Configs) -> Option<u64> {
    let known: BTreeSet<&TenantId> = kept.keys().map(|(tenant, _)| tenant).collect();
    let unknown = configs.refused().keys().any(|tenant| configs.get(tenant).is_none() && !known.contains(tenant));
    if unknown || !configs.is_ready() {
        return None;
    }
    let all = kept.values().map(|kept| kept.retention.as_ref().map(|retention| retention.bodies_seconds));
    all.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The start of the first day that some sender still keeps in part.
fn day_kept_from(longest: u64, now: Timestamp) -> Option<Timestamp> {
    let day: Date = before(now, Duration::from_secs(longest)).to_zoned(TimeZone::UTC).date();
    day.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}

/// The time before which a sender's webhooks are deleted one by one. Whole days before `keep_from` are dropped.
fn webhooks_before(bodies_before: Timestamp, keep_from: Option<Timestamp>) -> Timestamp {
    match keep_from {
        // The rest is dropped with its day, within a day.
        Some(keep_from) if bodies_before.duration_since(keep_from) <= A_DAY => bodies_before.min(keep_from),
        Some(_) | None => bodies_before,
    }
}

async fn drop_days(store: &Store, keep_from: Timestamp, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match store.write(DropDay { before: keep_from }).await {
            Ok(Some(day)) => tracing::info!(%day, "a day of the log was dropped: no sender keeps it any longer"),
            Ok(None) => return,
            // A long read may block it, for example. The next turn tries again.
            Err(error) => {
                tracing::warn!(%error, "a day of the log that no sender keeps any longer cannot be dropped yet");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_kept_while_a_sender_keeps_a_moment_of_it() {
        let kept_from = |now| day_kept_from(30 * DAY, at(now));
        assert_eq!(kept_from("2026-11-30T23:59:59Z"), Some(at("2026-10-31T00:00:00Z")));
        assert_eq!(kept_from("2026-12-01T00:00:00Z"), Some(at("2026-11-01T00:00:00Z")));
    }

    #[test]
    fn webhooks_that_are_dropped_with_their_day_within_a_day_are_not_deleted_one_by_one() {
        let now = at("2026-11-30T15:00:00Z");
        let keep_from = day_kept_from(30 * DAY, now);
        let of = |seconds| webhooks_before(before(now, Duration::from_secs(seconds)), keep_from);
        assert_eq!(Some(of(30 * DAY)), keep_from);
        assert_eq!(of(29 * DAY), before(now, Duration::from_secs(29 * DAY)), "they would stay for more than a day");
        assert_eq!(of(0), now);
    }

    #[test]
    fn without_partitions_webhooks_are_deleted_when_their_retention_ends() {
        let now = at("2026-11-30T15:00:00Z");
        assert_eq!(
            webhooks_before(before(now, Duration::from_secs(30 * DAY)), None),
            before(now, Duration::from_secs(30 * DAY))
        );
    }
}
