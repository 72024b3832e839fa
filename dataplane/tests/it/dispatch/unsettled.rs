//! Promises about messages whose outcome no answer and no callback reported: asked about, never guessed, and
//! sent again only on request.

use std::sync::Arc;

use dataplane::budget::Budget;
use dataplane::dispatch::Dispatcher;
use dataplane::dispatch::settle::Settler;
use dataplane::store::message::OnUnconfirmed;
use messaging::clock::Clock;
use messaging::contact::SuppressionReason;
use messaging::failure::{Failure, FailureClass};
use messaging::id::MessageId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{Direction, ProviderMessage, SendOutcome};

use super::{failure, says, seconds};
use crate::fake::FakeProvider;
use crate::mortal::{Death, Mortal};
use crate::store::inbound;
use crate::world::{CUSTOMER, World, config_of, dispatch, settle, support, tenant};

fn lost() -> SendOutcome {
    SendOutcome::Ambiguous { reason: "timed out".into() }
}

/// What the provider's log says of a message to [`CUSTOMER`] that it took a second ago.
pub(super) fn logged(world: &World, id: &str) -> ProviderMessage {
    ProviderMessage {
        provider_message_id: id.into(),
        direction: Direction::Outbound,
        from: Some("+14155238886".parse().unwrap()),
        to: Some(CUSTOMER.parse().unwrap()),
        body: Some("Hello".into()),
        files: None,
        status: MessageStatus::Sent,
        failure: None,
        created_at: Some(world.clock.now() + seconds(1)),
    }
}

/// A message that the provider may or may not have accepted.
async fn lost_message() -> (World, Arc<FakeProvider>, MessageId) {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    (world, provider, id)
}

#[tokio::test]
async fn an_ambiguous_attempt_is_never_sent_again_and_ends_when_the_log_has_nothing() {
    let (world, provider, id) = lost_message().await;
    let (mut dispatcher, mut settler) = (world.dispatcher(), world.settler());
    assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed);
    let begun = world.clock.now();
    while world.clock.now() < begun + seconds(15 * 60) {
        assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed, "{}", world.clock.now());
        world.clock.advance(seconds(30));
        dispatch(&mut dispatcher, &world.clock).await;
        settle(&mut settler).await;
    }
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    assert!(world.reason("shop", id).await.starts_with("unconfirmed: the provider's log has no such message 15"));
    assert_eq!(provider.calls(), 1);
    world.metric(r#"whatsapp_reconcile_repairs_total{kind="absent_from_log"} 1"#);
}

#[tokio::test]
async fn a_message_with_on_unconfirmed_resend_is_sent_again_once_the_log_has_nothing() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    provider.will_answer([lost(), lost()]);
    let resent = world.accept("shop", |message| message.on_unconfirmed = OnUnconfirmed::Resend).await;
    let default = world.accept("shop", |message| message.to = "+447700900124".parse().unwrap()).await;
    let (mut dispatcher, mut settler) = (world.dispatcher(), world.settler());
    dispatch(&mut dispatcher, &world.clock).await;
    let first = world.record("shop", resent).await.message.attempt;
    let begun = world.clock.now();
    while world.clock.now() < begun + seconds(2 * 60 * 60) {
        world.clock.advance(seconds(30));
        settle(&mut settler).await;
        dispatch(&mut dispatcher, &world.clock).await;
        let waited = world.clock.now() - begun;
        let calls = if waited.total(jiff::Unit::Second).unwrap() < 900.0 { 2 } else { 3 };
        assert_eq!(provider.calls(), calls, "after {waited}");
        // The second attempt was answered, and is in the log.
        let id = world.record("shop", resent).await.message.provider_message_id;
        if let Some(id) = id.filter(|_| provider.log.lock().unwrap().is_empty()) {
            provider.log.lock().unwrap().push(logged(&world, &id));
        }
    }
    let message = world.record("shop", resent).await.message;
    assert_eq!((message.status, message.attempts), (MessageStatus::Sent, 2));
    assert_ne!(message.attempt, first);
    let message = world.record("shop", default).await.message;
    assert_eq!((message.status, message.attempts), (MessageStatus::Failed, 1));
    world.metric(r#"whatsapp_reconcile_repairs_total{kind="sent_again"} 1"#);
}

