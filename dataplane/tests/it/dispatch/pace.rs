//! Promises about when a message leaves: not before its time, not faster than its recipient may be written to, and
//! never waiting for another's time.

use dataplane::store::message::Priority;
use messaging::clock::Clock;
use messaging::lifecycle::MessageStatus;

use super::seconds;
use crate::world::{World, config_of, dispatch, support, tenant};

#[tokio::test]
async fn a_scheduled_message_holds_up_no_other_and_leaves_at_its_time() {
    let world = World::with_shop().await;
    let at = world.clock.now() + seconds(3600);
    let later = world.accept("shop", |m| m.scheduled_at = Some(at)).await;
    let now = world.accept("shop", |_| ()).await;
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", now).await, MessageStatus::Accepted);
    // What was remembered of the lane is over, and the store says when the rest is due.
    world.clock.advance(seconds(1));
    assert_eq!(dispatch(&mut dispatcher, &world.clock).await, Some(at));
    assert_eq!(world.status("shop", later).await, MessageStatus::Queued);
    world.clock.set(at);
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", later).await, MessageStatus::Accepted);
}

#[tokio::test]
async fn one_recipient_is_not_written_to_too_fast_and_no_other_waits_for_that() {
    let world = World::with_shop().await;
    for _ in 0..47 {
        world.accept("shop", |m| m.priority = Priority::Authentication).await;
    }
    let other = world.accept("shop", |m| m.to = "+447700900999".parse().unwrap()).await;
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    let begun = world.clock.now();
    let mut called = Vec::new();
    while provider.calls() < 48 {
        let next = dispatch(&mut dispatcher, &world.clock).await;
        called.resize(provider.calls(), world.clock.now().duration_since(begun).as_secs());
        if called.len() == 46 {
            assert_eq!(world.status("shop", other).await, MessageStatus::Accepted);
        }
        if let Some(next) = next {
            world.clock.set(next);
        }
    }
    assert_eq!(called[..46], [0; 46]);
    assert_eq!(called[46..], [6, 12]);
    world.metric(r#"whatsapp_deferred_total{reason="pair_rate"} 2"#);
}

#[tokio::test]
async fn all_tenants_of_an_account_together_keep_its_rate() {
    let world = World::new().await;
    let unlimited = serde_json::json!({ "messagesPerSecond": 5000, "burst": 5000, "maxConcurrency": 5000 });
    for name in ["shop", "bakery"] {
        world.tenant(name, |s| s["limits"] = unlimited.clone());
    }
    let [of_shop, of_bakery] =
        ["shop", "bakery"].map(|name| config_of(&world, name).senders[&support()].provider.account_key().to_owned());
    let shared = String::from_utf8(config_of(&world, "bakery").to_json()).unwrap().replace(&of_bakery, &of_shop);
    world.shared.configs.apply(&tenant("bakery"), shared.as_bytes());
    for name in ["shop", "bakery"] {
        for n in 0..150 {
            world.accept(name, |m| m.to = format!("+4477009{n:05}").parse().unwrap()).await;
        }
    }
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 200);
}

#[tokio::test]
async fn all_senders_of_an_account_together_keep_its_rate() {
    let world = World::new().await;
    world.tenant("shop", |s| {
        s["limits"] = serde_json::json!({ "messagesPerSecond": 5000, "burst": 5000, "maxConcurrency": 5000 });
    });
    for n in 0..230 {
        world.accept("shop", |m| m.to = format!("+4477009{n:05}").parse().unwrap()).await;
    }
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 200);
    world.metric(r#"whatsapp_deferred_total{reason="account_rate"} 1"#);
    world.clock.advance(seconds(1));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 230);
}

#[tokio::test]
async fn replicas_keep_the_rate_of_a_sender_together() {
    let world = World::new().await;
    world.tenant("shop", |s| {
        s["limits"] = serde_json::json!({ "messagesPerSecond": 2, "burst": 6, "maxConcurrency": 50 });
    });
    for n in 0..20 {
        world.accept("shop", |m| m.to = format!("+4477009{n:05}").parse().unwrap()).await;
    }
    let provider = world.provider("shop");
    let (mut one, mut other) = (world.dispatcher(), world.dispatcher());
    for calls in [6, 8, 10] {
        let again_at = [dispatch(&mut one, &world.clock).await, dispatch(&mut other, &world.clock).await];
        assert_eq!(provider.calls(), calls);
        assert!(again_at.iter().all(|at| at.is_some_and(|at| at <= world.clock.now() + seconds(1))), "{again_at:?}");
        world.clock.advance(seconds(1));
    }
}

/// A replica whose clock was three minutes ahead has filled the sender's bucket, and is started again with a clock that
/// is right.
#[tokio::test]
async fn a_clock_that_was_ahead_stops_nothing_once_it_is_right() {
    let world = World::new().await;
    world.tenant("shop", |s| {
        s["limits"] = serde_json::json!({ "messagesPerSecond": 2, "burst": 2, "maxConcurrency": 50 });
    });
    for n in 0..8 {
        world.accept("shop", |m| m.to = format!("+4477009{n:05}").parse().unwrap()).await;
    }
    let provider = world.provider("shop");
    let right = world.clock.now();
    world.clock.advance(seconds(180));
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(provider.calls(), 2);
    world.clock.set(right);
    let mut dispatcher = world.dispatcher();
    let mut turns = 0;
    while let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
        world.clock.set(next);
        turns += 1;
        assert!(turns < 20, "it turns in vain: {} were sent", provider.calls());
    }
    assert_eq!(provider.calls(), 8);
    assert_eq!(world.clock.now().duration_since(right), seconds(3));
}
