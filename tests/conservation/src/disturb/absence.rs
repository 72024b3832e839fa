//! A tenant is removed from the configs and put back soon, now and then. Nothing of it may be lost by that.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, sleep_until};

use super::Around;

/// Returns how often.
pub(super) async fn act(around: &Around, end: Instant, mut chance: StdRng) -> Result<usize> {
    let mut removals = 0;
    loop {
        let next = Instant::now() + Duration::from_millis(chance.random_range(4_000..12_000));
        if next >= end {
            return Ok(removals);
        }
        sleep_until(next).await;
        let tenant = &around.tenants[chance.random_range(0..around.tenants.len())];
        let path = around.configs.join(format!("{}.json", tenant.name));
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        // The replicas look once a second.
        sleep(Duration::from_millis(chance.random_range(500..3_000))).await;
        tenant.write_config(&around.configs, &around.public_url, &around.provider)?;
        removals += 1;
    }
}
