//! Held messages wait, and leave as soon as the hold is lifted.

use dataplane::store::hold::{Hold, HoldKind, LiftHold, Scope};

use super::*;

fn hold(world: &World, scope: Scope, kind: HoldKind, until: Timestamp) -> Hold {
    Hold { tenant: tenant("shop"), scope, kind, until, reason: "a test".into(), created_at: world.clock.now() }
}

#[tokio::test]
async fn a_held_sender_sends_nothing_until_the_hold_is_lifted_and_holds_up_no_other() {
    for (scope, kind) in [
        (Scope::Tenant, HoldKind::Pause),
        (Scope::Sender(support()), HoldKind::Pause),
        (Scope::Sender(support()), HoldKind::Breaker),
    ] {
        let world = World::with_shop().await;
        world.tenant("bakery", |_| ());
        let mut dispatcher = world.dispatcher();
        world.shared.holds.put(hold(&world, scope.clone(), kind, Timestamp::MAX)).await.unwrap();
        let held = world.accept("shop", |_| ()).await;
        world.accept("bakery", |_| ()).await;
        dispatch(&mut dispatcher, &world.clock).await;
        assert_eq!((world.provider("shop").calls(), world.provider("bakery").calls()), (0, 1), "{scope} {kind:?}");

        world.shared.holds.lift(LiftHold { tenant: tenant("shop"), scope, kind }).await.unwrap();
        dispatch(&mut dispatcher, &world.clock).await;
        assert_eq!(world.status("shop", held).await, MessageStatus::Accepted);
    }
}

#[tokio::test]
async fn a_hold_ends_by_itself_when_its_time_is_over() {
    let world = World::with_shop().await;
    let until = world.clock.now() + seconds(60);
    world.shared.holds.put(hold(&world, Scope::Sender(support()), HoldKind::Pause, until)).await.unwrap();
    world.accept("shop", |_| ()).await;
    let mut dispatcher = world.dispatcher();
    assert_eq!(dispatch(&mut dispatcher, &world.clock).await, Some(until), "it is looked at again then");
    world.clock.advance(seconds(60));
    dispatch(&mut dispatcher, &world.clock).await;
    assert_eq!(world.provider("shop").calls(), 1);
}

#[tokio::test]
async fn a_draining_sender_sends_what_is_queued() {
    let world = World::with_shop().await;
    world.accept("shop", |_| ()).await;
    world.shared.holds.put(hold(&world, Scope::Tenant, HoldKind::Drain, Timestamp::MAX)).await.unwrap();
    dispatch(&mut world.dispatcher(), &world.clock).await;
    assert_eq!(world.provider("shop").calls(), 1);
}
