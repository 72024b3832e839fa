//! A sink is known by its name: its URL may change, and what was kept under a URL before sinks had names is taken over.

use dataplane::store::message::{SinkId, Sinks};
use dataplane::store::outbox::{DeadEventFilter, RedriveEvent};
use dataplane::store::queue::ExpireMessage;
use messaging::clock::Clock;

use super::*;
use crate::store::reason;
use crate::world::{support, tenant};

pub(super) fn named(name: &str, sink: &Sink) -> serde_json::Value {
    let mut config = sink_config(&sink.url());
    config["http"]["name"] = json!(name);
    config
}

fn configure(world: &World, sinks: &[serde_json::Value]) {
    world.tenant("shop", |sender| sender["events"] = json!(sinks));
}

async fn event(world: &World) {
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
}

/// A replica of the version before writes an event, to a sink that it knows by this URL.
async fn event_under(world: &World, url: &str) {
    let now = world.clock.now();
    let id = world.accept("shop", |message| message.expires_at = Some(now)).await;
    let sinks = Sinks::Configured(vec![SinkId::new(url)]);
    let expire = ExpireMessage { tenant: tenant("shop"), id, now, reason: reason("too late"), sinks };
    assert!(world.shared.store.write(expire).await.unwrap());
}

#[tokio::test]
async fn what_waits_goes_to_the_sinks_new_address() {
    for name in [None, Some("app")] {
        let (world, old, new) = (World::new().await, Sink::start().await, Sink::start().await);
        let config = |sink: &Sink| name.map_or_else(|| sink_config(&sink.url()), |name| named(name, sink));
        configure(&world, &[config(&old)]);
        event(&world).await;
        configure(&world, &[config(&new)]);
        publish(&mut world.publisher(), &world).await;
        assert_eq!((kinds(&old), kinds(&new)), (vec![], vec!["accepted".to_owned()]));
    }
}

#[tokio::test]
async fn a_dead_letter_is_redriven_to_the_sinks_new_address() {
    let (world, old, new) = (World::new().await, Sink::start().await, Sink::start().await);
    configure(&world, &[named("app", &old), named("lake", &old)]);
    event(&world).await;
    configure(&world, &[named("lake", &old)]);
    publish(&mut world.publisher(), &world).await;
    configure(&world, &[named("app", &new), named("lake", &old)]);
    let all = DeadEventFilter { limit: 9, ..Default::default() };
    let dead = world.shared.store.dead_events(&tenant("shop"), &all).await.unwrap();
    assert_eq!(dead.iter().map(|letter| letter.sink.as_str()).collect::<Vec<_>>(), ["app"]);
    let (event, sink) = (dead[0].event, dead[0].sink.clone());
    let redrive = RedriveEvent { tenant: tenant("shop"), sender: support(), sink, event, now: world.clock.now() };
    assert!(world.shared.store.write(redrive).await.unwrap());
    publish(&mut world.publisher(), &world).await;
    assert_eq!((old.received().len(), new.received().len()), (1, 1));
}

#[tokio::test]
async fn what_waits_under_a_url_goes_to_the_sink_that_has_it_or_is_the_only_one() {
    let (world, app, lake) = (World::new().await, Sink::start().await, Sink::start().await);
    configure(&world, &[named("app", &app), named("lake", &lake)]);
    event_under(&world, lake.url().as_str()).await;
    event_under(&world, "https://gone.example/").await;
    publish(&mut world.publisher(), &world).await;
    assert_eq!((app.received().len(), lake.received().len()), (0, 1));
    let counts = world.shared.store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead), (0, 1), "nobody knows which of them it was for");

    configure(&world, &[named("app", &app)]);
    event_under(&world, "https://gone.example/").await;
    publish(&mut world.publisher(), &world).await;
    assert_eq!((app.received().len(), lake.received().len()), (1, 1));
}

#[tokio::test]
async fn sinks_without_names_are_known_by_their_urls_while_there_are_several() {
    let (world, app, lake) = (World::new().await, Sink::start().await, Sink::start().await);
    configure(&world, &[sink_config(&app.url()), sink_config(&lake.url())]);
    event(&world).await;
    configure(&world, &[named("app", &app), named("lake", &lake)]);
    publish(&mut world.publisher(), &world).await;
    assert_eq!((app.received().len(), lake.received().len()), (1, 1));
}
