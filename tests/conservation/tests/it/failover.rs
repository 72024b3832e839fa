//! The database server dies and its standby takes its place, under load.

use anyhow::Result;
use conservation::plan::Chaos;
use conservation::{Plan, Store, run};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_missing_after_a_failover_and_nothing_was_sent_twice() -> Result<()> {
    let plan = Plan::short(Store::PostgresWithStandby)?;
    let summary = run(&Plan { chaos: Chaos::Failover, ..plan }).await?;
    assert!(summary.accepted > 50 && summary.acknowledged > 100, "{summary:?}");
    Ok(())
}
