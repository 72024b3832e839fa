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
use crate::world::{World, soon};

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
    world.shared.configs.mark_ready();
    let answer = get(world, world.shared.clone(), "/readyz").await;
    (answer.status, answer.json()["parts"].clone())
}

/// What the operators' listener of such a process answers.
async fn get(world: &World, shared: Shared, path: &str) -> Answer {
    let draining = Arc::new(AtomicBool::new(false));
    let brakes = world.dispatching(|_| ()).brakes;
    let router = admin::router(Arc::new(AdminContext { shared, brakes, draining }));
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    Answer::of(router.oneshot(request).await.unwrap()).await
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
    for is_away in [false, true] {
        let world = World::with_shop().await;
        if is_away {
            let reason = "connection refused".to_owned();
            *world.provider("shop").away.lock().unwrap() = Some(SendOutcome::NotSent { reason });
        } else {
            world.tenant("shop", |sender| sender["paused"] = true.into());
        }
        world.accept("shop", |_| ()).await;
        let mut dispatcher = world.dispatcher();
        // Longer than it takes until no message is tried any more.
        for _ in 0..20 {
            dispatcher.turn().await.unwrap();
            dispatcher.settle_down().await;
            assert!(is_ready(&world).await, "away: {is_away}");
            world.clock.advance(A_WHILE);
        }
    }
}

/// Never answers.
struct Silent;

#[async_trait]
impl Tap for Silent {
    async fn begins(&self) -> Result<u64, StoreError> {
        std::future::pending().await
    }

    async fn ended(&self, _: u64) {}
}

#[tokio::test]
async fn the_metrics_are_told_while_the_store_does_not_answer() {
    let world = World::with_shop().await;
    let store = world.shared.store.tapped_by(Arc::new(Silent));
    let answer = soon(get(&world, Shared { store, ..world.shared.clone() }, "/metrics")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("whatsapp_attempts_total"), "{answer:?}");
}
