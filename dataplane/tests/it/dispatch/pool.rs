//! Promises about pools: what a person told one sender of a Messaging Service holds for all of them.

use messaging::id::PoolId;
use messaging::routing::Route;

use super::*;
use crate::config::bytes;

const POOL: &str = "MG00000000000000000000000000000001";

/// A tenant whose senders `support` and `sales` are in one pool.
async fn with_pool() -> World {
    let world = World::new().await;
    world.tenant("shop", |sender| sender["provider"]["twilio"]["messagingServiceSid"] = json!(POOL));
    let mut config: serde_json::Value = serde_json::from_slice(&config_of(&world, "shop").to_json()).unwrap();
    let mut sales = config["senders"]["support"].clone();
    sales["phoneNumber"] = json!("+14155238887");
    config["senders"]["sales"] = sales;
    world.shared.configs.apply(&tenant("shop"), &bytes(&config));
    world
}

async fn suppress_at(world: &World, sender: &str) {
    let (at, detail) = (world.clock.now(), "the contact sent \"STOP\"".to_owned());
    let suppression = Suppression { reason: SuppressionReason::OptedOut, at, detail };
    let (contact, sender) = (CUSTOMER.parse().unwrap(), sender.parse().unwrap());
    world.shared.store.write(PutSuppression { tenant: tenant("shop"), sender, contact, suppression }).await.unwrap();
}

fn through_the_pool() -> Route {
    Route { sender: support(), via: Some(PoolId::new(POOL)) }
}

#[tokio::test]
async fn a_stop_to_one_sender_of_a_pool_holds_for_every_sender_of_it_whichever_way_a_message_leaves() {
    let world = with_pool().await;
    suppress_at(&world, "sales").await;
    let pooled = world.accept("shop", |m| m.route = through_the_pool()).await;
    let direct = world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", pooled).await, MessageStatus::Suppressed);
    assert_eq!(world.status("shop", direct).await, MessageStatus::Suppressed, "from the other sender's own number");
}

#[tokio::test]
async fn a_message_through_a_pool_leaves_while_no_sender_of_it_was_told_to_stop() {
    let world = with_pool().await;
    let pooled = world.accept("shop", |m| m.route = through_the_pool()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", pooled).await, MessageStatus::Accepted);
}
