//! Promises about events: at least once, in order per message, and no sink delays another.

mod http;
mod named;
mod receivers;

use std::collections::BTreeSet;

use ::http::StatusCode;
use ::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use dataplane::publish::{PublishContext, Publisher};
use dataplane::shared::Shared;
use dataplane::store::hold::{Hold, HoldKind, LiftHold};
use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::clock::Clock;
use messaging::failure::{Failure, FailureClass};
use messaging::lifecycle::MessageStatus;
use messaging::provider::{ProviderError, SendOutcome};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sink::Sink;
use crate::world::{World, dispatch, settle, sink_config, soon};

const OTHER_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// Takes turns until nothing more can be published now. Returns when to look again.
async fn publish(publisher: &mut Publisher, world: &World) -> Option<Timestamp> {
    loop {
        let next = publisher.turn().await.unwrap();
        publisher.settle_down().await;
        if next.is_none_or(|at| at > world.clock.now()) {
            return next;
        }
    }
}

/// A message that reaches `accepted` and, when asked about later, `delivered`: two events.
async fn two_events(world: &World, tenant: &str) {
    let id = world.accept(tenant, |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let provider = world.provider(tenant);
    let provider_message_id = world.record(tenant, id).await.message.provider_message_id.unwrap();
    let delivered = json!({
        "providerMessageId": provider_message_id, "direction": "outbound", "from": null, "to": null, "body": null,
        "status": "delivered", "failure": null, "createdAt": null,
    });
    provider.log.lock().unwrap().push(serde_json::from_value(delivered).unwrap());
    world.clock.advance(SignedDuration::from_mins(11));
    settle(&mut world.settler()).await;
    assert_eq!(world.status(tenant, id).await, MessageStatus::Delivered);
}

fn kinds(sink: &Sink) -> Vec<String> {
    let kind = |type_: &serde_json::Value| type_.as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    sink.received().iter().map(|received| kind(&received.event()["type"])).collect()
}

#[tokio::test]
async fn an_event_of_a_message_waits_until_the_one_before_it_was_taken() {
    let (world, sink) = World::with_sink().await;
    two_events(&world, "shop").await;
    sink.will_answer([StatusCode::INTERNAL_SERVER_ERROR.into_response()]);
    let mut publisher = world.publisher();
    let next = publish(&mut publisher, &world).await.unwrap();
    assert_eq!(kinds(&sink), ["accepted"], "the second waits behind the first");
    world.clock.set(next);
    publish(&mut publisher, &world).await;
    assert_eq!(kinds(&sink), ["accepted", "accepted", "delivered"]);
    let received = sink.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"), "a redelivery has the same id");
    assert_eq!(received[0].body, received[1].body);
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    assert_eq!(received[2].event()["id"], received[2].header("webhook-id"));
    publish(&mut publisher, &world).await;
    assert_eq!(sink.received().len(), 3, "what was taken is not sent again");
    world.metric(r#"whatsapp_publish_total{result="delivered"} 2"#);
    world.metric(r#"whatsapp_publish_total{result="retry"} 1"#);
}

#[tokio::test]
async fn a_sink_that_hangs_delays_no_other_sink() {
    let (world, hanging, healthy) = (World::new().await, Sink::start().await, Sink::start().await);
    hanging.hang();
    world.tenant("shop", |s| s["events"] = json!([sink_config(&hanging.url())]));
    world.tenant("bank", |s| s["events"] = json!([sink_config(&healthy.url())]));
    for _ in 0..20 {
        world.accept("shop", |_| ()).await;
    }
    world.accept("bank", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let mut publisher = world.publisher();
    while publisher.turn().await.unwrap().is_some_and(|at| at <= world.clock.now()) {}
    soon(healthy.until_received(1)).await;
    soon(hanging.until_received(8)).await;
    publisher.turn().await.unwrap();
    assert_eq!(hanging.received().len(), 8, "a sink has at most so many requests at once");
}

#[tokio::test]
async fn an_event_that_a_crashed_replica_held_is_delivered_by_the_next() {
    let (world, sink) = World::with_sink().await;
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    sink.hang();
    let mut killed = world.publisher();
    killed.turn().await.unwrap();
    soon(sink.until_received(1)).await;
    drop(killed);
    sink.recover();
    let mut survivor = world.publisher();
    publish(&mut survivor, &world).await;
    assert_eq!(sink.received().len(), 1, "its lease lasts");
    world.clock.advance(SignedDuration::from_secs(61));
    publish(&mut survivor, &world).await;
    let received = sink.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

#[tokio::test]
async fn a_sink_that_is_gone_is_not_called_until_its_config_changes() {
    let (world, sink) = World::with_sink().await;
    let url = sink.url();
    sink.will_answer([StatusCode::GONE.into_response()]);
    let (mut dispatcher, mut publisher) = (world.dispatcher(), world.publisher());
    for _ in 0..3 {
        world.accept("shop", |_| ()).await;
        dispatch(&mut dispatcher, &world.clock).await;
        publish(&mut publisher, &world).await;
    }
    assert_eq!(sink.received().len(), 1);
    let counts = world.shared.store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead), (0, 3), "what was not delivered is kept");
    world.tenant("shop", |s| {
        s["events"] = json!([sink_config(&url)]);
        s["events"][0]["http"]["signingSecrets"] = json!([OTHER_KEY]);
    });
    world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    publish(&mut publisher, &world).await;
    assert_eq!(sink.received().len(), 2);
}

#[tokio::test]
async fn every_replica_knows_of_a_gone_sink_even_after_a_restart_until_the_hold_is_lifted() {
    let (world, sink) = World::with_sink().await;
    let publisher_of =
        |shared: &Shared| Publisher::new(PublishContext { shared: shared.clone(), ..world.publishing() });
    let replicas = [world.replica().await, world.replica().await];
    let mut dispatcher = world.dispatcher();
    let [mut one, mut other] = [publisher_of(&replicas[0]), publisher_of(&replicas[1])];
    let mut publish_one = async |publisher: &mut Publisher| {
        world.accept("shop", |_| ()).await;
        dispatch(&mut dispatcher, &world.clock).await;
        publish(publisher, &world).await;
    };
    publish_one(&mut other).await;
    assert_eq!(sink.received().len(), 1);
    sink.will_answer([StatusCode::GONE.into_response()]);
    publish_one(&mut one).await;
    assert_eq!(sink.received().len(), 2);
    replicas[1].holds.refresh().await.unwrap();
    publish_one(&mut other).await;
    publish_one(&mut publisher_of(&world.replica().await)).await;
    assert_eq!(sink.received().len(), 2, "neither another replica nor a restarted one calls it");

    let hold = world.shared.store.holds(world.clock.now()).await.unwrap().remove(0);
    assert!(hold.reason.contains("answered 410"), "{hold:?}");
    let Hold { tenant, scope, kind, .. } = hold;
    assert_eq!(kind, HoldKind::Gone);
    assert!(world.shared.store.write(LiftHold { tenant, scope, kind }).await.unwrap());
    for (replica, publisher) in replicas.iter().zip([&mut one, &mut other]) {
        replica.holds.refresh().await.unwrap();
        publish_one(publisher).await;
    }
    assert_eq!(sink.received().len(), 4, "the hold was lifted");
    assert_eq!(world.shared.store.outbox_counts().await.unwrap().dead, 3);
}

#[tokio::test]
async fn a_sink_with_a_new_config_is_no_longer_held_on_any_replica() {
    let (world, sink) = World::with_sink().await;
    let url = sink.url();
    sink.will_answer([StatusCode::GONE.into_response()]);
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    publish(&mut world.publisher(), &world).await;
    assert_eq!(world.shared.store.holds(world.clock.now()).await.unwrap().len(), 1);
    world.tenant("shop", |s| {
        s["events"] = json!([sink_config(&url)]);
        s["events"][0]["http"]["signingSecrets"] = json!([OTHER_KEY]);
    });
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    publish(&mut world.publisher(), &world).await;
    assert_eq!(sink.received().len(), 2);
    assert!(world.shared.store.holds(world.clock.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sink_that_asks_for_a_long_pause_gets_at_most_twice_the_schedules() {
    let (world, sink) = World::with_sink().await;
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    sink.will_answer([(StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "86400")]).into_response()]);
    let next = publish(&mut world.publisher(), &world).await.unwrap();
    assert_eq!(next.duration_since(world.clock.now()), SignedDuration::from_secs(10));
}

#[tokio::test]
async fn a_running_publisher_delivers_everything_while_one_sink_hangs() {
    let (world, hanging, healthy) = (World::new().await, Sink::start().await, Sink::start().await);
    hanging.hang();
    world.tenant("shop", |s| s["events"] = json!([sink_config(&hanging.url())]));
    world.tenant("bank", |s| s["events"] = json!([sink_config(&healthy.url())]));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(world.publisher().run(stop.clone()));
    for n in 0..50 {
        // Of several to one recipient only some may leave now.
        let to: Address = format!("+4477009001{n:02}").parse().unwrap();
        world.accept("shop", |message| message.to = to.clone()).await;
        world.accept("bank", |message| message.to = to.clone()).await;
    }
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let received = soon(healthy.until_received(50)).await;
    let ids: BTreeSet<_> = received.iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 50, "each once");
    assert_eq!(hanging.received().len(), 8);
    running.shutdown().await;
}

#[tokio::test]
async fn an_event_is_given_up_after_the_whole_schedule_and_lets_the_next_pass() {
    let (world, sink) = World::with_sink().await;
    two_events(&world, "shop").await;
    sink.will_answer((0..10).map(|_| StatusCode::BAD_GATEWAY.into_response()));
    let mut publisher = world.publisher();
    let begun = world.clock.now();
    while let Some(next) = publish(&mut publisher, &world).await {
        world.clock.set(next);
    }
    let kinds = kinds(&sink);
    assert_eq!((kinds.len(), kinds[9].as_str(), kinds[10].as_str()), (11, "accepted", "delivered"));
    let tried_for = world.clock.now().duration_since(begun).as_hours();
    assert!(
        (60..=92).contains(&tried_for),
        "the schedule of Standard Webhooks is about 75 hours, and it took {tried_for}"
    );
    world.metric(r#"whatsapp_events_dropped_total{intended="false",reason="dead"} 1"#);
}

#[tokio::test]
async fn events_of_a_failed_message_say_why() {
    let (world, sink) = World::with_sink().await;
    let id = world.accept("shop", |m| drop(m.metadata.insert("order".into(), "18473".into()))).await;
    world.provider("shop").will_answer([SendOutcome::Refused(ProviderError {
        failure: Failure::new(FailureClass::Request, "parameter count mismatch").with_code("63028"),
        http_status: Some(400),
        retry_after: None,
    })]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    publish(&mut world.publisher(), &world).await;
    let event = sink.received()[0].event();
    assert_eq!(event["type"], "dev.whatsapp-operator.message.rejected");
    assert_eq!(event["subject"], id.to_string());
    assert_eq!(event["data"]["reason"], json!({ "code": "63028", "text": "parameter count mismatch" }));
    assert_eq!(event["data"]["metadata"], json!({ "order": "18473" }));
}

#[tokio::test]
async fn events_for_a_sink_that_is_no_longer_configured_are_kept_and_not_sent() {
    let (world, old, new) = (World::new().await, Sink::start().await, Sink::start().await);
    world.tenant("shop", |s| s["events"] = json!([named::named("app", &old)]));
    world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    world.tenant("shop", |s| s["events"] = json!([named::named("lake", &new)]));
    publish(&mut world.publisher(), &world).await;
    assert_eq!((old.received().len(), new.received().len()), (0, 0));
    assert_eq!(world.shared.store.outbox_counts().await.unwrap().dead, 1);
    world.metric(r#"whatsapp_events_dropped_total{intended="true",reason="sink_removed"} 1"#);
}
