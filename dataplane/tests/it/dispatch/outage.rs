//! Promises about outages: what was surely not sent is tried until its validity ends.

use futures::StreamExt;

use super::*;

fn not_sent() -> SendOutcome {
    SendOutcome::NotSent { reason: "connection refused".into() }
}

#[tokio::test]
async fn a_message_that_could_not_be_sent_for_hours_leaves_once_it_can() {
    for away in [not_sent(), refused(FailureClass::Retry, "20429", None), refused(FailureClass::Sender, "20003", None)]
    {
        let world = World::with_shop().await;
        let id = world.accept("shop", |_| ()).await;
        let provider = world.provider("shop");
        provider.will_answer(vec![away.clone(); 30]);
        let mut dispatcher = world.dispatcher();
        while provider.calls() < 30 {
            if let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
                world.clock.set(next);
            }
            assert_eq!(world.status("shop", id).await, MessageStatus::Queued, "{away:?}");
        }
        // It waits until the breaker closes, if its own time comes before.
        while provider.calls() < 31 {
            if let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
                world.clock.set(next);
            }
        }
        assert_eq!(world.status("shop", id).await, MessageStatus::Accepted, "{away:?}");
    }
}

#[tokio::test]
async fn a_message_that_can_not_be_sent_within_its_validity_expires_and_says_what_kept_it() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |m| m.priority = Priority::Authentication).await;
    let accepted_at = world.clock.now();
    let provider = world.provider("shop");
    provider.will_answer(vec![not_sent(); 1000]);
    let mut dispatcher = world.dispatcher();
    while world.status("shop", id).await == MessageStatus::Queued {
        if let Some(next) = dispatch(&mut dispatcher, &world.clock).await {
            world.clock.set(next);
        }
        let age = world.clock.now().duration_since(accepted_at);
        // It was accepted without an end, as by an earlier version: its category's default counts, at the next look.
        assert!(age < seconds(620), "{age}");
    }
    assert_eq!(world.status("shop", id).await, MessageStatus::Expired);
    let reason = world.reason("shop", id).await;
    assert!(reason.ends_with("the last attempt failed: the request was not sent: connection refused"), "{reason}");
}

#[tokio::test]
async fn a_message_that_expires_while_it_waits_says_why_it_waited() {
    let world = World::with_shop().await;
    let expires_at = world.clock.now() + seconds(60);
    let id = world.accept("shop", |m| m.expires_at = Some(expires_at)).await;
    world.provider("shop").will_answer([not_sent()]);
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Queued);
    world.clock.set(expires_at);
    dataplane::expiry::Expiry { shared: world.shared.clone() }.turn().await.unwrap();
    let reason = world.reason("shop", id).await;
    assert!(reason.contains("validFor") && reason.contains("connection refused"), "{reason}");
}

fn unavailable() -> SendOutcome {
    SendOutcome::Ambiguous { reason: "Twilio answered HTTP 503".into() }
}

const QUEUED: u32 = 2000;

/// A shop with many queued messages, each to another customer.
async fn a_full_queue() -> (World, Vec<MessageId>) {
    let world = World::new().await;
    world.tenant("shop", |sender| {
        sender["limits"] = json!({ "messagesPerSecond": 1000, "burst": 1000, "maxConcurrency": 32 });
    });
    let accept = |n: u32| world.accept("shop", move |m| m.to = format!("+4477{n:08}").parse().unwrap());
    // No more at once than wait for a commit.
    let ids = futures::stream::iter((0..QUEUED).map(accept)).buffered(256).collect().await;
    (world, ids)
}

/// Dispatches until so much time has passed.
async fn dispatch_for(world: &World, dispatcher: &mut Dispatcher, time: SignedDuration) {
    let end = world.clock.now() + time;
    while world.clock.now() < end {
        let next = dispatch(dispatcher, &world.clock).await;
        world.clock.set(next.unwrap_or(end).min(end));
    }
}

/// How many of the messages have the status.
async fn count(world: &World, ids: &[MessageId], status: MessageStatus) -> usize {
    let statuses = futures::future::join_all(ids.iter().map(|id| world.status("shop", *id))).await;
    statuses.into_iter().filter(|found| *found == status).count()
}

