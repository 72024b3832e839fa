//! A replica is ready as long as it does what there is to do, and no longer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use dataplane::admin::{self, AdminContext};
use dataplane::apply::Applier;
use dataplane::dispatch::{DispatchContext, Dispatcher};
use dataplane::shared::Shared;
use dataplane::store::{StoreError, Tap};
use http::{Request, StatusCode};
use jiff::SignedDuration;
use messaging::lifecycle::MessageStatus;
use messaging::provider::SendOutcome;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::listeners::Answer;
use crate::world::World;

/// Longer than a task may stand still.
const A_WHILE: SignedDuration = SignedDuration::from_secs(31);

/// Refuses everything.
struct Broken;

#[async_trait]
impl Tap for Broken {
    async fn begins(&self) -> Result<u64, StoreError> {
        Err(StoreError::Failed("cached plan must not change result type (0A000)".into()))
    }

    async fn ended(&self, _: u64) {}
}

/// What the tasks share where nothing that they ask of the store succeeds, although the store works.
fn broken(world: &World) -> Shared {
    Shared { store: world.shared.store.tapped_by(Arc::new(Broken)), ..world.shared.clone() }
}

async fn readyz(world: &World) -> (StatusCode, Value) {
    let draining = Arc::new(AtomicBool::new(false));
    let brakes = world.dispatching(|_| ()).brakes;
    world.shared.configs.mark_ready();
    let router = admin::router(Arc::new(AdminContext { shared: world.shared.clone(), brakes, draining }));
    let request = Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
    let answer = Answer::of(router.oneshot(request).await.unwrap()).await;
    (answer.status, answer.json()["parts"].clone())
}

async fn is_ready(world: &World) -> bool {
    readyz(world).await.0 == StatusCode::OK
}

#[tokio::test]
async fn a_replica_that_cannot_dispatch_what_waits_is_not_ready_until_it_does() {
    let world = World::with_shop().await;
    let id = world.accept("shop", |_| ()).await;
    let mut dispatcher = Dispatcher::new(DispatchContext { shared: broken(&world), ..world.dispatching(|_| ()) });
    assert!(dispatcher.turn().await.is_err());
    assert!(is_ready(&world).await, "it may be a moment's failure");
    world.clock.advance(A_WHILE);
    assert!(dispatcher.turn().await.is_err());
    let (status, parts) = readyz(&world).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&parts["dispatch"], &parts["store"], &parts["apply"]), (&false.into(), &true.into(), &true.into()));

    let mut dispatcher = world.dispatcher();
    dispatcher.turn().await.unwrap();
    dispatcher.settle_down().await;
    assert_eq!(world.status("shop", id).await, MessageStatus::Accepted);
    assert!(is_ready(&world).await);
    let now = messaging::clock::Clock::now(world.clock.as_ref()).as_second();
    world.metric(&format!(r#"whatsapp_last_success_timestamp_seconds{{task="dispatch"}} {now}"#));
}

#[tokio::test]
async fn a_replica_that_cannot_apply_is_not_ready_until_it_does() {
    let world = World::with_shop().await;
    let (mut applier, _) =
        Applier::new(dataplane::apply::ApplyContext { shared: broken(&world), ..world.applying(None) });
    assert!(applier.turn().await.is_err());
    assert!(is_ready(&world).await);
    world.clock.advance(A_WHILE);
    assert!(applier.turn().await.is_err());
    let (status, parts) = readyz(&world).await;
    assert_eq!((status, &parts["apply"]), (StatusCode::SERVICE_UNAVAILABLE, &false.into()));

    let (mut applier, _) = Applier::new(world.applying(None));
    applier.turn().await.unwrap();
    assert!(is_ready(&world).await);
}

#[tokio::test]
async fn a_replica_stays_ready_while_what_waits_is_held_or_its_provider_is_away() {
    let world = World::with_shop().await;
    world.tenant("bakery", |sender| sender["paused"] = true.into());
    world.accept("shop", |_| ()).await;
    world.accept("bakery", |_| ()).await;
    let reason = "connection refused".to_owned();
    *world.provider("shop").away.lock().unwrap() = Some(SendOutcome::NotSent { reason });
    let mut dispatcher = world.dispatcher();
    for _ in 0..5 {
        dispatcher.turn().await.unwrap();
        dispatcher.settle_down().await;
        assert!(is_ready(&world).await);
        world.clock.advance(A_WHILE);
        dispatcher.turn().await.unwrap();
        dispatcher.settle_down().await;
    }
}
