//! Promises about senders and tenants that leave the configs: what they left behind ends, but not too early.

use std::sync::Arc;

use dataplane::apply::{Applier, RecordedWebhook};
use dataplane::config::{Applied, Configs};
use dataplane::metrics::Metrics;
use dataplane::shared::Shared;
use dataplane::{removal, retention};
use jiff::SignedDuration;
use messaging::clock::Clock;
use messaging::id::MessageId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{SendOutcome, StatusUpdate, WebhookEvent};
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeProvider, FakeWebhooks};
use crate::store::inbound;
use crate::world::{CUSTOMER, World, dispatch, open_sink, settle, sink_config, support, tenant, webhook};

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Lets replicas look every ten minutes for so long.
async fn look(world: &World, replicas: &[&Shared], minutes: i64) {
    for _ in 0..minutes / 10 {
        for replica in replicas {
            removal::turn(replica, &CancellationToken::new()).await.unwrap();
        }
        world.clock.advance(SignedDuration::from_mins(10));
    }
    for replica in replicas {
        removal::turn(replica, &CancellationToken::new()).await.unwrap();
    }
}

/// A world with the tenants `shop` and `bank`, both seen.
async fn seen() -> World {
    let world = World::with_shop().await;
    world.tenant("bank", |_| ());
    world.shared.configs.mark_ready();
    look(&world, &[&world.shared], 0).await;
    world
}

/// A replica on the same store with no configs yet.
fn another(world: &World) -> Shared {
    let connect = Arc::new(|_: &_| FakeProvider::new() as _);
    let metrics = Arc::new(Metrics::new().unwrap());
    let configs = Configs::new(connect, Arc::new([Arc::new(FakeWebhooks) as _]), open_sink(), metrics);
    Shared { configs: Arc::new(configs), ..world.shared.clone() }
}

fn remove(world: &World) {
    world.shared.configs.remove(&tenant("shop"));
}

#[tokio::test]
async fn what_is_queued_for_a_removed_sender_is_canceled_after_the_grace() {
    let world = seen().await;
    let id = world.accept("shop", |_| ()).await;
    let later = world.clock.now() + SignedDuration::from_hours(24 * 20);
    let scheduled = world.accept("shop", |message| message.scheduled_at = Some(later)).await;
    let others = world.accept("bank", |_| ()).await;
    remove(&world);
    look(&world, &[&world.shared], DAY - 10).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    look(&world, &[&world.shared], 10).await;
    for id in [id, scheduled] {
        assert_eq!(world.status("shop", id).await, MessageStatus::Canceled);
        assert!(world.reason("shop", id).await.contains("its sender was removed"));
    }
    assert_eq!(world.status("bank", others).await, MessageStatus::Queued);
    world.metric(r#"whatsapp_messages_total{status="canceled"} 2"#);
}

#[tokio::test]
async fn a_sender_that_is_put_back_in_time_goes_on_as_before() {
    let world = seen().await;
    let valid = Some(world.clock.now() + SignedDuration::from_hours(24 * 30));
    let id = world.accept("shop", |message| message.expires_at = valid).await;
    remove(&world);
    look(&world, &[&world.shared], DAY - 10).await;
    world.tenant("shop", |_| ());
    look(&world, &[&world.shared], HOUR).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);

    let next = world.accept("shop", |message| message.expires_at = valid).await;
    remove(&world);
    look(&world, &[&world.shared], DAY - 10).await;
    assert_eq!(world.status("shop", next).await, MessageStatus::Queued, "the grace begins anew");
}

#[tokio::test]
async fn what_a_sender_that_is_put_back_late_accepts_is_not_canceled_by_a_replica_that_has_not_heard_of_it() {
    let world = seen().await;
    remove(&world);
    look(&world, &[&world.shared], DAY).await;
    let id = world.accept("shop", |_| ()).await;
    look(&world, &[&world.shared], HOUR).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
}

#[tokio::test]
async fn a_config_that_cannot_be_read_is_not_a_removal() {
    let world = seen().await;
    let id = world.accept("shop", |_| ()).await;
    remove(&world);
    assert!(matches!(world.shared.configs.apply(&tenant("shop"), b"{}"), Applied::Refused(_)));
    look(&world, &[&world.shared], 3 * DAY).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
}

