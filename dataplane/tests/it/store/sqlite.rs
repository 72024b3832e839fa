//! What only a store in a file and of this process can show: group commit, its bounds, and a crash at any moment.

use dataplane::store::message::MessageFilter;
use dataplane::store::{Store, StoreError, WebhookLog, Writers};
use futures::future::{join, join_all};
use messaging::lifecycle::MessageStatus::{Queued, Submitted};

use super::*;

#[tokio::test]
async fn what_was_answered_survives_a_crash_at_any_moment() {
    let mut database = Sqlite::new().await;
    for round in 0..5 {
        // Writes of every kind are under way; the crash comes when so many of them were answered.
        let kept = {
            let store = database.store();
            let taken = record(store, round, inbound(&format!("SM{round}"))).await;
            assert_eq!(taken.new, [true]);
            accept(store, new_message(round)).await.id
        };
        database = database.crash().await;
        let store = database.store();
        assert_eq!(status(store, kept).await, Queued);
        assert!(record(store, 100, inbound(&format!("SM{round}"))).await.is_duplicate());
        assert_eq!(apply_all(store).await.len(), 1, "it takes effect after the restart");
    }
    assert_eq!(claim_some(database.store(), 1000, 100).await.len(), 5);
}

#[tokio::test]
async fn what_was_not_answered_is_whole_or_not_at_all_after_a_crash() {
    let mut database = Sqlite::new().await;
    for round in 0..10_i64 {
        let (store, id) = (Arc::clone(&database.store), new_message(round));
        let message = id.id;
        let write = store.write(AcceptMessage { message: id, idempotency: None });
        let crash = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            database.writer.abort_all();
        };
        let (answer, ()) = join(write, crash).await;
        drop(store);
        database = database.crash().await;
        let record = database.store().message(&tenant(), message).await.unwrap();
        match (answer, record) {
            (Ok(_), Some(_)) | (Err(_), None) => {}
            // Committed, and cut off before it was answered.
            (Err(_), Some(record)) => assert_eq!(record.timeline.len(), 1),
            (Ok(_), None) => panic!("an answered write is lost"),
        }
        let due = database.store().queue_counts(at(1000)).await.unwrap().due;
        let everything = MessageFilter { limit: 200, ..MessageFilter::default() };
        let listed = database.store().messages(&tenant(), &everything).await.unwrap().items.len();
        assert_eq!(due, listed as u64, "each message has its place in the queue");
    }
}

#[tokio::test]
async fn an_attempt_under_way_at_a_crash_is_known_afterwards() {
    let database = Sqlite::new().await;
    let (claim, attempt) = submitted(database.store(), 0).await;
    let database = database.crash().await;
    assert_eq!(status(database.store(), claim.message.id).await, Submitted);
    assert_eq!(claim_one(database.store(), 60).await.open_attempt, Some(attempt));
}

/// A store whose writer does not run yet, so that what is written waits for one group.
async fn still() -> (TempDir, Store, Writers) {
    let directory = tempfile::tempdir().unwrap();
    let (store, committer) = Store::sqlite(&directory.path().join("store.db")).await.unwrap();
    (directory, store, committer)
}

#[tokio::test]
async fn a_write_that_fails_harms_no_other_of_its_group() {
    let (directory, store, committer) = still().await;
    let messages: Vec<_> = (1..8).map(new_message).collect();
    let refused = messages[3].id;
    // The database itself refuses one of them, which fails the whole transaction.
    let database = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.id = '{refused}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    );
    database.execute_batch(&trigger).unwrap();
    let writes = messages.into_iter().map(|m| store.write(AcceptMessage { message: m, idempotency: None }));
    let events = (0..3).map(|n| record(&store, n, inbound(&format!("SM{n}"))));
    let mut writer = JoinSet::new();
    let (answers, (recorded, _)) =
        join(join_all(writes), async { join(join_all(events), async { writer.spawn(committer.run()) }).await }).await;
    let failed: Vec<usize> =
        (0..7).filter(|n| matches!(&answers[*n], Err(StoreError::Failed(reason)) if reason.contains("no"))).collect();
    let new = answers.iter().filter(|a| matches!(a, Ok(Acceptance::New(_)))).count();
    assert_eq!((failed, new), (vec![3], 6), "{answers:?}");
    assert!(recorded.iter().all(|r| r.new == [true]), "{recorded:?}");
    assert_eq!(store.queue_counts(at(100)).await.unwrap().due, 6);
}

#[tokio::test]
async fn above_the_bound_writes_are_shed_and_requests_before_webhooks() {
    let (_directory, store, committer) = still().await;
    let mut waiting = Vec::new();
    let (mut requests, mut webhooks) = (0, 0);
    for n in 0..2000 {
        let mut write = Box::pin(store.write(AcceptMessage { message: new_message(n), idempotency: None }));
        match futures::poll!(write.as_mut()) {
            std::task::Poll::Pending => waiting.push(write),
            std::task::Poll::Ready(answer) => {
                assert!(matches!(answer, Err(StoreError::Overloaded)), "{answer:?}");
                break;
            }
        }
        requests += 1;
    }
    let mut taken = Vec::new();
    for n in 0..2000 {
        let mut write = store.record_webhook(webhook(n, &[inbound(&format!("SM{n}"))]));
        match futures::poll!(write.as_mut()) {
            std::task::Poll::Pending => taken.push(write),
            std::task::Poll::Ready(answer) => {
                assert!(matches!(answer, Err(StoreError::Overloaded)), "{answer:?}");
                break;
            }
        }
        webhooks += 1;
    }
    assert!(requests >= 512 && webhooks >= 256, "{requests} requests and {webhooks} webhooks");
    // What was let in is written.
    let mut writer = JoinSet::new();
    writer.spawn(committer.run());
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert!(join_all(taken).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn closing_writes_what_waits_and_takes_nothing_more() {
    let (directory, store, committer) = still().await;
    let mut writer = JoinSet::new();
    let write = store.write(AcceptMessage { message: new_message(0), idempotency: None });
    let (answer, ()) = join(write, async {
        writer.spawn(committer.run());
        store.close().await;
    })
    .await;
    assert!(matches!(answer, Ok(Acceptance::New(_))), "{answer:?}");
    let late = store.write(AcceptMessage { message: new_message(1), idempotency: None }).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    drop(store);
    let database = Sqlite::open(directory).await;
    assert_eq!(claim_some(database.store(), 10, 10).await.len(), 1);
}
