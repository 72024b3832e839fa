//! PostgreSQL: connections outlive what happens to the database beneath them, and a database that cannot be used is
//! named when it is opened.

use dataplane::store::StoreError;
use dataplane::store::hold::{Hold, HoldKind, PutHold, Scope};

use super::*;

/// Runs SQL as anybody may, beside the replicas.
async fn beside(database: &Postgres, sql: &str) -> String {
    let server = postgres_cluster::shared().await.unwrap();
    let name = database.address.rsplit('/').next().unwrap();
    server.query(name, sql).await.unwrap()
}

/// A message of a customer is applied, and an answer to them is sent; every statement of both has run once.
async fn one_conversation(store: &Store, seconds: i64) -> Result<(), StoreError> {
    store.record_webhook(webhook(seconds, &[inbound(&format!("SM{seconds}"))])).await?;
    let waiting = store.write(ClaimUnapplied { now: at(1_000_000_000), lease_until: at(0), limit: 100 }).await?;
    for logged in waiting {
        store.write(consequence(&logged)).await?;
    }
    store.contact(&tenant(), &sender(), &customer()).await?;
    store.write(AcceptMessage { message: new_message(seconds), idempotency: None }).await?;
    let claim = claim_of(lane(Priority::Utility), at(seconds), at(seconds + 60));
    let claim = store.write(claim).await?.claims.remove(0);
    let (reference, contact_version, id) = (claim.reference(), claim.contact.version, attempt(seconds));
    let (now, others_in_pool) = (at(seconds), Vec::new());
    let begin = BeginAttempt { claim: reference.clone(), attempt: id, now, contact_version, others_in_pool };
    assert_eq!(store.write(begin).await?, Began::Begun);
    let result = accepted(&format!("SMout{seconds}"));
    let finish = FinishAttempt {
        claim: reference,
        attempt: id,
        now,
        result,
        provider_request_id: None,
        suppress: None,
        new_attempts: new_attempts(),
        sinks: sinks(),
    };
    assert_eq!(store.write(finish).await?.answer, Fenced::Done);
    Ok(())
}

#[tokio::test]
async fn a_column_that_changes_its_type_stops_neither_apply_nor_dispatch() {
    let database = Postgres::new().await;
    one_conversation(database.store(), 0).await.unwrap();
    let columns = "SELECT string_agg(format('ALTER TABLE %I ALTER COLUMN %I TYPE varchar', t, c), ';')
         FROM (VALUES ('contacts', 'state'), ('messages', 'metadata'), ('attempts', 'outcome'), ('queue', 'owner'),
           ('lanes', 'sender'), ('webhook_events', 'webhook')) AS changed (t, c)";
    let changes = beside(&database, columns).await;
    beside(&database, &changes).await;
    one_conversation(database.store(), 10).await.unwrap();
}

#[tokio::test]
async fn a_read_survives_the_end_of_every_connection() {
    let database = Postgres::new().await;
    one_conversation(database.store(), 0).await.unwrap();
    beside(
        &database,
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    database.store().contact(&tenant(), &sender(), &customer()).await.unwrap();
    // The outcome of a write that was under way would be unknown, so nobody but its caller makes it again.
    while one_conversation(database.store(), 10).await.is_err() {}
}

#[tokio::test]
async fn writers_do_not_depend_on_the_databases_own_isolation_level() {
    let database = Postgres::new().await;
    let name = beside(&database, "SELECT current_database()").await;
    beside(&database, &format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")).await;
    let (one, other) = (database.another().await, database.another().await);
    let hold = |n: i64| PutHold {
        hold: Hold {
            tenant: tenant(),
            scope: Scope::Tenant,
            kind: HoldKind::Pause,
            until: at(n),
            reason: "a test".into(),
            created_at: at(0),
        },
    };
    // Each waits for the one before it, and then sees what that has written.
    for n in 0..50 {
        let (one, other) = tokio::join!(one.store().write(hold(n)), other.store().write(hold(n + 1)));
        one.unwrap();
        other.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_not_utf_8_is_named_when_it_is_opened() {
    let server = postgres_cluster::shared().await.unwrap();
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    server.query("postgres", &create).await.unwrap();
    let error = Store::postgres(&server.url(&name).parse().unwrap()).await.err().unwrap().to_string();
    assert!(error.contains("LATIN1") && error.contains("expected UTF8"), "{error}");
}