#[tokio::test]
async fn a_replica_that_starts_with_no_config_at_all_removes_nothing() {
    let world = seen().await;
    let id = world.accept("shop", |_| ()).await;
    let replica = another(&world);
    look(&world, &[&replica], 2 * DAY).await;
    replica.configs.mark_ready();
    look(&world, &[&replica], 2 * DAY).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
}

#[tokio::test]
async fn a_replica_whose_clock_is_unreliable_removes_nothing() {
    let world = seen().await;
    let id = world.accept("shop", |_| ()).await;
    remove(&world);
    world.shared.clock_check.learn(SignedDuration::from_mins(5));
    look(&world, &[&world.shared], 2 * DAY).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
}

#[tokio::test]
async fn a_sender_that_one_replica_has_is_not_removed_and_a_removed_one_ends_whichever_looks() {
    let world = seen().await;
    let id = world.accept("shop", |_| ()).await;
    let replica = another(&world);
    let mut bank = crate::config::tenant_json("bank");
    bank["senders"] = serde_json::json!({});
    replica.configs.apply(&tenant("bank"), &crate::config::bytes(&bank));
    replica.configs.mark_ready();
    look(&world, &[&replica, &world.shared], 2 * DAY).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);

    remove(&world);
    look(&world, &[&world.shared], DAY / 2).await;
    look(&world, &[&replica], DAY / 2).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Canceled);
}

#[tokio::test]
async fn what_was_handed_over_for_a_removed_sender_ends_at_its_deadline() {
    let world = seen().await;
    let provider = world.provider("shop");
    provider.will_answer([SendOutcome::Ambiguous { reason: "timed out".into() }]);
    let lost =
        world.accept("shop", |message| message.on_unconfirmed = dataplane::store::message::OnUnconfirmed::Resend).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let (accepted, _) = world.hand_over(&mut world.dispatcher()).await;
    remove(&world);
    let mut settler = world.settler();
    look(&world, &[&world.shared], DAY - 10).await;
    settle(&mut settler).await;
    assert_eq!(world.status("shop", lost).await, MessageStatus::Unconfirmed, "it may be put back");
    look(&world, &[&world.shared], 20).await;
    settle(&mut settler).await;
    assert_eq!(world.status("shop", lost).await, MessageStatus::Failed);
    assert!(world.reason("shop", lost).await.contains("its sender was removed"));
    assert_eq!(world.status("shop", accepted).await, MessageStatus::Accepted, "its deadline is later");
    for _ in 0..7 {
        look(&world, &[&world.shared], DAY).await;
        settle(&mut settler).await;
    }
    assert_eq!(world.status("shop", accepted).await, MessageStatus::Failed);
    assert_eq!(provider.calls(), 2);
}

/// A message whose delivery was reported just before its sender was removed, and which has not been applied yet: its
/// event is in the log, and perhaps also on its way from the listener to the applier.
async fn delivered_and_removed(world: &World, is_on_its_way: bool) -> MessageId {
    let (id, provider_message_id) = world.hand_over(&mut world.dispatcher()).await;
    let delivered = WebhookEvent::Status(StatusUpdate {
        provider_message_id,
        attempt: None,
        status: MessageStatus::Delivered,
        failure: None,
        extra: Default::default(),
    });
    let logged = webhook(&tenant("shop"), world.clock.now(), std::slice::from_ref(&delivered));
    let recorded = RecordedWebhook::new(&logged, vec![delivered]);
    let outcome = dataplane::store::WebhookLog::record_webhook(&world.shared.store, logged).await.unwrap();
    remove(world);
    let (mut applier, fresh) = Applier::new(world.applying(None));
    if is_on_its_way {
        fresh.hand_over(recorded, &outcome);
    }
    applier.turn().await.unwrap();
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted, "its sender may be put back");
    id
}

async fn apply(world: &World) {
    let (mut applier, _) = Applier::new(world.applying(None));
    applier.turn().await.unwrap();
}

#[tokio::test]
async fn a_webhook_of_a_removed_sender_takes_effect_after_the_grace() {
    let world = seen().await;
    let id = delivered_and_removed(&world, true).await;
    look(&world, &[&world.shared], DAY + HOUR).await;
    apply(&world).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Delivered);
}

