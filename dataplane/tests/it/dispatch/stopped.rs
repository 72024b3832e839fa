//! Promises about what is stopped after a failure: what the failure affects, and nothing else.

use dataplane::dispatch::settle::Settler;
use dataplane::dispatch::{DispatchContext, Dispatcher};
use dataplane::store::hold::{Hold, HoldKind, LiftHold};
use messaging::clock::Clock;
use messaging::failure::FailureClass;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{ProviderMessage, SendOutcome, StatusUpdate, WebhookEvent};

use serde_json::{Value, json};

use super::unsettled::logged;
use super::{failure, refused, says, seconds};
use crate::config::bytes;
use crate::store::{inbound, update};
use crate::world::{World, config_of, dispatch, settle, tenant};

/// The customer writes, so that free-form text may be sent; and a message fails.
async fn reports_failure(world: &World, context: &DispatchContext, failed: &str, class: FailureClass) {
    let status = StatusUpdate { failure: Some(failure(class)), ..update(failed, None, MessageStatus::Failed) };
    let events = vec![inbound("SM-in"), WebhookEvent::Status(status)];
    world.hears("shop", events, Some(context)).await;
}

#[tokio::test]
async fn a_reported_template_failure_stops_the_template_and_a_sender_failure_the_sender() {
    for (class, text_leaves) in
        [(FailureClass::Template, true), (FailureClass::Sender, false), (FailureClass::Request, true)]
    {
        let world = World::with_shop().await;
        let context = world.dispatching(|_| ());
        let mut dispatcher = Dispatcher::new(context.clone());
        let (first, id) = world.hand_over(&mut dispatcher).await;
        reports_failure(&world, &context, &id, class).await;
        assert_eq!(world.status("shop", first).await, MessageStatus::Failed);

        let template = world.accept("shop", |_| ()).await;
        let text = world.accept("shop", |m| m.content = says("hello")).await;
        dispatch(&mut dispatcher, &world.clock).await;
        let left = |leaves| if leaves { MessageStatus::Accepted } else { MessageStatus::Queued };
        assert_eq!(world.status("shop", template).await, left(class == FailureClass::Request), "{class:?}");
        assert_eq!(world.status("shop", text).await, left(text_leaves), "{class:?}");

        world.clock.advance(seconds(if class == FailureClass::Template { 3600 } else { 60 }));
        dispatch(&mut dispatcher, &world.clock).await;
        for message in [template, text] {
            assert_eq!(world.status("shop", message).await, MessageStatus::Accepted, "it rests for a while only");
        }
    }
}

/// The operator observes what WhatsApp says of the template `hello`.
fn observes(world: &World, state: &str) {
    let mut config: Value = serde_json::from_slice(&config_of(world, "shop").to_json()).unwrap();
    for account in config["templates"]["hello"]["localizations"]["en"]["accounts"].as_object_mut().unwrap().values_mut()
    {
        account["approval"] = json!({ "state": state });
        if state == "paused" {
            account["approval"]["reason"] = json!("low quality");
        }
    }
    world.shared.configs.apply(&tenant("shop"), &bytes(&config));
}

#[tokio::test]
async fn a_stopped_template_rests_until_the_config_shows_it_approved_again() {
    let world = World::with_shop().await;
    let mut dispatcher = world.dispatcher();
    world.provider("shop").will_answer([refused(FailureClass::Template, "63041", None)]);
    world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    let waits = world.accept("shop", |_| ()).await;
    for _ in 0..5 {
        world.clock.advance(seconds(61));
        dispatch(&mut dispatcher, &world.clock).await;
        assert_eq!(world.status("shop", waits).await, MessageStatus::Queued, "the config does not know of it yet");
    }
    observes(&world, "paused");
    dispatch(&mut dispatcher, &world.clock).await;
    observes(&world, "approved");
    world.clock.advance(seconds(61));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", waits).await, MessageStatus::Accepted);
    assert_eq!(world.shared.store.holds(world.clock.now()).await.unwrap(), [], "other replicas send, too");
}

#[tokio::test]
async fn what_a_status_stops_rests_on_every_replica() {
    for (class, text_leaves) in [(FailureClass::Template, true), (FailureClass::Sender, false)] {
        let world = World::with_shop().await;
        let context = world.dispatching(|_| ());
        let (_, id) = world.hand_over(&mut Dispatcher::new(context.clone())).await;
        reports_failure(&world, &context, &id, class).await;
        let template = world.accept("shop", |_| ()).await;
        let text = world.accept("shop", |m| m.content = says("hello")).await;
        // It has brakes of its own, and asks the store what is held.
        let shared = world.replica().await;
        let mut other = Dispatcher::new(DispatchContext { shared, ..world.dispatching(|_| ()) });
        dispatch(&mut other, &world.clock).await;
        let left = |leaves| if leaves { MessageStatus::Accepted } else { MessageStatus::Queued };
        assert_eq!(world.status("shop", template).await, left(false), "{class:?}");
        assert_eq!(world.status("shop", text).await, left(text_leaves), "{class:?}");
        world.clock.advance(seconds(if class == FailureClass::Template { 3600 } else { 60 }));
        dispatch(&mut other, &world.clock).await;
        assert_eq!(world.status("shop", template).await, MessageStatus::Accepted);
    }
}