#[tokio::test]
async fn a_message_that_the_log_has_is_not_sent_again_even_on_request() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    let id = world.accept("shop", |message| message.on_unconfirmed = OnUnconfirmed::Resend).await;
    let (mut dispatcher, mut settler) = (world.dispatcher(), world.settler());
    dispatch(&mut dispatcher, &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, "SM-found"));
    for _ in 0..70 {
        world.clock.advance(seconds(61));
        settle(&mut settler).await;
        dispatch(&mut dispatcher, &world.clock).await;
    }
    assert_eq!(world.record("shop", id).await.message.provider_message_id.as_deref(), Some("SM-found"));
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_providers_log() {
    let (world, provider, id) = lost_message().await;
    provider.log.lock().unwrap().push(logged(&world, "SM-found"));
    world.clock.advance(seconds(61));
    settle(&mut world.settler()).await;
    let record = world.record("shop", id).await;
    assert_eq!(record.message.status, MessageStatus::Sent);
    assert_eq!(record.message.provider_message_id.as_deref(), Some("SM-found"));
    assert_eq!(provider.calls(), 1);
    world.metric(r#"whatsapp_reconcile_repairs_total{kind="found_in_log"} 1"#);
}

#[tokio::test]
async fn a_store_that_fails_amid_a_question_costs_no_more_than_asking_again() {
    // The first operation claims; without a claim there is nothing to release.
    for nth in 2.. {
        let (world, provider, id) = lost_message().await;
        provider.log.lock().unwrap().push(logged(&world, "SM-found"));
        world.clock.advance(seconds(61));
        let (store, fails) = Mortal::new(&world.shared.store, Death::NotButFails(nth));
        let mut context = world.dispatching(|_| ());
        context.shared.store = store;
        settle(&mut Settler::new(context)).await;
        assert_eq!(world.status("shop", id).await, MessageStatus::Sent, "after operation {nth} failed");
        if !fails.has_failed() {
            assert!(nth > 4, "{nth} operations are fewer than a question takes");
            break;
        }
    }
}

#[tokio::test]
async fn what_belongs_to_another_message_is_not_taken_for_a_lost_one() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    // Two of the same words to the same customer: one accepted, one lost.
    let mut dispatcher = world.dispatcher();
    let (_, known_id) = world.hand_over(&mut dispatcher).await;
    provider.will_answer([lost()]);
    let unknown = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, &known_id));
    world.clock.advance(seconds(16 * 60));
    settle(&mut world.settler()).await;
    assert_eq!(world.status("shop", unknown).await, MessageStatus::Failed, "the log has none that is not known");
}

/// Lets an hour pass, asking the provider whenever a question is due.
async fn wait_it_out(world: &World) {
    let mut settler = world.settler();
    for _ in 0..70 {
        world.clock.advance(seconds(61));
        settle(&mut settler).await;
    }
}

/// The customer writes, so that free-form text may be sent.
async fn opens_window(world: &World, name: &str) {
    let id = format!("SM-{}", world.clock.now().as_second());
    world.hears(name, vec![inbound(&id)], None).await;
}

#[tokio::test]
async fn two_lost_messages_with_the_same_words_never_get_each_others_outcome() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    provider.will_answer([lost(), lost()]);
    let ids = [world.accept("shop", |_| ()).await, world.accept("shop", |_| ()).await];
    dispatch(&mut world.dispatcher(), &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, "SM-only"));
    wait_it_out(&world).await;
    for id in ids {
        assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
        let reason = world.reason("shop", id).await;
        assert!(reason.contains("may come from another unresolved attempt"), "{reason}");
    }
    assert_eq!(provider.calls(), 2);
}

#[tokio::test]
async fn two_lost_messages_of_different_words_each_find_their_own() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    opens_window(&world, "shop").await;
    provider.will_answer([lost(), lost()]);
    let first = world.accept("shop", |m| m.content = says("your order left")).await;
    let second = world.accept("shop", |m| m.content = says("your order arrived")).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let words = |id: &str, body: &str| ProviderMessage { body: Some(body.into()), ..logged(&world, id) };
    provider
        .log
        .lock()
        .unwrap()
        .extend([words("SM-arrived", "your order arrived"), words("SM-left", "your  order\nleft")]);
    wait_it_out(&world).await;
    for (id, found) in [(first, "SM-left"), (second, "SM-arrived")] {
        assert_eq!(world.record("shop", id).await.message.provider_message_id.as_deref(), Some(found));
    }
}

#[tokio::test]
async fn a_template_is_not_taken_for_another_that_its_customer_got_at_the_same_time() {
    let (world, provider, id) = lost_message().await;
    let other = ProviderMessage { body: Some("Your code is 1234".into()), ..logged(&world, "SM-other") };
    provider.log.lock().unwrap().push(other);
    wait_it_out(&world).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    let reason = world.reason("shop", id).await;
    assert!(reason.contains("in other words than expected"), "{reason}");
    assert_eq!(world.record("shop", id).await.message.provider_message_id, None);
}

#[tokio::test]
async fn what_came_after_the_call_was_given_up_is_not_taken_for_it() {
    let (world, provider, id) = lost_message().await;
    world.clock.advance(seconds(60));
    provider.log.lock().unwrap().push(logged(&world, "SM-later"));
    world.clock.advance(seconds(15 * 60));
    settle(&mut world.settler()).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    assert!(world.reason("shop", id).await.contains("has no such message"));
}

#[tokio::test]
async fn what_another_tenant_of_the_account_sent_is_not_taken_for_a_lost_message() {
    let world = World::with_shop().await;
    let account = config_of(&world, "shop").senders[&support()].provider.account_key().to_owned();
    world.tenant("club", |sender| sender["provider"]["twilio"]["accountSid"] = account.as_str().into());
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    let lost_one = world.accept("shop", |_| ()).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    // The club has no template there, but a window.
    opens_window(&world, "club").await;
    let theirs = world.accept("club", |m| m.content = says("Hello")).await;
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let their_id = world.record("club", theirs).await.message.provider_message_id.unwrap();
    provider.log.lock().unwrap().push(logged(&world, &their_id));
    wait_it_out(&world).await;
    assert_eq!(world.status("shop", lost_one).await, MessageStatus::Failed);
    assert!(world.reason("shop", lost_one).await.contains("has no such message"));
}

