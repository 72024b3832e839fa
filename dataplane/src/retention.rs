//! Lets go of what the tenants' retention no longer keeps, a bounded step at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::config::Retention;
use tokio_util::sync::CancellationToken;

use crate::config::Configs;
use crate::store::webhook::Forget;
use crate::store::{Store, StoreError};

/// How often every sender's rows are looked at.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows of each table in one step: a few milliseconds of the writer's time.
const STEP: u32 = 500;

/// Forgets until told to stop.
pub async fn run(store: Arc<dyn Store>, configs: Arc<Configs>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        if let Err(error) = turn(store.as_ref(), &configs, clock.now(), &stop).await {
            tracing::warn!(%error, "retention has to wait; nothing is kept for less than it says");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Forgets what every sender's retention lets go of now.
async fn turn(
    store: &dyn Store,
    configs: &Configs,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    for tenant in configs.all() {
        for sender in tenant.senders() {
            let Retention { bodies_seconds, metadata_seconds } = sender.config.retention;
            let forget = Forget {
                tenant: tenant.config.tenant.clone(),
                sender: sender.name.clone(),
                bodies_before: before(now, bodies_seconds),
                metadata_before: before(now, metadata_seconds),
                limit: STEP,
            };
            while !stop.is_cancelled() && store.forget(forget.clone()).await? > 0 {}
        }
    }
    Ok(())
}

fn before(now: Timestamp, seconds: u64) -> Timestamp {
    let age = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}
