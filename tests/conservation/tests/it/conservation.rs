//! Nothing acknowledged is lost, and nothing happens twice, whatever goes wrong.

use anyhow::Result;
use conservation::run::Summary;
use conservation::{Plan, Store, run};

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_with_sqlite_conserves_everything_through_kills_and_a_bad_day_at_the_provider() -> Result<()> {
    was_put_to_the_test(&run(&Plan::short(Store::Sqlite)?).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_conserve_everything_through_kills_crashes_and_cuts() -> Result<()> {
    was_put_to_the_test(&run(&Plan::short(Store::Postgres)?).await?);
    Ok(())
}

/// A run proves something only if it exercised every case.
fn was_put_to_the_test(summary: &Summary) {
    assert!(summary.accepted > 50 && summary.acknowledged > 100, "{summary:?}");
    assert!(summary.with_template > 20 && summary.asked_in_vain > 0, "{summary:?}");
    assert!(summary.deliveries > summary.events, "no event was delivered twice: {summary:?}");
}
