//! Promises about sending: nothing twice, nothing that policy forbids, nothing lost.

mod held;
mod limited;
mod outage;
mod pace;
mod pool;
mod stopped;
mod unsettled;

use std::time::Duration;

use dataplane::dispatch::Dispatcher;
use dataplane::rules::event;
use dataplane::store::contact::PutSuppression;
use dataplane::store::message::{CancelMessage, Cancellation, Priority, Reason, ReplyTo, Sinks};
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::contact::{Suppression, SuppressionReason};
use messaging::content::OutboundContent;
use messaging::failure::{Failure, FailureClass};
use messaging::id::MessageId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{ProviderError, SendOutcome, StatusUpdate, WebhookEvent};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::store::update;
use crate::world::{CUSTOMER, World, config_of, dispatch, soon, support, tenant};

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

fn refused(class: FailureClass, code: &str, retry_after: Option<u64>) -> SendOutcome {
    SendOutcome::Refused(ProviderError {
        failure: Failure::new(class, "the provider's words").with_code(code),
        http_status: Some(400),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "no").with_code("1")
}

fn says(body: &str) -> OutboundContent {
    OutboundContent::Text { body: body.into() }
}

#[tokio::test]
async fn a_message_quotes_what_it_answers_where_it_may() {
    let world = World::with_shop().await;
    for quotes in [Some("SM0".to_owned()), None] {
        let id = MessageId::new(world.clock.now(), &[1; 10]);
        world.accept("shop", |m| m.reply_to = Some(ReplyTo { id, quotes: quotes.clone() })).await;
        dispatch(&mut world.dispatcher(), &world.clock).await;
        assert_eq!(world.provider("shop").sent.lock().unwrap().last().unwrap().reply_to, quotes);
    }
}

#[tokio::test]
async fn an_accepted_message_is_handed_over_once_with_its_attempt_in_the_callback() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    dispatch(&mut dispatcher, &world.clock).await;

    let sent = world.provider("shop").sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    let callback = format!("https://hooks.example.com/webhooks/shop/support/twilio/status/{}", sent[0].attempt);
    assert_eq!(sent[0].status_callback.as_ref().unwrap().as_str(), callback);
    let record = world.record("shop", id).await;
    assert_eq!(record.message.status, MessageStatus::Accepted);
    assert_eq!(record.message.provider_message_id.as_deref(), Some("SM00000000000000000000000000000001"));
    assert_eq!(record.message.attempt, Some(sent[0].attempt));
    let statuses: Vec<_> = record.timeline.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [MessageStatus::Queued, MessageStatus::Submitted, MessageStatus::Accepted]);
    let requests: Vec<_> = record.timeline.iter().map(|entry| entry.provider_request_id.as_deref()).collect();
    assert_eq!(requests, [None, Some("RQ1"), Some("RQ1")]);
    world.metric(r#"whatsapp_attempts_total{outcome="accepted"} 1"#);
}

