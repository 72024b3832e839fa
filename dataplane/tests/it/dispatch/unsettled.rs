//! Promises about messages whose fate no answer and no callback told: asked for, never sent again, never guessed.

use messaging::clock::Clock;
use messaging::failure::FailureClass;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{Direction, ProviderFailure, ProviderMessage, SendOutcome};

use super::seconds;
use crate::world::{CUSTOMER, World, dispatch, reconcile, support, tenant};

fn lost() -> SendOutcome {
    SendOutcome::Ambiguous { reason: "timed out".into() }
}

/// What the provider's log says of a message to [`CUSTOMER`] that it took a second ago.
fn logged(world: &World, id: &str) -> ProviderMessage {
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

#[tokio::test]
async fn an_ambiguous_attempt_is_never_sent_again_and_ends_when_the_log_has_nothing() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    let (mut dispatcher, mut reconciler) = (world.dispatcher(), world.reconciler());
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed);
    let begun = world.clock.now();
    while world.clock.now() < begun + seconds(15 * 60) {
        assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed, "{}", world.clock.now());
        world.clock.advance(seconds(30));
        dispatch(&mut dispatcher, &world.clock).await;
        reconcile(&mut reconciler).await;
    }
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    assert!(world.reason("shop", id).await.starts_with("unconfirmed: the provider's log has no such message 15"));
    assert_eq!(provider.calls(), 1);
    world.metric(r#"whatsapp_reconcile_repairs_total{kind="absent_from_log"} 1"#);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_providers_log() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, "SM-found"));
    world.clock.advance(seconds(61));
    reconcile(&mut world.reconciler()).await;
    let record = world.record("shop", id).await;
    assert_eq!(record.message.status, MessageStatus::Sent);
    assert_eq!(record.message.provider_message_id.as_deref(), Some("SM-found"));
    assert_eq!(provider.calls(), 1);
    world.metric(r#"whatsapp_reconcile_repairs_total{kind="found_in_log"} 1"#);
}

#[tokio::test]
async fn what_belongs_to_another_message_is_not_taken_for_a_lost_one() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let provider = world.provider("shop");
    // Two of the same words to the same customer: one accepted, one lost.
    let known = world.accept("shop", |_| ()).await;
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    let known_id = world.record("shop", known).await.message.provider_message_id.unwrap();
    provider.will_answer([lost()]);
    let unknown = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, &known_id));
    world.clock.advance(seconds(16 * 60));
    reconcile(&mut world.reconciler()).await;
    assert_eq!(world.status("shop", unknown).await, MessageStatus::Failed, "the log has none that is not known");
}

#[tokio::test]
async fn two_lost_messages_of_the_same_words_never_share_one_of_the_log() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let provider = world.provider("shop");
    provider.will_answer([lost(), lost()]);
    let ids = [world.accept("shop", |_| ()).await, world.accept("shop", |_| ()).await];
    dispatch(&mut world.dispatcher(), &world.clock).await;
    provider.log.lock().unwrap().push(logged(&world, "SM-only"));
    let mut reconciler = world.reconciler();
    for _ in 0..30 {
        world.clock.advance(seconds(61));
        reconcile(&mut reconciler).await;
    }
    let mut ended = [world.status("shop", ids[0]).await, world.status("shop", ids[1]).await];
    ended.sort();
    assert_eq!(ended, [MessageStatus::Sent, MessageStatus::Failed]);
}

#[tokio::test]
async fn when_two_of_the_log_could_be_it_neither_is_guessed() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    provider.will_answer([lost()]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    provider.log.lock().unwrap().extend([logged(&world, "SM-1"), logged(&world, "SM-2")]);
    let mut reconciler = world.reconciler();
    world.clock.advance(seconds(20 * 60));
    reconcile(&mut reconciler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Unconfirmed);
    world.clock.advance(seconds(40 * 60));
    reconcile(&mut reconciler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Failed);
    assert!(world.reason("shop", id).await.starts_with("unconfirmed: 2 messages of the provider's log fit"));
}

#[tokio::test]
async fn a_lost_webhook_is_made_good_by_asking_for_the_message() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let id = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    dispatch(&mut world.dispatcher(), &world.clock).await;
    let provider_id = world.record("shop", id).await.message.provider_message_id.unwrap();
    let delivered = ProviderMessage { status: MessageStatus::Delivered, ..logged(&world, &provider_id) };
    provider.log.lock().unwrap().push(delivered);
    let mut reconciler = world.reconciler();
    reconcile(&mut reconciler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted, "its time to be asked for has not come");
    world.clock.advance(seconds(601));
    reconcile(&mut reconciler).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Delivered);
}

#[tokio::test]
async fn a_failure_that_only_the_providers_log_tells_suppresses_its_recipient() {
    let world = World::new().await;
    world.tenant("shop", |_| ());
    let first = world.accept("shop", |_| ()).await;
    let provider = world.provider("shop");
    let mut dispatcher = world.dispatcher();
    dispatch(&mut dispatcher, &world.clock).await;
    let provider_id = world.record("shop", first).await.message.provider_message_id.unwrap();
    let failure = ProviderFailure {
        code: Some("21610".into()),
        message: "the recipient has opted out".into(),
        class: FailureClass::Suppress,
    };
    let failed =
        ProviderMessage { status: MessageStatus::Failed, failure: Some(failure), ..logged(&world, &provider_id) };
    provider.log.lock().unwrap().push(failed);
    world.clock.advance(seconds(601));
    reconcile(&mut world.reconciler()).await;
    assert_eq!(world.status("shop", first).await, MessageStatus::Failed);
    let contact = world.store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap();
    assert!(contact.state.suppression.is_some());
    let second = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", second).await, MessageStatus::Suppressed);
    assert_eq!(provider.calls(), 1);
}
