//! Waits for something to become true, with a deadline and a reason. Nothing here waits for time to pass.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};

/// How long anything may take before a test gives up. It is generous, because a busy two-core machine is slow. A test
/// that passes never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `probe` returns a value. The error says what was last seen.
pub async fn eventually<T, E: Debug>(
    what: &str,
    mut probe: impl AsyncFnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = None;
    let polling = async {
        loop {
            ticks.tick().await;
            match probe().await {
                Ok(value) => return value,
                Err(error) => last = Some(error),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, polling).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("not so after {} s: {what}; last seen: {last:?}", PATIENCE.as_secs()),
    }
}