#[tokio::test]
async fn what_a_person_can_do_about_a_failure_is_said_wherever_the_failure_is() {
    let advised =
        || Failure { advice: "enter the code".into(), ..Failure::new(FailureClass::Request, "no").with_code("1") };
    let world = World::with_shop().await;
    let refused = ProviderError { failure: advised(), http_status: Some(400), retry_after: None };
    world.provider("shop").will_answer([SendOutcome::Refused(refused)]);
    let mut dispatcher = world.dispatcher();
    let answered = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    let (reported, id) = world.hand_over(&mut dispatcher).await;
    let failed = StatusUpdate { failure: Some(advised()), ..update(&id, None, MessageStatus::Failed) };
    world.hears("shop", vec![WebhookEvent::Status(failed)], None).await;
    for (message, status) in [(answered, MessageStatus::Rejected), (reported, MessageStatus::Failed)] {
        let record = world.record("shop", message).await;
        assert_eq!(record.message.status, status);
        let step = record.timeline.last().unwrap().clone();
        let event = event::status(&record.message, MessageStatus::Submitted, step.at);
        assert_eq!(event.data["reason"]["advice"], "enter the code");
        for reason in [record.message.reason, step.reason] {
            assert_eq!(reason.unwrap().advice.as_deref(), Some("enter the code"));
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_twice_when_killed_between_the_attempt_and_its_result() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    let _never = provider.hold();

    // Killed: the call was made, and its future is dropped before it answers.
    let mut killed = world.dispatcher();
    killed.turn().await.unwrap();
    soon(provider.until_called(1)).await;
    drop(killed);
    assert_eq!(world.status("shop", id).await, MessageStatus::Submitted);

    // No replica touches it while the lease lasts, and none sends it again afterwards.
    let mut survivor = world.dispatcher();
    dispatch(&mut survivor, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Submitted);
    world.clock.advance(seconds(61));
    dispatch(&mut survivor, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed);
    for _ in 0..5 {
        world.clock.advance(seconds(600));
        dispatch(&mut survivor, &world.clock).await;
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn what_was_claimed_and_not_begun_is_sent_by_the_next() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let mut killed = world.dispatcher();
    killed.turn().await.unwrap();
    drop(killed); // Its task had not run yet: a single thread runs this test.
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    world.clock.advance(seconds(61));
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    assert_eq!(world.provider("shop").calls(), 1);
}

#[tokio::test]
async fn a_contact_that_opts_out_between_acceptance_and_dispatch_gets_nothing() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let suppression =
        Suppression { reason: SuppressionReason::OptedOut, at: world.clock.now(), detail: "sent STOP".into() };
    let (tenant, sender, contact) = (tenant("shop"), support(), CUSTOMER.parse().unwrap());
    world.shared.store.write(PutSuppression { tenant, sender, contact, suppression }).await.unwrap();
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.provider("shop").calls(), 0);
    assert_eq!(world.status("shop", id).await, MessageStatus::Suppressed);
    assert!(world.reason("shop", id).await.contains("sent STOP"));
    world.metric(r#"whatsapp_messages_total{status="suppressed"} 1"#);
}

#[tokio::test]
async fn policy_is_checked_at_the_moment_of_sending() {
    let world = World::with_shop().await;
    let text = world.accept("shop", |m| m.content = says("hi")).await;
    let expires_at = world.clock.now() + seconds(5);
    let late = world.accept("shop", |m| m.expires_at = Some(expires_at)).await;
    world.clock.advance(seconds(5));
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.provider("shop").calls(), 0);
    assert_eq!(world.status("shop", text).await, MessageStatus::Rejected);
    assert!(world.reason("shop", text).await.contains("24-hour window"));
    assert_eq!(world.status("shop", late).await, MessageStatus::Expired);
}

#[tokio::test]
async fn a_canceled_message_is_not_sent() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let cancel = CancelMessage {
        tenant: tenant("shop"),
        id,
        now: world.clock.now(),
        reason: Reason::new(None, "by the tenant"),
        sinks: Sinks::LastKnown,
    };
    assert!(matches!(world.shared.store.write(cancel).await.unwrap(), Cancellation::Canceled(_)));
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.provider("shop").calls(), 0);
    assert_eq!(world.status("shop", id).await, MessageStatus::Canceled);
}

#[tokio::test]
async fn a_paused_sender_sends_nothing_until_it_is_resumed() {
    let world = World::new().await;
    world.tenant("shop", |sender| sender["paused"] = json!(true));
    let id = world.accept("shop", |_| ()).await;
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    world.tenant("shop", |_| ());
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
}

#[tokio::test]
async fn a_429_is_retried_after_what_it_asks_for() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([refused(FailureClass::Retry, "20429", Some(7))]);
    let mut dispatcher = world.dispatcher();
    let next = dispatch(&mut dispatcher, &world.clock).await.unwrap();
    assert_eq!(provider.calls(), 1);
    assert!(next >= world.clock.now() + seconds(7), "{next}");
    world.clock.advance(seconds(6));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 1, "not before Retry-After");
    world.clock.set(next);
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    let sent = provider.sent.lock().unwrap().clone();
    assert_ne!(sent[0].attempt, sent[1].attempt, "each attempt has a callback of its own");
}

