//! Promises about limits that a status reports: they cost time, and no message.

use messaging::address::Address;
use messaging::failure::FailureScope;
use messaging::provider::{ProviderMessage, StatusUpdate, WebhookEvent};

use super::*;
use crate::store::{inbound, update};

/// The provider reports what became of its messages, by their places among those that it was sent.
async fn reports_a_limit(
    world: &World,
    scope: FailureScope,
    of: std::ops::Range<usize>,
    context: &dataplane::dispatch::DispatchContext,
) {
    let sent = world.provider("shop").sent.lock().unwrap().clone();
    let failure = Failure {
        scope: Some(scope),
        ..Failure::new(FailureClass::RetryLater, "rate limit exceeded").with_code("63018")
    };
    let reports = of.map(|n| {
        let failed = update(&format!("SM{:032}", n + 1), Some(sent[n].attempt), MessageStatus::Failed);
        WebhookEvent::Status(StatusUpdate { failure: Some(failure.clone()), ..failed })
    });
    world.hears("shop", reports.collect(), Some(context)).await;
}

fn to(n: usize) -> Address {
    format!("+4477009{n:05}").parse().unwrap()
}

const CAMPAIGN: usize = 60;

#[tokio::test]
async fn a_campaign_that_meets_the_limit_on_conversations_is_delivered_later_and_urgent_messages_now() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    let mut dispatcher = Dispatcher::new(context.clone());
    let mut ids = Vec::new();
    for n in 0..CAMPAIGN {
        ids.push(world.accept("shop", |m| m.to = to(n)).await);
    }
    while world.provider("shop").calls() < CAMPAIGN {
        if let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
            world.clock.set(next);
        }
    }
    reports_a_limit(&world, FailureScope::Conversations, 0..CAMPAIGN, &context).await;
    for id in &ids {
        assert_eq!(world.status("shop", *id).await, MessageStatus::Queued);
        assert!(world.reason("shop", *id).await.contains("rate limit"));
    }
    let holds = world.shared.store.holds(world.clock.now()).await.unwrap();
    let scopes: Vec<_> = holds.iter().map(|hold| hold.scope.to_string()).collect();
    assert_eq!(scopes, ["template/conversations/support"]);

    // Others that start a conversation wait; a code and an answer do not.
    let later = world.accept("shop", |m| m.to = to(1000)).await;
    let code = world.accept("shop", |m| (m.to, m.priority) = (to(1001), Priority::Authentication)).await;
    world.hears("shop", vec![inbound("SMin")], Some(&context)).await;
    let answer = world.accept("shop", |m| m.content = says("hello")).await;
    let known = world.accept("shop", |_| ()).await;
    world.clock.advance(seconds(10));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", later).await, MessageStatus::Queued);
    assert!(world.deferred("conversations_stopped") > 0);
    for id in [code, answer, known] {
        assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    }

    let began = world.clock.now();
    while world.provider("shop").calls() < 2 * CAMPAIGN + 4 {
        let next = dispatch(&mut dispatcher, &world.clock).await;
        world.clock.set(next.unwrap_or(world.clock.now() + seconds(1)));
        assert!(world.clock.now() < began + seconds(600));
    }
    for id in ids.iter().chain([&later]) {
        assert_eq!(world.status("shop", *id).await, MessageStatus::Accepted);
    }
}

#[tokio::test]
async fn a_limit_that_is_met_again_stops_conversations_for_longer() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    let mut dispatcher = Dispatcher::new(context.clone());
    world.accept("shop", |_| ()).await;
    let mut rests = Vec::new();
    for n in 0..3 {
        while world.provider("shop").calls() <= n {
            if let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
                world.clock.set(next);
            }
        }
        reports_a_limit(&world, FailureScope::Conversations, n..n + 1, &context).await;
        let now = world.clock.now();
        rests.push(world.shared.store.holds(now).await.unwrap()[0].until.duration_since(now));
    }
    assert_eq!(rests, [seconds(60), seconds(120), seconds(240)]);
}

#[tokio::test]
async fn a_limit_on_a_pair_holds_only_that_recipient() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    let mut dispatcher = Dispatcher::new(context.clone());
    let first = world.accept("shop", |_| ()).await;
    dispatch(&mut dispatcher, &world.clock).await;
    reports_a_limit(&world, FailureScope::Pair, 0..1, &context).await;
    let (same, other) = (world.accept("shop", |_| ()).await, world.accept("shop", |m| m.to = to(1)).await);
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", same).await, MessageStatus::Queued);
    assert_eq!(world.status("shop", other).await, MessageStatus::Accepted);
    world.clock.advance(seconds(200));
    dispatch(&mut dispatcher, &world.clock).await;
    for id in [first, same] {
        assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    }
}

#[tokio::test]
async fn after_a_rest_conversations_begin_with_one_and_not_with_all_that_waited() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    let mut dispatcher = Dispatcher::new(context.clone());
    for n in 0..200 {
        world.accept("shop", |m| m.to = to(n)).await;
    }
    dispatch(&mut dispatcher, &world.clock).await;
    let calls = world.provider("shop").calls();
    reports_a_limit(&world, FailureScope::Conversations, 0..1, &context).await;
    world.clock.advance(seconds(60));
    let begun = world.clock.now();
    let mut started = Vec::new();
    for second in [0, 9, 10, 20, 30] {
        while world.clock.now() < begun + seconds(second) {
            let next = dispatch(&mut dispatcher, &world.clock).await;
            world.clock.set(next.unwrap_or(begun + seconds(second)).min(begun + seconds(second)));
        }
        dispatch(&mut dispatcher, &world.clock).await;
        started.push(world.provider("shop").calls() - calls);
    }
    assert_eq!(started, [1, 1, 3, 7, 15]);
}

#[tokio::test]
async fn a_rest_that_one_replica_began_is_followed_slowly_on_every_replica() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    for n in 0..50 {
        world.accept("shop", |m| m.to = to(n)).await;
    }
    dispatch(&mut Dispatcher::new(context.clone()), &world.clock).await;
    let calls = world.provider("shop").calls();
    reports_a_limit(&world, FailureScope::Conversations, 0..1, &context).await;
    let shared = world.replica().await;
    let mut other = Dispatcher::new(dataplane::dispatch::DispatchContext { shared, ..world.dispatching(|_| ()) });
    for n in 50..60 {
        world.accept("shop", |m| m.to = to(n)).await;
    }
    world.clock.advance(seconds(60));
    dispatch(&mut other, &world.clock).await;
    assert_eq!(world.provider("shop").calls() - calls, 1);
}

#[tokio::test]
async fn a_limit_that_only_the_providers_log_reports_costs_no_message_either() {
    let world = World::with_shop().await;
    let context = world.dispatching(|_| ());
    let mut dispatcher = Dispatcher::new(context.clone());
    let (id, provider_message_id) = world.hand_over(&mut dispatcher).await;
    let failure = Failure {
        scope: Some(FailureScope::Conversations),
        ..Failure::new(FailureClass::RetryLater, "rate limit exceeded").with_code("63018")
    };
    let failed = ProviderMessage {
        status: MessageStatus::Failed,
        failure: Some(failure),
        ..super::unsettled::logged(&world, &provider_message_id)
    };
    world.provider("shop").log.lock().unwrap().push(failed);
    world.clock.advance(seconds(600));
    crate::world::settle(&mut dataplane::dispatch::settle::Settler::new(context)).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    world.clock.advance(seconds(300));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    assert_eq!(world.provider("shop").calls(), 2);
}
