//! Two servers, the second a synchronous standby of the first.

use postgres_cluster::Server;

#[tokio::test]
async fn what_the_primary_acknowledged_is_on_the_promoted_standby() {
    let mut primary = Server::launch(&[]).await.unwrap();
    primary.query("postgres", "CREATE TABLE kept (n int)").await.unwrap();
    let standby = Server::standby_of(&primary).await.unwrap();
    let synchronous = "SELECT sync_state || state FROM pg_stat_replication";
    assert_eq!(primary.query("postgres", synchronous).await.unwrap(), "syncstreaming");
    let refused = standby.query("postgres", "INSERT INTO kept VALUES (0)").await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");

    primary.query("postgres", "INSERT INTO kept VALUES (1)").await.unwrap();
    primary.kill().await.unwrap();
    standby.promote().await.unwrap();
    assert_eq!(standby.query("postgres", "SELECT n FROM kept").await.unwrap(), "1");
    standby.query("postgres", "INSERT INTO kept VALUES (2)").await.unwrap();
    assert_eq!(standby.query("postgres", "SELECT count(*) FROM kept").await.unwrap(), "2");
}

#[tokio::test]
async fn a_commit_waits_for_a_standby_that_is_down() {
    let primary = Server::launch(&[]).await.unwrap();
    primary.query("postgres", "CREATE TABLE kept (n int)").await.unwrap();
    let mut standby = Server::standby_of(&primary).await.unwrap();
    standby.stop_immediately().await.unwrap();
    let insert = primary.query("postgres", "INSERT INTO kept VALUES (1)");
    tokio::pin!(insert);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    loop {
        tokio::select! {
            acknowledged = &mut insert => panic!("acknowledged without the standby: {acknowledged:?}"),
            seen = primary.query("postgres", waiting) => if seen.unwrap() == "1" { break },
        }
    }
    standby.start().await.unwrap();
    insert.await.unwrap();
    standby.promote().await.unwrap();
    assert_eq!(standby.query("postgres", "SELECT n FROM kept").await.unwrap(), "1");
}
