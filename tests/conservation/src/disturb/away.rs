//! The provider is away once: its API refuses, fails, or says nothing. Its webhooks still come.

use std::time::Duration;

use anyhow::Result;
use rand::RngExt;
use rand::rngs::StdRng;
use sandbox::types::{ErrorShape, RequestEffect, RequestFault};
use tokio::time::sleep;

use super::Around;
use crate::faults;

/// A long run has it away for minutes, a short one for a few seconds.
const LONGEST: Duration = Duration::from_secs(3 * 60);
/// Longer than the data plane waits for an answer.
const SILENT_FOR: u64 = 60_000;

/// Returns for how long it was away.
pub(super) async fn act(around: &Around, load: Duration, mut chance: StdRng) -> Result<Duration> {
    let away = (load / 4).min(LONGEST);
    let unavailable =
        RequestEffect::Status { status: 503, retry_after: None, code: None, message: None, shape: ErrorShape::Html };
    let ways = [RequestEffect::Refuse, unavailable, RequestEffect::Latency { ms: SILENT_FOR }];
    let [refuses, fails, is_silent] = ways;
    let effect = match chance.random_range(0..3) {
        0 => refuses,
        1 => fails,
        _ => is_silent,
    };
    sleep(load / 3).await;
    around.control.clear_faults().await?;
    around.control.add_request_fault(RequestFault::new(effect)).await?;
    sleep(away).await;
    around.control.clear_faults().await?;
    around.control.add_faults(&faults::bad_day()).await?;
    Ok(away)
}
