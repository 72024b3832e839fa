//! Conservation for as long as `SOAK_MINUTES` says, in one run: `make soak`.

use std::time::Duration;

use anyhow::{Context, Result};
use conservation::{Plan, Store, run};

#[tokio::main]
async fn main() -> Result<()> {
    let minutes = std::env::var("SOAK_MINUTES").unwrap_or_else(|_| "10".to_owned());
    let minutes: u64 = minutes.parse().with_context(|| format!("SOAK_MINUTES is {minutes:?}: expected a number"))?;
    let plan = Plan::short(Store::Postgres)?;
    let (load, by_itself) = (Duration::from_secs(60 * minutes), Duration::from_secs(90));
    run(&Plan { load, by_itself, ..plan }).await.map(drop)
}
