//! Killed before and after every store operation: whatever is left behind, the next replica neither loses a message nor
//! sends one twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane::dispatch::Dispatcher;
use dataplane::dispatch::settle::Settler;
use dataplane::publish::Publisher;
use jiff::SignedDuration;
use messaging::address::Address;
use messaging::id::MessageId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::SendOutcome;

use crate::mortal::{Death, Mortal};
use crate::world::{CUSTOMER, World, dispatch, settle, soon};

const MESSAGES: u32 = 3;

/// Three messages of a tenant to three customers, at a provider that keeps a log.
async fn world() -> (World, Vec<(MessageId, Address)>) {
    let world = World::with_shop().await;
    *world.provider("shop").keeps_log.lock().unwrap() = Some(Arc::clone(&world.clock));
    let mut messages = Vec::new();
    for n in 0..MESSAGES {
        let to: Address = format!("{}{n}", &CUSTOMER[..CUSTOMER.len() - 1]).parse().unwrap();
        messages.push((world.accept("shop", |m| m.to = to.clone()).await, to));
    }
    (world, messages)
}

/// The next replica's work: leases end, and unsettled messages are asked about.
async fn survive(world: &World) {
    let (mut dispatcher, mut settler) = (world.dispatcher(), world.settler());
    for _ in 0..20 {
        world.clock.advance(SignedDuration::from_secs(61));
        dispatch(&mut dispatcher, &world.clock).await;
        settle(&mut settler).await;
    }
}

/// At most one call for each message, and its status is true: what was called is accepted, and what has failed was not.
async fn check(world: &World, messages: &[(MessageId, Address)], death: Death) -> Vec<MessageStatus> {
    let mut calls: BTreeMap<Address, u32> = BTreeMap::new();
    for message in world.provider("shop").sent.lock().unwrap().iter() {
        *calls.entry(message.to.clone()).or_default() += 1;
    }
    let mut statuses = Vec::new();
    for (id, to) in messages {
        let (status, calls) = (world.status("shop", *id).await, calls.get(to).copied().unwrap_or(0));
        let expected = match status {
            MessageStatus::Accepted => 1,
            MessageStatus::Failed => 0,
            _ => panic!("{death:?}: a message is left {status}"),
        };
        assert_eq!(calls, expected, "{death:?}: {status}");
        statuses.push(status);
    }
    statuses
}

#[tokio::test]
async fn a_dispatcher_killed_anywhere_sends_each_message_at_most_once_and_reports_the_truth() {
    let mut seen = BTreeSet::new();
    for death in [Death::Before as fn(u64) -> Death, Death::After] {
        for nth in 1.. {
            let (world, messages) = world().await;
            let (store, mortal) = Mortal::new(&world.shared.store, death(nth));
            let mut context = world.dispatching(|_| ());
            context.shared.store = store;
            let mut killed = Dispatcher::new(context);
            let work = async {
                dispatch(&mut killed, &world.clock).await;
            };
            let survived = soon(mortal.survives(work)).await;
            drop(killed);
            survive(&world).await;
            seen.extend(check(&world, &messages, death(nth)).await);
            if survived {
                assert!(nth > 2 + 2 * u64::from(MESSAGES), "{nth} operations are fewer than the work takes");
                break;
            }
        }
    }
    assert_eq!(seen, BTreeSet::from([MessageStatus::Accepted, MessageStatus::Failed]));
}

#[tokio::test]
async fn a_settler_killed_anywhere_leaves_what_the_next_can_settle() {
    for death in [Death::Before as fn(u64) -> Death, Death::After] {
        for nth in 1.. {
            let (world, messages) = world().await;
            // The first is lost on its way; the provider never had it.
            world.provider("shop").will_answer([SendOutcome::Ambiguous { reason: "timed out".into() }]);
            dispatch(&mut world.dispatcher(), &world.clock).await;
            world.clock.advance(SignedDuration::from_mins(16));
            let (store, mortal) = Mortal::new(&world.shared.store, death(nth));
            let mut context = world.dispatching(|_| ());
            context.shared.store = store;
            let mut killed = Settler::new(context);
            let survived = soon(mortal.survives(settle(&mut killed))).await;
            drop(killed);
            survive(&world).await;
            let mut ended = Vec::new();
            for (id, _) in &messages {
                ended.push(world.status("shop", *id).await);
            }
            ended.sort();
            assert_eq!(ended, [MessageStatus::Accepted, MessageStatus::Accepted, MessageStatus::Failed]);
            assert_eq!(world.provider("shop").calls(), 3, "{:?}: nothing is sent again", death(nth));
            if survived {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_publisher_killed_anywhere_delivers_every_event_at_least_once_under_one_id() {
    for death in [Death::Before as fn(u64) -> Death, Death::After] {
        for nth in 1.. {
            let (world, sink) = World::with_sink().await;
            let mut accepted = BTreeSet::new();
            for _ in 0..MESSAGES {
                accepted.insert(world.accept("shop", |_| ()).await.to_string());
            }
            dispatch(&mut world.dispatcher(), &world.clock).await;
            let (store, mortal) = Mortal::new(&world.shared.store, death(nth));
            let mut context = world.publishing();
            context.shared.store = store;
            let mut killed = Publisher::new(context);
            let work = async {
                killed.turn().await.unwrap();
                killed.settle_down().await;
            };
            let survived = soon(mortal.survives(work)).await;
            drop(killed);

            world.clock.advance(SignedDuration::from_secs(61));
            let mut survivor = world.publisher();
            survivor.turn().await.unwrap();
            survivor.settle_down().await;
            let mut delivered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for received in sink.received() {
                let message = received.event()["subject"].as_str().unwrap().to_owned();
                delivered.entry(message).or_default().insert(received.header("webhook-id").to_owned());
            }
            assert_eq!(delivered.keys().cloned().collect::<BTreeSet<_>>(), accepted, "{:?}", death(nth));
            assert!(delivered.values().all(|ids| ids.len() == 1), "{:?}: {delivered:?}", death(nth));
            if survived {
                break;
            }
        }
    }
}
