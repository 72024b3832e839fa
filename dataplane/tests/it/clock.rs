//! Promises about clocks that are wrong: a replica whose clock differs from the database's leaves what has a time to
//! the others.

use std::sync::Arc;
use std::time::Duration;

use dataplane::bounds::{Bounds, BoundsOptions};
use dataplane::clock_check::ClockCheck;
use dataplane::expiry::Expiry;
use dataplane::metrics::Metrics;
use jiff::SignedDuration;
use messaging::clock::Clock;
use messaging::lifecycle::MessageStatus::{Accepted, Expired, Queued};

use crate::fake::DrivenClock;
use crate::store::{Postgres, Sqlite};
use crate::world::{World, dispatch};

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[tokio::test]
async fn a_replica_notices_that_its_clock_differs_from_the_databases_and_that_it_agrees_again() {
    let database = Postgres::new().await;
    let (clock, metrics) = (DrivenClock::new(), Arc::new(Metrics::new().unwrap()));
    let check = ClockCheck::new(database.store().clone(), Arc::clone(&clock) as _, Arc::clone(&metrics));
    let unreliable = || metrics.render().unwrap().lines().any(|line| line == "whatsapp_clock_unreliable 1");
    for ahead in [60, -60] {
        clock.set(database.store().clock().await.unwrap().unwrap() + minutes(ahead));
        check.compare().await.unwrap();
        assert!(!check.is_reliable() && unreliable(), "{ahead}");
        clock.set(database.store().clock().await.unwrap().unwrap());
        check.compare().await.unwrap();
        assert!(check.is_reliable() && !unreliable(), "{ahead}");
    }
}

#[tokio::test]
async fn a_database_on_this_machine_has_this_machines_clock() {
    let database = Sqlite::new().await;
    let clock = DrivenClock::new();
    let check = ClockCheck::new(database.store().clone(), clock, Arc::new(Metrics::new().unwrap()));
    check.compare().await.unwrap();
    assert!(check.is_reliable());
}

#[tokio::test]
async fn a_scheduled_message_waits_while_the_clock_is_unreliable_and_others_leave() {
    let world = World::with_shop().await;
    let at = world.clock.now() + minutes(5);
    let scheduled = world.accept("shop", |message| message.scheduled_at = Some(at)).await;
    world.clock.advance(minutes(5));
    let other = world.accept("shop", |_| ()).await;
    world.shared.clock_check.learn(minutes(5));
    let mut dispatcher = world.dispatcher();
    let next = dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", scheduled).await, Queued);
    assert_eq!(world.status("shop", other).await, Accepted);
    let pause = next.expect("it waits").duration_since(world.clock.now());
    assert!(pause >= SignedDuration::from_secs(1), "it turns in vain: {pause}");

    world.shared.clock_check.learn(SignedDuration::ZERO);
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", scheduled).await, Accepted);
}

#[tokio::test]
async fn no_message_expires_while_the_clock_is_unreliable() {
    let world = World::with_shop().await;
    let expires_at = Some(world.clock.now() + SignedDuration::from_secs(10));
    let id = world.accept("shop", |message| message.expires_at = expires_at).await;
    let expiry = Expiry { shared: world.shared.clone() };
    world.clock.advance(minutes(5));
    world.shared.clock_check.learn(minutes(5));
    assert_eq!(expiry.turn().await.unwrap(), 0);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", id).await, Queued);

    world.shared.clock_check.learn(SignedDuration::ZERO);
    assert_eq!(expiry.turn().await.unwrap(), 1);
    assert_eq!(world.status("shop", id).await, Expired);
}

#[tokio::test]
async fn what_a_clock_wrote_that_was_ahead_is_due_once_a_reliable_clock_looks() {
    let world = World::with_shop().await;
    let right = world.clock.now();
    world.clock.advance(minutes(180));
    let id = world.accept("shop", |_| ()).await;
    world.clock.set(right);
    let options = BoundsOptions {
        lease: Duration::from_secs(30),
        ask_accepted_after: Duration::from_secs(600),
        sweep_every: Duration::from_secs(900),
        sweep_look_back: Duration::from_secs(86_400),
    };
    let bounds = Bounds { shared: world.shared.clone(), options };
    for (ahead, expected) in [(minutes(-180), Queued), (SignedDuration::ZERO, Accepted)] {
        world.shared.clock_check.learn(ahead);
        bounds.turn().await.unwrap();
        dispatch(&mut world.dispatcher(), &world.clock).await;
        assert_eq!(world.status("shop", id).await, expected);
    }
}
