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
    use crds::MessageTemplate;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::controllers::Drivers;
    use crate::sender::validate::tests::sender as quickstart;
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

    fn sender(name: &str, phase: &str) -> WhatsAppSender {
        let mut sender = quickstart();
        sender.metadata.namespace = Some("shop".to_owned());
        sender.metadata.name = Some(name.to_owned());
        let status = json!({ "rotation": { "phase": phase, "summary": phase } });
        sender.status = Some(serde_json::from_value(status).unwrap());
        sender
    }

    /// In two languages: of one there is a newer revision than the one in use.
    fn template() -> MessageTemplate {
        let revision = |state: &str| json!({ "name": "hello", "handle": "HX1", "state": state });
        let location = |language: &str| json!({ "account": "AC1", "language": language });
        let (mut one, mut other, nothing) = (location("en"), location("de"), location("fr"));
        (one["serving"], one["newest"]) = (revision("Approved"), revision("Pending"));
        other["newest"] = revision("Rejected");
        let ready = json!({
            "type": "Ready", "status": "False", "reason": "UnderReview", "message": "",
            "lastTransitionTime": "2026-11-01T10:00:00Z",
        });
        let template = json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "MessageTemplate",
            "metadata": { "namespace": "shop", "name": "hello" },
            "spec": {
                "senderRefs": [{ "name": "support" }], "category": "UTILITY", "fallbackLanguage": "en",
                "localizations": [{ "language": "en", "body": "Hello" }],
            },
            "status": { "locations": [one, other, nothing], "conditions": [ready] },
        });
        serde_json::from_value(template).unwrap()
    }

    #[tokio::test]
    async fn a_scrape_counts_the_objects_as_they_are_then() {
        let api = Arc::<FakeApi>::default();
        let Drivers { watched, mut senders, mut templates, .. } =
            Drivers::new(dependencies_with(api.client(), Arc::default()));
        let health = Health::new(Arc::new(Metrics::new().unwrap()));
        health.leading(watched, Arc::new(Listings::new(0)));
        let scraped = async || {
            let body = metrics(State(health.clone())).await.into_body();
            let text = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            let value = |line: &str| line.rsplit_once(' ').is_some_and(|(_, value)| value != "0");
            let counts = ["rotations{", "templates{", "objects{"].map(|name| format!("whatsapp_operator_{name}"));
            let is_count = |line: &&str| counts.iter().any(|name| line.starts_with(name)) && value(line);
            text.lines().filter(is_count).map(|line| line["whatsapp_operator_".len()..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(scraped().await, Vec::<String>::new());
        senders.1.apply_watcher_event(&Event::Apply(sender("support", "Held")));
        senders.1.apply_watcher_event(&Event::Apply(sender("sales", "Overlap")));
        templates.1.apply_watcher_event(&Event::Apply(template()));
        let expected = [
            r#"objects{kind="MessageTemplate",ready="False"} 1"#,
            r#"objects{kind="WhatsAppSender",ready="Unknown"} 2"#,
            r#"rotations{phase="Held"} 1"#,
            r#"rotations{phase="Overlap"} 1"#,
            r#"templates{state="Pending"} 1"#,
            r#"templates{state="Rejected"} 1"#,
        ];
        assert_eq!(scraped().await, expected);
        senders.1.apply_watcher_event(&Event::Apply(sender("sales", "Held")));
        templates.1.apply_watcher_event(&Event::Delete(template()));
        let expected = [r#"objects{kind="WhatsAppSender",ready="Unknown"} 2"#, r#"rotations{phase="Held"} 2"#];
        assert_eq!(scraped().await, expected, "what is over is no longer counted");
    }
}
