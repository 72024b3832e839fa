//! The days of the log: what a day takes leaves with it, and nothing else does.

use dataplane::store::DropDay;
use dataplane::store::MakeDay;
use dataplane::store::WebhookLog as _;
use std::time::Duration;

use dataplane::config::Applied;
use dataplane::retention;
use dataplane::rules::apply::DeferLogged;
use dataplane::shared::Shared;
use dataplane::store::webhook::{DayMade, ReplayFilter};
use dataplane::store::{Store, StoreError};
use futures::future::{join_all, try_join};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{bytes, tenant_json};
use crate::fake::{DrivenClock, FakeProvider};
use crate::world::shared;

promises!(a_day_that_is_made_again_changes_nothing, days_that_nobody_made_are_not_dropped,);

const DAY: i64 = 24 * 60 * 60;

/// Midnight of so many days after today.
fn midnight(days: i64) -> Timestamp {
    let day = day(days);
    day.to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn day(days: i64) -> Date {
    at(0).to_zoned(TimeZone::UTC).date().checked_add(days.days()).unwrap()
}

/// Seconds of a moment of the day, as [`at`] counts them.
fn noon(days: i64) -> i64 {
    midnight(days).as_second() + DAY / 2 - at(0).as_second()
}

async fn logged(store: &Store) -> Vec<i64> {
    let filter = ReplayFilter { tenant: tenant(), sender: sender(), since: None, until: None, after: None, limit: 100 };
    let webhooks = store.webhooks(&filter).await.unwrap();
    webhooks.into_iter().map(|webhook| webhook.received_at.as_second() - at(0).as_second()).collect()
}

async fn a_day_that_is_made_again_changes_nothing(store: &Store) {
    let first = store.write(MakeDay(day(0))).await.unwrap();
    assert!(matches!(first, DayMade::Made | DayMade::NotApart), "{first:?}");
    record(store, noon(0), inbound("SM1")).await;
    let again = store.write(MakeDay(day(0))).await.unwrap();
    assert!(matches!(again, DayMade::WasThere | DayMade::NotApart), "{again:?}");
    assert_eq!(logged(store).await, [noon(0)]);
}

async fn days_that_nobody_made_are_not_dropped(store: &Store) {
    record(store, noon(0), inbound("SM1")).await;
    assert_eq!(store.write(DropDay { before: midnight(9) }).await.unwrap(), None);
    assert_eq!(logged(store).await, [noon(0)]);
}

#[tokio::test]
async fn a_day_takes_its_webhooks_with_it_and_leaves_the_others() {
    let database = Postgres::new().await;
    let store = database.store();
    for days in 0..3 {
        assert_eq!(store.write(MakeDay(day(days))).await.unwrap(), DayMade::Made);
    }
    // Also what came before the first day, and after the last.
    for days in -1..4 {
        record(store, noon(days), inbound(&format!("SM{days}"))).await;
    }
    let unapplied_before = apply_all(store).await.len();
    assert_eq!(unapplied_before, 5);

    assert_eq!(store.write(DropDay { before: midnight(1) - 1.second() }).await.unwrap(), None, "it is not over");
    assert_eq!(
        store.write(DropDay { before: midnight(2) }).await.unwrap(),
        Some(day(0)),
        "the oldest first, one at a time"
    );
    assert_eq!(logged(store).await, [noon(-1), noon(1), noon(2), noon(3)]);
    assert_eq!(store.write(DropDay { before: midnight(2) }).await.unwrap(), Some(day(1)));
    assert_eq!(store.write(DropDay { before: midnight(2) }).await.unwrap(), None);
    assert_eq!(logged(store).await, [noon(-1), noon(2), noon(3)]);

    assert!(record(store, noon(2), inbound("SM0")).await.is_duplicate(), "an event is known for longer than its body");
    assert!(!record(store, noon(0), inbound("SM9")).await.is_duplicate(), "what comes for a day that is gone is kept");
    assert!(logged(store).await.contains(&noon(0)));
}

#[tokio::test]
async fn a_day_that_has_begun_without_a_place_of_its_own_is_left_as_it_is() {
    let database = Postgres::new().await;
    let store = database.store();
    record(store, noon(0), inbound("SM1")).await;
    assert_eq!(store.write(MakeDay(day(0))).await.unwrap(), DayMade::Taken);
    assert_eq!(store.write(MakeDay(day(1))).await.unwrap(), DayMade::Made, "the next day is not harmed by it");
    record(store, noon(0), inbound("SM2")).await;
    record(store, noon(1), inbound("SM3")).await;
    assert_eq!(store.write(DropDay { before: midnight(9) }).await.unwrap(), None, "what has not taken effect stays");
    apply_all(store).await;
    assert_eq!(store.write(DropDay { before: midnight(9) }).await.unwrap(), Some(day(1)));
    assert_eq!(logged(store).await.len(), 2, "they leave one by one");
}

#[tokio::test]
async fn replicas_that_make_and_drop_days_at_once_do_it_once() {
    let database = Postgres::new().await;
    let others = join_all((0..3).map(|_| database.another())).await;
    let made = join_all(others.iter().map(|replica| replica.store().write(MakeDay(day(0))))).await;
    let made: Vec<_> = made.into_iter().map(Result::unwrap).collect();
    assert_eq!(made.iter().filter(|made| **made == DayMade::Made).count(), 1, "{made:?}");
    assert!(made.iter().all(|made| matches!(made, DayMade::Made | DayMade::WasThere)), "{made:?}");
    for dropped in join_all(others.iter().map(|replica| replica.store().write(DropDay { before: midnight(1) }))).await {
        assert!(matches!(dropped.unwrap(), Some(_) | None));
    }
    assert_eq!(database.store().write(DropDay { before: midnight(1) }).await.unwrap(), None);
}

#[tokio::test]
async fn a_day_that_somebody_reads_is_dropped_later_and_holds_up_nobody_for_long() {
    let database = Postgres::new().await;
    let store = database.store();
    store.write(MakeDay(day(0))).await.unwrap();
    record(store, noon(0), inbound("SM1")).await;
    apply_all(store).await;

    let (reader, connection) = tokio_postgres::connect(&database.address, tokio_postgres::NoTls).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    reader.batch_execute("BEGIN; SELECT * FROM webhooks").await.unwrap();
    let (dropped, recorded) = tokio::join!(store.write(DropDay { before: midnight(1) }), async {
        let began = std::time::Instant::now();
        record(store, noon(1), inbound("SM2")).await;
        began.elapsed()
    });
    assert!(matches!(dropped, Err(StoreError::Failed(_))), "{dropped:?}");
    assert!(recorded < Duration::from_secs(5), "{recorded:?}");
    assert_eq!(logged(store).await.len(), 2, "nothing was harmed");

    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.write(DropDay { before: midnight(1) }).await.unwrap(), Some(day(0)));
    let (first, second) =
        try_join(Box::pin(store.write(MakeDay(day(1)))), Box::pin(store.write(MakeDay(day(2))))).await.unwrap();
    assert_eq!((first, second), (DayMade::Taken, DayMade::Made));
}

