use super::table::Table;
use super::*;
use crate::store::Store;

static ALL: [&Table; 20] = [
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