#[tokio::test]
async fn when_two_of_the_log_could_be_it_neither_is_guessed() {
    let (world, provider, id) = lost_message().await;
    provider.log.lock().unwrap().extend([logged(&world, "SM-1"), logged(&world, "SM-2")]);
    let mut settler = world.settler();
    world.clock.advance(seconds(20 * 60));
    settle(&mut settler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed);
    world.clock.advance(seconds(40 * 60));
    settle(&mut settler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    assert!(world.reason("shop", id).await.starts_with("unconfirmed: 2 messages of the provider's log fit"));
}

#[tokio::test]
async fn a_lost_webhook_is_made_up_for_by_asking_about_the_message() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    let (id, provider_id) = world.hand_over(&mut world.dispatcher()).await;
    let delivered = ProviderMessage { status: MessageStatus::Delivered, ..logged(&world, &provider_id) };
    provider.log.lock().unwrap().push(delivered);
    let mut settler = world.settler();
    settle(&mut settler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted, "it is not due for a question yet");
    world.clock.advance(seconds(601));
    settle(&mut settler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Delivered);
}

#[tokio::test]
async fn a_failure_that_only_the_providers_log_reports_suppresses_its_recipient() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    let (first, provider_id) = world.hand_over(&mut dispatcher).await;
    let failure = Failure {
        suppression: Some(SuppressionReason::OptedOut),
        ..Failure::new(FailureClass::Suppress, "the recipient has opted out").with_code("21610")
    };
    let failed =
        ProviderMessage { status: MessageStatus::Failed, failure: Some(failure), ..logged(&world, &provider_id) };
    provider.log.lock().unwrap().push(failed);
    world.clock.advance(seconds(601));
    settle(&mut world.settler()).await;
    assert_eq!(world.status("shop", first).await, MessageStatus::Failed);
    let contact = world.shared.store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap();
    assert!(contact.state.suppression(world.clock.now()).is_some());
    let second = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", second).await, MessageStatus::Suppressed);
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_sender_failure_that_only_the_log_reports_stops_the_sender_and_a_template_failure_the_template() {
    for (class, others) in [(FailureClass::Sender, "sender_stopped"), (FailureClass::Template, "template_stopped")] {
        let world = World::with_shop().await;
        let provider = world.provider("shop");
        let context = world.dispatching(|_| ());
        let mut dispatcher = Dispatcher::new(context.clone());
        let (first, provider_id) = world.hand_over(&mut dispatcher).await;
        let failed = ProviderMessage {
            status: MessageStatus::Failed,
            failure: Some(failure(class)),
            ..logged(&world, &provider_id)
        };
        provider.log.lock().unwrap().push(failed);
        world.clock.advance(seconds(601));
        settle(&mut Settler::new(context)).await;
        assert_eq!(world.status("shop", first).await, MessageStatus::Failed);

        opens_window(&world, "shop").await;
        let template = world.accept("shop", |_| ()).await;
        let text = world.accept("shop", |m| m.content = says("hello")).await;
        dispatch(&mut dispatcher, &world.clock).await;
        assert_eq!(world.status("shop", template).await, MessageStatus::Queued, "{class:?}");
        let stopped = if class == FailureClass::Sender { MessageStatus::Queued } else { MessageStatus::Accepted };
        assert_eq!(world.status("shop", text).await, stopped, "{class:?}");
        let metrics = world.shared.metrics.render().unwrap();
        assert!(!metrics.contains(&format!(r#"whatsapp_deferred_total{{reason="{others}"}} 0"#)), "{metrics}");
    }
}

#[tokio::test]
async fn a_message_without_budget_is_asked_about_later_and_not_lost() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    let mut ids = Vec::new();
    for n in 0..5 {
        let to = format!("+44770090012{n}");
        ids.push(world.accept("shop", |m| m.to = to.parse().unwrap()).await);
    }
    dispatch(&mut world.dispatcher(), &world.clock).await;
    for id in &ids {
        let provider_id = world.record("shop", *id).await.message.provider_message_id.unwrap();
        let delivered = ProviderMessage { status: MessageStatus::Delivered, ..logged(&world, &provider_id) };
        provider.log.lock().unwrap().push(delivered);
    }
    world.clock.advance(seconds(601));
    let budget = Arc::new(Budget::new(1, 2));
    let mut settler = Settler::with_budget(world.dispatching(|_| ()), budget);
    let mut settled = Vec::new();
    for _ in 0..4 {
        settle(&mut settler).await;
        let mut delivered = 0;
        for id in &ids {
            delivered += usize::from(world.status("shop", *id).await == MessageStatus::Delivered);
        }
        settled.push(delivered);
        world.clock.advance(seconds(1));
    }
    assert_eq!(settled, [2, 3, 4, 5]);
}
