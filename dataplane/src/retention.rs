//! Lets go of what the tenants' retention no longer keeps.
//!
//! Where the database keeps the days of the log apart, a day of raw webhooks leaves whole, as soon as nobody keeps any
//! of it. So a webhook of whoever keeps them longest goes up to a day later than it would alone; everybody else's go
//! with everything that is not of the log, a bounded step at a time.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use messaging::clock::before;
use messaging::config::Retention;
use tokio_util::sync::CancellationToken;

use crate::config::Configs;
use crate::shared::Shared;
use crate::store::webhook::{DayMade, Forget};
use crate::store::{DropDay, ForgetOldUnaddressed, MakeDay, Store, StoreError};

/// How often every sender's rows are looked at.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows of each table in one step: a few milliseconds of the writer's time.
const STEP: u32 = 500;
/// Days of the log that are made before they come: what a store that is away, or nobody looking, may last.
const DAYS_AHEAD: i32 = 3;
/// By how much whoever keeps webhooks longest may keep them longer, so that they leave with their day.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// Forgets until told to stop.
pub async fn run(shared: Shared, stop: CancellationToken) {
    let Shared { store, configs, clock, .. } = shared;
    loop {
        if let Err(error) = turn(&store, &configs, clock.now(), &stop).await {
            tracing::warn!(%error, "retention has to wait; nothing is kept for less than it says");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Makes today's place in the log and those of the next days; before anything is taken, so that it finds it. Answers
/// whether the store keeps days apart. What fails is made later, and stands with the rest of the log until then.
pub async fn make_days(store: &Store, now: Timestamp) -> bool {
    let today = now.to_zoned(TimeZone::UTC).date();
    for day in (0..=DAYS_AHEAD).filter_map(|ahead| today.checked_add(ahead.days()).ok()) {
        match store.write(MakeDay(day)).await {
            Ok(DayMade::NotApart) => return false,
            Ok(DayMade::Made) => tracing::info!(%day, "a day of the log is made"),
            Ok(DayMade::WasThere) => {}
            Ok(DayMade::Taken) => {
                tracing::info!(%day, "the log holds webhooks of a day that was not made in time; they leave one by one");
            }
            Err(error) => tracing::warn!(%day, %error, "a day of the log cannot be made yet"),
        }
    }
    true
}

/// Forgets what every sender's retention lets go of now.
pub async fn turn(
    store: &Store,
    configs: &Configs,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let days_are_apart = make_days(store, now).await;
    let keep_from = longest(configs).filter(|_| days_are_apart).and_then(|longest| day_kept_from(longest, now));
    if let Some(keep_from) = keep_from {
        drop_days(store, keep_from, stop).await;
    }
    store.write(ForgetOldUnaddressed { now }).await?;
    for tenant in configs.all() {
        for sender in tenant.senders() {
            let Retention { bodies_seconds, metadata_seconds } = sender.config.retention;
            let bodies_before = before(now, Duration::from_secs(bodies_seconds));
            let forget = Forget {
                tenant: tenant.config.tenant.clone(),
                sender: sender.name.clone(),
                webhooks_before: webhooks_before(bodies_before, keep_from),
                bodies_before,
                metadata_before: before(now, Duration::from_secs(metadata_seconds)),
                limit: STEP,
            };
            while !stop.is_cancelled() && store.write(forget.clone()).await? > 0 {}
        }
    }
    Ok(())
}

/// The longest that any sender keeps its webhooks; `None` while that is not known of all of them.
///
/// Failure policy: fail closed. A tenant whose config has not been read may keep its webhooks longer than the others.
fn longest(configs: &Configs) -> Option<u64> {
    let unknown = configs.refused().keys().any(|tenant| configs.get(tenant).is_none());
    if unknown || !configs.is_ready() {
        return None;
    }
    let tenants = configs.all();
    tenants.iter().flat_map(|tenant| tenant.config.senders.values()).map(|s| s.retention.bodies_seconds).max()
}

/// The beginning of the first day of which somebody still keeps something.
fn day_kept_from(longest: u64, now: Timestamp) -> Option<Timestamp> {
    let day: Date = before(now, Duration::from_secs(longest)).to_zoned(TimeZone::UTC).date();
    day.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}

/// From before when a sender's webhooks are deleted one by one. `keep_from` is before when whole days go.
fn webhooks_before(bodies_before: Timestamp, keep_from: Option<Timestamp>) -> Timestamp {
    match keep_from {
        // What is left of them goes with its day, within a day.
        Some(keep_from) if bodies_before.duration_since(keep_from) <= A_DAY => bodies_before.min(keep_from),
        Some(_) | None => bodies_before,
    }
}

async fn drop_days(store: &Store, keep_from: Timestamp, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match store.write(DropDay { before: keep_from }).await {
            Ok(Some(day)) => tracing::info!(%day, "a day of the log is dropped: nobody keeps it any longer"),
            Ok(None) => return,
            // Somebody reads it at length, for example. It is tried again with the next turn.
            Err(error) => {
                tracing::warn!(%error, "a day of the log that nobody keeps any longer cannot be dropped yet");
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
    fn a_day_is_kept_while_anybody_keeps_a_moment_of_it() {
        let kept_from = |now| day_kept_from(30 * DAY, at(now));
        assert_eq!(kept_from("2026-11-30T23:59:59Z"), Some(at("2026-10-31T00:00:00Z")));
        assert_eq!(kept_from("2026-12-01T00:00:00Z"), Some(at("2026-11-01T00:00:00Z")));
    }

    #[test]
    fn webhooks_that_leave_with_their_day_within_a_day_are_not_deleted_one_by_one() {
        let now = at("2026-11-30T15:00:00Z");
        let keep_from = day_kept_from(30 * DAY, now);
        let of = |seconds| webhooks_before(before(now, Duration::from_secs(seconds)), keep_from);
        assert_eq!(Some(of(30 * DAY)), keep_from);
        assert_eq!(of(29 * DAY), before(now, Duration::from_secs(29 * DAY)), "they would stay for more than a day");
        assert_eq!(of(0), now);
    }

    #[test]
    fn without_days_webhooks_go_when_they_are_over() {
        let now = at("2026-11-30T15:00:00Z");
        assert_eq!(
            webhooks_before(before(now, Duration::from_secs(30 * DAY)), None),
            before(now, Duration::from_secs(30 * DAY))
        );
    }
}