#[tokio::test]
async fn a_message_that_could_not_be_tried_again_within_its_validity_is_expired() {
    let world = World::with_shop().await;
    let expires_at = world.clock.now() + seconds(5);
    let id = world.accept("shop", |m| m.expires_at = Some(expires_at)).await;
    world.provider("shop").will_answer([refused(FailureClass::Retry, "20429", Some(7))]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let record = world.record("shop", id).await;
    assert_eq!(record.message.status, MessageStatus::Expired);
    assert_eq!(record.timeline.last().unwrap().status, MessageStatus::Expired);
    world.metric(r#"whatsapp_messages_total{status="expired"} 1"#);
}

#[tokio::test]
async fn the_senders_rate_is_kept_and_says_when_to_look_again() {
    let world = World::new().await;
    world.tenant("shop", |s| s["limits"] = json!({ "messagesPerSecond": 2, "burst": 3, "maxConcurrency": 32 }));
    for _ in 0..10 {
        world.accept("shop", |_| ()).await;
    }
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    let begun = world.clock.now();
    let mut times: Vec<Timestamp> = Vec::new();
    while provider.calls() < 10 {
        let next = dispatch(&mut dispatcher, &world.clock).await;
        times.resize(provider.calls(), world.clock.now());
        if let Some(next) = next {
            world.clock.set(next);
        }
    }
    let after_begin: Vec<_> = times.iter().map(|at| at.duration_since(begun).as_millis()).collect();
    assert_eq!(after_begin, [0, 0, 0, 500, 1000, 1500, 2000, 2500, 3000, 3500]);
}

#[tokio::test]
async fn a_sender_whose_account_fails_rests_and_no_other_notices() {
    let world = World::with_shop().await;
    world.tenant("bank", |_| ());
    let first = world.accept("shop", |_| ()).await;
    let (shop, bank) = (world.provider("shop"), world.provider("bank"));
    shop.will_answer([refused(FailureClass::Sender, "20003", None)]);
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    let second = world.accept("shop", |_| ()).await;
    world.accept("bank", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!((shop.calls(), bank.calls()), (1, 1));
    assert_eq!(world.status("shop", first).await, MessageStatus::Queued);
    world.metric("whatsapp_senders_stopped 1");
    world.clock.advance(seconds(60));
    dispatch(&mut dispatcher, &world.clock).await;
    for id in [first, second] {
        assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    }
    dispatch(&mut dispatcher, &world.clock).await;
    world.metric("whatsapp_senders_stopped 0");
}

#[tokio::test]
async fn a_template_that_the_provider_does_not_take_is_not_tried_with_the_next_message() {
    let world = World::with_shop().await;
    let first = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([refused(FailureClass::Template, "63027", None)]);
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    let second = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 1);
    assert_eq!(world.status("shop", first).await, MessageStatus::Rejected);
    assert_eq!(world.status("shop", second).await, MessageStatus::Queued);
    world.clock.advance(seconds(3600));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", second).await, MessageStatus::Accepted);
}

#[tokio::test]
async fn a_recipient_that_the_provider_cannot_reach_is_suppressed() {
    let world = World::with_shop().await;
    let first = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([refused(FailureClass::Suppress, "63024", None)]);
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    let second = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(provider.calls(), 1);
    for id in [first, second] {
        assert_eq!(world.status("shop", id).await, MessageStatus::Suppressed);
    }
}

#[tokio::test]
async fn a_flood_of_one_tenant_does_not_keep_another_waiting() {
    let world = World::new().await;
    world.tenant("flood", |_| ());
    world.tenant("shop", |_| ());
    for _ in 0..50 {
        world.accept("flood", |_| ()).await;
    }
    let id = world.accept("shop", |_| ()).await;
    let mut dispatcher = Dispatcher::new(world.dispatching(|options| options.max_in_flight = 2));
    dispatcher.turn().await.unwrap();
    dispatcher.settle_down().await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    assert_eq!(world.provider("flood").calls(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_one_tenant_holds_up_no_other() {
    let world = World::new().await;
    world.tenant("stuck", |_| ());
    world.tenant("shop", |_| ());
    let stuck = world.provider("stuck");
    let _never = stuck.hold();
    for _ in 0..40 {
        world.accept("stuck", |_| ()).await;
    }
    let mut dispatcher = world.dispatcher();
    while dispatcher.turn().await.unwrap().is_some_and(|at| at <= world.clock.now()) {}
    soon(stuck.until_called(10)).await;
    world.accept("shop", |_| ()).await;
    dispatcher.turn().await.unwrap();
    soon(world.provider("shop").until_called(1)).await;
    assert_eq!(stuck.calls(), 10, "no more calls begin before one is answered");
}

#[tokio::test]
async fn a_one_time_password_leaves_before_what_was_queued_earlier() {
    let world = World::new().await;
    world.tenant("shop", |s| s["limits"] = json!({ "messagesPerSecond": 1, "burst": 1, "maxConcurrency": 1 }));
    let news = world.accept("shop", |m| m.priority = Priority::Marketing).await;
    let password = world.accept("shop", |m| m.priority = Priority::Authentication).await;
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", password).await, MessageStatus::Accepted);
    assert_eq!(world.status("shop", news).await, MessageStatus::Queued);
}

#[tokio::test]
async fn messages_of_a_tenant_without_config_wait_for_it() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let config = config_of(&world, "shop");
    world.shared.configs.remove(&tenant("shop"));
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    world.shared.configs.apply(&tenant("shop"), &config.to_json());
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
}

#[tokio::test]
async fn a_running_dispatcher_wakes_for_what_is_accepted_and_finishes_calls_before_it_stops() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    let release = provider.hold();
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(world.dispatcher().run(stop.clone()));
    let id: MessageId = world.accept("shop", |_| ()).await;
    soon(provider.until_called(1)).await;
    stop.cancel();
    release.notify_one();
    soon(running.join_next()).await.unwrap().unwrap();
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
}