/// A replica with one tenant, whose sender `support` keeps bodies for so many days, and `sales` for ten.
fn keeping(store: &Store, days: i64) -> (Shared, Arc<DrivenClock>) {
    let connect = Arc::new(|_: &_| FakeProvider::new() as _);
    let (shared, clock) = shared(store.clone(), connect, providers::webhook_adapters().into());
    let mut config = tenant_json("shop");
    config["senders"]["sales"] = config["senders"]["support"].clone();
    config["senders"]["sales"]["phoneNumber"] = json!("+14155550199");
    for (sender, days) in [("support", days), ("sales", 10)] {
        config["senders"][sender]["retention"] = json!({ "bodiesSeconds": days * DAY, "metadataSeconds": 400 * DAY });
    }
    assert_eq!(shared.configs.apply(&tenant(), &bytes(&config)), Applied::New);
    (shared, clock)
}

#[tokio::test]
async fn a_day_goes_when_nobody_keeps_it_and_who_keeps_less_loses_only_its_own() {
    let database = Postgres::new().await;
    let store = database.store();
    for days in 0..4 {
        store.write(MakeDay(day(days))).await.unwrap();
        let sales = RecordWebhook { sender: SenderName::new("sales").unwrap(), ..webhook(noon(days), &[]) };
        store.record_webhook(sales).await.unwrap();
        store.record_webhook(webhook(noon(days), &[])).await.unwrap();
    }
    let of_sales = async || {
        let sender = SenderName::new("sales").unwrap();
        let filter = ReplayFilter { tenant: tenant(), sender, since: None, until: None, after: None, limit: 100 };
        store.webhooks(&filter).await.unwrap().len()
    };
    let stop = CancellationToken::new();
    let (shared, clock) = keeping(store, 1);
    // Ten days after noon of the third day.
    clock.set(at(noon(12)));
    retention::turn(&shared, &stop).await.unwrap();
    assert_eq!((logged(store).await, of_sales().await), (vec![], 2), "what is over goes one by one");
    let dropped = store.write(DropDay { before: midnight(1) }).await.unwrap();
    assert_eq!(dropped, Some(day(0)), "before every config is known no day goes");

    shared.configs.mark_ready();
    retention::turn(&shared, &stop).await.unwrap();
    assert_eq!(store.write(DropDay { before: midnight(2) }).await.unwrap(), None, "the second day is kept by nobody");
    assert_eq!(of_sales().await, 2, "the third day is kept in part, so it stays whole");
    assert_eq!(store.write(MakeDay(day(12 + 3))).await.unwrap(), DayMade::WasThere, "days to come were made");
}

#[tokio::test]
async fn an_event_that_can_never_be_applied_keeps_its_day_for_a_week() {
    let database = Postgres::new().await;
    let store = database.store();
    let (shared, clock) = keeping(store, 10);
    shared.configs.mark_ready();
    store.write(MakeDay(day(0))).await.unwrap();
    record(store, noon(0), inbound("SM1")).await;
    let stuck = unapplied(store).await.remove(0).reference;
    for _ in 0..60 {
        let defer = DeferLogged { event: stuck.clone(), until: at(noon(0)), failed: true };
        store.write(defer).await.unwrap();
    }
    let turn = async |now| {
        clock.set(at(now));
        retention::turn(&shared, &CancellationToken::new()).await.unwrap();
        shared.metrics.render().unwrap().contains("whatsapp_webhooks_given_up_total 1")
    };
    assert!(!turn(noon(7)).await && logged(store).await == [noon(0)]);
    // Webhooks are kept for ten days.
    assert!(turn(noon(8)).await && logged(store).await == [noon(0)]);
    turn(noon(12)).await;
    assert!(logged(store).await.is_empty());
}