#[tokio::test]
async fn a_webhook_takes_effect_within_seconds_once_its_sender_is_put_back() {
    for is_on_its_way in [false, true] {
        let (world, sink) = World::with_sink().await;
        let id = delivered_and_removed(&world, is_on_its_way).await;
        world.tenant("shop", |sender| sender["events"] = serde_json::json!([sink_config(&sink.url())]));
        world.clock.advance(SignedDuration::from_secs(10));
        apply(&world).await;
        assert_eq!(world.status("shop", id).await, MessageStatus::Delivered);
        let mut publisher = world.publisher();
        // The events of one message leave one after the other.
        for _ in 0..2 {
            publisher.turn().await.unwrap();
            publisher.settle_down().await;
        }
        let statuses: Vec<_> = sink.received().iter().map(|it| it.event()["data"]["status"].clone()).collect();
        assert_eq!(statuses, ["accepted", "delivered"], "on its way: {is_on_its_way}");
    }
}

#[tokio::test]
async fn events_of_a_sender_without_a_config_wait_until_it_is_put_back_or_removed() {
    let (world, sink) = World::with_sink().await;
    world.tenant("bank", |_| ());
    world.shared.configs.mark_ready();
    look(&world, &[&world.shared], 0).await;
    let event = async || {
        world.accept("shop", |_| ()).await;
        dispatch(&mut world.dispatcher(), &world.clock).await;
    };
    let publish = async || {
        let mut publisher = world.publisher();
        publisher.turn().await.unwrap();
        publisher.settle_down().await;
    };
    event().await;
    // The tenant is left, without the sender.
    let mut config = crate::config::tenant_json("shop");
    config["senders"] = serde_json::json!({});
    world.shared.configs.apply(&tenant("shop"), &crate::config::bytes(&config));
    look(&world, &[&world.shared], HOUR).await;
    publish().await;
    world.tenant("shop", |sender| sender["events"] = serde_json::json!([sink_config(&sink.url())]));
    publish().await;
    assert_eq!(sink.received().len(), 1);

    event().await;
    remove(&world);
    look(&world, &[&world.shared], DAY).await;
    publish().await;
    let counts = world.shared.store.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead, sink.received().len()), (0, 1, 1));
}

#[tokio::test]
async fn the_data_of_a_removed_senders_people_leaves_by_the_retention_that_was_last_known() {
    let world = World::new().await;
    let days =
        |days: i64| serde_json::json!({ "bodiesSeconds": days * 60 * DAY, "metadataSeconds": 2 * days * 60 * DAY });
    world.tenant("shop", |sender| sender["retention"] = days(10));
    world.tenant("bank", |sender| sender["retention"] = days(1));
    world.shared.configs.mark_ready();
    look(&world, &[&world.shared], 0).await;
    let id = world.accept("shop", |_| ()).await;
    world.hears("shop", vec![inbound("SM1")], None).await;
    remove(&world);
    look(&world, &[&world.shared], DAY).await;

    // After a restart nothing knows the sender but the store.
    let replica = another(&world);
    replica.configs.apply(&tenant("bank"), &crate::config::bytes(&crate::config::tenant_json("bank")));
    replica.configs.mark_ready();
    let forget = async || {
        removal::turn(&replica, &CancellationToken::new()).await.unwrap();
        retention::turn(&replica, &CancellationToken::new()).await.unwrap();
    };
    let store = &replica.store;
    let content = async || Some(store.message(&tenant("shop"), id).await.unwrap()?.message.content.is_some());
    let contact =
        async || store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap().version;
    let is_remembered = async || store.senders().await.unwrap().iter().any(|known| known.tenant == tenant("shop"));
    forget().await;
    assert_eq!((content().await, contact().await), (Some(true), 1));
    world.clock.advance(SignedDuration::from_hours(24 * 10));
    forget().await;
    assert_eq!((content().await, contact().await), (Some(false), 1), "the body is over");
    world.clock.advance(SignedDuration::from_hours(24 * 10));
    forget().await;
    assert_eq!((content().await, contact().await, is_remembered().await), (None, 0, false));
}