#[tokio::test]
async fn what_an_answer_stops_rests_on_every_replica_and_is_written_once() {
    for (class, rest) in [(FailureClass::Template, 3600), (FailureClass::Sender, 60)] {
        let world = World::with_shop().await;
        for _ in 0..3 {
            world.accept("shop", |_| ()).await;
        }
        let provider = world.provider("shop");
        provider.will_answer((0..3).map(|_| refused(class, "1", None)).collect::<Vec<_>>());
        dispatch(&mut world.dispatcher(), &world.clock).await;
        let calls = provider.calls();
        let held = world.shared.store.holds(world.clock.now()).await.unwrap();
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((held[0].kind, held[0].until), (HoldKind::Breaker, world.clock.now() + seconds(rest)));
        let waits = world.accept("shop", |_| ()).await;
        dispatch(&mut world.dispatcher(), &world.clock).await;
        assert_eq!((provider.calls(), world.status("shop", waits).await), (calls, MessageStatus::Queued), "{class:?}");
    }
}

#[tokio::test]
async fn once_an_operator_lifts_a_hold_messages_leave_at_once_even_from_the_replica_that_placed_it() {
    for class in [FailureClass::Template, FailureClass::Sender] {
        for is_told_by_a_status in [false, true] {
            let world = World::with_shop().await;
            let context = world.dispatching(|_| ());
            let mut dispatcher = Dispatcher::new(context.clone());
            if is_told_by_a_status {
                let (_, id) = world.hand_over(&mut dispatcher).await;
                reports_failure(&world, &context, &id, class).await;
            } else {
                world.provider("shop").will_answer([refused(class, "1", None)]);
                world.accept("shop", |_| ()).await;
                dispatch(&mut dispatcher, &world.clock).await;
            }
            let waits = world.accept("shop", |_| ()).await;
            dispatch(&mut dispatcher, &world.clock).await;
            assert_eq!(world.status("shop", waits).await, MessageStatus::Queued, "{class:?}");

            // By another replica, as far as this one is concerned.
            let Hold { tenant, scope, kind, .. } = world.shared.store.holds(world.clock.now()).await.unwrap().remove(0);
            world.shared.store.write(LiftHold { tenant, scope, kind }).await.unwrap();
            world.shared.holds.refresh().await.unwrap();
            let leaves = world.accept("shop", |_| ()).await;
            dispatch(&mut dispatcher, &world.clock).await;
            assert_eq!(world.status("shop", leaves).await, MessageStatus::Accepted, "{class:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_reported_before_its_message_is_known_stops_what_it_affects_afterwards() {
    for class in [FailureClass::Template, FailureClass::Sender] {
        for way in ["the answer", "a callback", "the provider's log"] {
            let (world, early) = (World::with_shop().await, "SM-early");
            let (provider, context) = (world.provider("shop"), world.dispatching(|_| ()));
            let mut dispatcher = Dispatcher::new(context.clone());
            provider.will_answer([if way == "the answer" {
                SendOutcome::Accepted { provider_message_id: early.into(), status: MessageStatus::Accepted }
            } else {
                SendOutcome::Ambiguous { reason: "timed out".into() }
            }]);
            let first = world.accept("shop", |_| ()).await;
            if way != "the answer" {
                dispatch(&mut dispatcher, &world.clock).await;
                world.clock.advance(seconds(61));
            }
            reports_failure(&world, &context, early, class).await;
            match way {
                "a callback" => {
                    let attempt = world.record("shop", first).await.message.attempt;
                    let status = WebhookEvent::Status(update(early, attempt, MessageStatus::Sent));
                    world.hears("shop", vec![status], Some(&context)).await;
                }
                "the provider's log" => {
                    let at = world.clock.now() - seconds(60);
                    provider
                        .log
                        .lock()
                        .unwrap()
                        .push(ProviderMessage { created_at: Some(at), ..logged(&world, early) });
                    settle(&mut Settler::new(context.clone())).await;
                }
                _ => drop(dispatch(&mut dispatcher, &world.clock).await),
            }
            assert_eq!(world.status("shop", first).await, MessageStatus::Failed, "{way}");

            let template = world.accept("shop", |_| ()).await;
            let text = world.accept("shop", |m| m.content = says("hello")).await;
            dispatch(&mut dispatcher, &world.clock).await;
            let left = |leaves| if leaves { MessageStatus::Accepted } else { MessageStatus::Queued };
            assert_eq!(world.status("shop", template).await, left(false), "{class:?} by {way}");
            assert_eq!(world.status("shop", text).await, left(class == FailureClass::Template), "{class:?} by {way}");
        }
    }
}
