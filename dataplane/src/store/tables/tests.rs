use super::table::Table;
use super::*;
use crate::store::Store;
use crate::store::database::sqlite;

static ALL: [&Table; 22] = [
    &attempts::TABLE,
    &consent_records::TABLE,
    &contact_links::TABLE,
    &contacts::TABLE,
    &holds::TABLE,
    &idempotency_keys::TABLE,
    &inbound_messages::TABLE,
    &lanes::TABLE,
    &message_timeline::TABLE,
    &messages::TABLE,
    &outbox::TABLE,
    &outbox_lanes::TABLE,
    &parked_statuses::TABLE,
    &queue::TABLE,
    &rate_buckets::TABLE,
    &senders::TABLE,
    &sink_lanes::TABLE,
    &sweeps::TABLE,
    &unaddressed_webhooks::TABLE,
    &unsettled::TABLE,
    &webhook_events::TABLE,
    &webhooks::TABLE,
];

/// PostgreSQL's columns are compared by the tests of its migrations, which read and write every table.
#[tokio::test]
async fn every_table_is_as_the_database_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let opened = Store::sqlite(&file).await.unwrap();
    let database = rusqlite::Connection::open(&file).unwrap();
    for table in ALL {
        let mut columns = database
            .prepare(&format!("SELECT name, CAST(pk AS INTEGER) FROM pragma_table_info('{}')", table.name))
            .unwrap();
        let columns: Vec<(String, i64)> =
            columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, table.names().collect::<Vec<_>>(), "{}", table.name);
        let key: Vec<_> = columns.iter().map(|(_, key)| *key).filter(|key| *key > 0).collect();
        assert_eq!(key, (1..).take(table.key).collect::<Vec<i64>>(), "the key of {}", table.name);
    }
    drop(opened);
}

/// PostgreSQL's sessions scan no table (`enable_seqscan`).
#[tokio::test]
async fn rows_are_found_by_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let opened = Store::sqlite(&file).await.unwrap();
    let database = rusqlite::Connection::open(&file).unwrap();
    for finder in [
        &attempts::BY_PROVIDER_ID,
        &contact_links::BY_PHONE,
        &contact_links::BY_USER,
        &contacts::BY_KEY,
        &messages::BY_KEY,
        &parked_statuses::BY_PROVIDER_ID,
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {}", sqlite::select(finder));
        let mut plan = database.prepare(&sql).unwrap();
        let nothing = rusqlite::params_from_iter(finder.by.iter().map(|_| ""));
        let steps = plan.query_map(nothing, |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        let uses_all = |step: &str| finder.by.iter().all(|column| step.contains(&format!("{column}=?")));
        assert!(matches!(&steps[..], [step] if step.starts_with("SEARCH") && uses_all(step)), "{sql}: {steps:?}");
    }
    drop(opened);
}
