//! The endpoints /metrics, /healthz and /readyz: for the cluster, never for the internet.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crds::{RevisionState, WhatsAppSender};
use listener::{Limits, Listener};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::reconcile::kind::Kind;
use crate::reconcile::listings::Listings;
use crate::rotation::report::PHASES;
use crate::watch::Watched;
use crate::watch::stores::{Stores, readiness};

/// What the endpoints report.
#[derive(Clone)]
pub struct Health {
    pub metrics: Arc<Metrics>,
    phase: Arc<Mutex<Phase>>,
}

#[derive(Clone, Default)]
enum Phase {
    /// The API server has not answered yet.
    #[default]
    Starting,
    /// Another replica leads. That is a healthy state.
    Standby,
    /// With the watches that must list their objects first.
    Leading(Watched, Arc<Listings>),
}

impl Health {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, phase: Arc::default() }
    }

    /// The API server answered, and another replica leads.
    pub fn standby(&self) {
        self.set(Phase::Standby);
    }

    pub fn leading(&self, watched: Watched, listings: Arc<Listings>) {
        self.metrics.leader(true);
        self.set(Phase::Leading(watched, listings));
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }
}

/// Answers until `stop`.
pub async fn serve(socket: TcpListener, health: Health, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    Listener::new(Limits::default(), Arc::new(())).serve(socket, router, stop).await;
}

async fn ready(State(health): State<Health>) -> Response {
    match health.phase() {
        Phase::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting: the API server has not answered yet\n").into_response()
        }
        Phase::Standby => "standby\n".into_response(),
        Phase::Leading(_, listings) if listings.are_complete() => "leading\n".into_response(),
        Phase::Leading(..) => {
            (StatusCode::SERVICE_UNAVAILABLE, "leading: not every object has been listed yet\n").into_response()
        }
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    if let Phase::Leading(watched, _) = health.phase() {
        count(&health.metrics, &watched.senders.stores);
        count(&health.metrics, &watched.templates.stores);
        count(&health.metrics, &watched.policies.stores);
        let senders = watched.senders.stores.all();
        for phase in PHASES {
            let is_in = |sender: &&Arc<WhatsAppSender>| {
                let rotation = sender.status.as_ref().and_then(|status| status.rotation.as_ref());
                rotation.is_some_and(|rotation| rotation.phase == phase)
            };
            health.metrics.rotations(phase, senders.iter().filter(is_in).count());
        }
        let templates = watched.templates.stores.all();
        let locations = templates.iter().flat_map(|template| &template.status).flat_map(|status| &status.locations);
        let mut in_state = RevisionState::ALL.map(|state| (state, 0));
        for newest in locations.filter_map(|location| location.newest.as_ref()) {
            in_state.iter_mut().filter(|(state, _)| *state == newest.state).for_each(|(_, count)| *count += 1);
        }
        in_state.into_iter().for_each(|(state, count)| health.metrics.templates(state, count));
    }
    match health.metrics.render() {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn count<K: Kind>(metrics: &Metrics, stores: &Stores<K>) {
    for (ready, objects) in readiness(&stores.all()) {
        metrics.objects(K::NAME, ready, objects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::Drivers;
    use crate::testing::api::FakeApi;
    use crate::testing::dependencies_with;

    #[tokio::test]
    async fn a_leader_is_ready_once_every_watch_has_listed_its_objects() {
        let api = Arc::<FakeApi>::default();
        let Drivers { watched, .. } = Drivers::new(dependencies_with(api.client(), Arc::default()));
        let (health, listings) = (Health::new(Arc::new(Metrics::new().unwrap())), Arc::new(Listings::new(2)));
        let status = async || ready(State(health.clone())).await.status();
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet");
        health.standby();
        assert_eq!(status().await, StatusCode::OK);

        health.leading(watched, Arc::clone(&listings));
        listings.note();
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE, "one watch has not listed its objects yet");
        listings.note();
        assert_eq!(status().await, StatusCode::OK);
    }
}
