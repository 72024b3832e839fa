//! Messages whose validity is over end, whatever else holds them back.

use dataplane::expiry::Expiry;
use dataplane::removal;
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::lifecycle::MessageStatus::{Expired, Queued};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{World, dispatch, sink_config, tenant};

fn expiry(world: &World) -> Expiry {
    Expiry { shared: world.shared.clone() }
}

fn in_a_minute(world: &World) -> Option<Timestamp> {
    Some(world.clock.now() + SignedDuration::from_secs(60))
}

#[tokio::test]
async fn a_message_of_a_paused_sender_expires_and_its_tenant_gets_an_event() {
    let world = World::new().await;
    let sink = "https://app.example/events".parse().unwrap();
    world.tenant("shop", |sender| {
        sender["paused"] = json!(true);
        sender["events"] = json!([sink_config(&sink)]);
    });
    let expires_at = in_a_minute(&world);
    let id = world.accept("shop", |message| message.expires_at = expires_at).await;
    let lasting = world.accept("shop", |_| ()).await;

    world.clock.advance(SignedDuration::from_secs(59));
    assert_eq!(expiry(&world).turn().await.unwrap(), 0);
    world.clock.advance(SignedDuration::from_secs(1));
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", id).await, Queued, "dispatch does not see what is paused");

    assert_eq!(expiry(&world).turn().await.unwrap(), 1);
    assert_eq!(world.status("shop", id).await, Expired);
    assert!(world.reason("shop", id).await.contains("validFor"));
    assert_eq!(world.shared.store.outbox_counts().await.unwrap().waiting, 1);
    world.metric(r#"whatsapp_messages_total{status="expired"} 1"#);
    assert_eq!(world.status("shop", lasting).await, Queued);
    assert_eq!(world.provider("shop").calls(), 0);
}

#[tokio::test]
async fn a_message_of_an_absent_sender_expires_and_its_tenant_gets_an_event_once_the_sender_is_back() {
    let world = World::new().await;
    let sink = "https://app.example/events".parse().unwrap();
    world.tenant("shop", |sender| sender["events"] = json!([sink_config(&sink)]));
    world.tenant("bank", |_| ());
    world.shared.configs.mark_ready();
    let look = async || removal::turn(&world.shared, &CancellationToken::new()).await.unwrap();
    look().await;
    let expires_at = in_a_minute(&world);
    let id = world.accept("shop", |message| message.expires_at = expires_at).await;
    world.shared.configs.remove(&tenant("shop"));
    look().await;
    world.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(expiry(&world).turn().await.unwrap(), 1);
    assert_eq!(world.status("shop", id).await, Expired);
    assert_eq!(world.shared.store.outbox_counts().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn a_message_of_a_removed_tenant_expires_too() {
    let world = World::with_shop().await;
    let expires_at = in_a_minute(&world);
    let id = world.accept("shop", |message| message.expires_at = expires_at).await;
    world.shared.configs.remove(&tenant("shop"));
    world.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(expiry(&world).turn().await.unwrap(), 1);
    assert_eq!(world.status("shop", id).await, Expired);
    assert_eq!(expiry(&world).turn().await.unwrap(), 0);
}