#[tokio::test]
async fn ten_minutes_without_a_provider_cost_a_few_calls_and_no_message_in_each_way_of_being_away() {
    for way in ["refused connections", "503", "silence"] {
        let (world, ids) = a_full_queue().await;
        let provider = world.provider("shop");
        let mut dispatcher = world.dispatcher();
        *provider.away.lock().unwrap() = Some(if way == "refused connections" { not_sent() } else { unavailable() });
        if way == "silence" {
            let given_up = provider.hold();
            while dispatcher.turn().await.unwrap().is_some_and(|at| at <= world.clock.now()) {}
            soon(provider.until_called(10)).await;
            world.clock.advance(seconds(25));
            given_up.notify_waiters();
            dispatcher.settle_down().await;
            *provider.held.lock().unwrap() = None;
        }
        dispatch_for(&world, &mut dispatcher, seconds(600)).await;

        let unconfirmed = count(&world, &ids, MessageStatus::Unconfirmed).await;
        let calls = provider.calls();
        assert!(calls <= 10, "{way}: {calls} messages were tried");
        assert_eq!(unconfirmed, if way == "refused connections" { 0 } else { calls }, "{way}");
        assert_eq!(count(&world, &ids, MessageStatus::Queued).await, ids.len() - unconfirmed, "{way}: all others wait");
        let probes = provider.probes.load(std::sync::atomic::Ordering::Relaxed);
        assert!((50..=70).contains(&probes), "{way}: {probes} probes");
        world.metric("whatsapp_providers_away 1");

        *provider.away.lock().unwrap() = None;
        let before = world.clock.now();
        while provider.calls() - calls < ids.len() - unconfirmed {
            dispatch_for(&world, &mut dispatcher, seconds(10)).await;
            let late = world.clock.now().duration_since(before);
            assert!(late < seconds(60), "{way}: its end is noticed within seconds, not {late}");
        }
        let accepted = count(&world, &ids, MessageStatus::Accepted).await;
        assert_eq!(accepted, ids.len() - unconfirmed, "{way}: all that were not tried leave");
        assert_eq!(provider.calls() - calls, accepted, "{way}: and each is handed over once");
        dispatch(&mut dispatcher, &world.clock).await;
        world.metric("whatsapp_providers_away 0");
    }
}

#[tokio::test]
async fn amid_traffic_few_outcomes_become_unknown_before_the_provider_counts_as_away() {
    for answered_in_between in [1, 3] {
        let (world, ids) = a_full_queue().await;
        let provider = world.provider("shop");
        let accepted = |n: usize| SendOutcome::Accepted {
            provider_message_id: format!("SM-{n}"),
            status: MessageStatus::Accepted,
        };
        provider.will_answer((0..100).map(accepted));
        for n in 0..200 {
            provider.will_answer([unavailable()]);
            provider.will_answer((0..answered_in_between).map(|m| accepted(1000 + 10 * n + m)));
        }
        let mut dispatcher = world.dispatcher();
        dispatch(&mut dispatcher, &world.clock).await;
        let unconfirmed = count(&world, &ids, MessageStatus::Unconfirmed).await;
        assert!((1..20).contains(&unconfirmed), "ten, and some of the few that were under way: {unconfirmed}");
        assert!(provider.calls() >= 100);
        world.metric("whatsapp_providers_away 1");
    }
}

#[tokio::test]
async fn without_a_harmless_read_a_message_shows_whether_the_provider_is_back() {
    let (world, ids) = a_full_queue().await;
    let provider = world.provider("shop");
    provider.has_probe.store(false, std::sync::atomic::Ordering::Relaxed);
    *provider.away.lock().unwrap() = Some(not_sent());
    let mut dispatcher = world.dispatcher();
    dispatch_for(&world, &mut dispatcher, seconds(600)).await;
    let calls = provider.calls();
    assert!((50..=80).contains(&calls), "{calls}");
    assert_eq!(count(&world, &ids, MessageStatus::Queued).await, ids.len());
    *provider.away.lock().unwrap() = None;
    dispatch_for(&world, &mut dispatcher, seconds(600)).await;
    assert_eq!(count(&world, &ids, MessageStatus::Accepted).await, ids.len());
}

#[tokio::test]
async fn an_account_that_is_away_holds_up_no_other() {
    let world = World::with_shop().await;
    world.tenant("bank", |_| ());
    *world.provider("shop").away.lock().unwrap() = Some(not_sent());
    for _ in 0..20 {
        world.accept("shop", |_| ()).await;
        world.accept("bank", |_| ()).await;
    }
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.provider("bank").calls(), 20);
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_asked_what_became_of_a_message() {
    let world = World::with_shop().await;
    let provider = world.provider("shop");
    let context = world.dispatching(|_| ());
    *provider.away.lock().unwrap() = Some(unavailable());
    for _ in 0..10 {
        world.accept("shop", |_| ()).await;
    }
    let mut dispatcher = Dispatcher::new(context.clone());
    let mut settler = dataplane::dispatch::settle::Settler::new(context);
    let begun = world.clock.now();
    while world.clock.now() < begun + seconds(2 * 60 * 60) {
        dispatch_for(&world, &mut dispatcher, seconds(30)).await;
        crate::world::settle(&mut settler).await;
    }
    let all = dataplane::store::message::MessageFilter { limit: 100, ..Default::default() };
    let page = world.shared.store.messages(&tenant("shop"), &all).await.unwrap();
    assert!(!page.items.is_empty());
    assert!(page.items.iter().all(|m| matches!(m.status, MessageStatus::Queued | MessageStatus::Unconfirmed)));
}
