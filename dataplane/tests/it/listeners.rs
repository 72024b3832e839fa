//! The listeners over a real store in a file, for tests that send them one request after another.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use dataplane::api::{self, ApiContext};
use dataplane::apply::{Applier, ApplyContext};
use dataplane::auth::Authenticator;
use dataplane::config::{Adapters, Applied, Connect};
use dataplane::dispatch::brakes::Brakes;
use dataplane::shared::Shared;
use dataplane::webhooks::{self, WebhookContext};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use messaging::config::ProviderAccount;
use providers::HttpSettings;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::config::{bytes, tenant_json};
use crate::fake::DrivenClock;
use crate::store::Sqlite;
use crate::world::{shared, tenant};

/// The data plane's routers with the real adapter, and nothing that dispatches or publishes.
pub(crate) struct Listeners {
    pub(crate) database: Sqlite,
    pub(crate) shared: Shared,
    /// The one of [`Self::shared`].
    pub(crate) clock: Arc<DrivenClock>,
    pub(crate) api: Router,
    pub(crate) webhooks: Router,
}

impl Listeners {
    pub(crate) async fn new() -> Self {
        Self::over(Sqlite::new().await)
    }

    /// As [`Self::new`], over what is in a database.
    pub(crate) fn over(database: Sqlite) -> Self {
        Self::hearing(database, providers::webhook_adapters().into())
    }

    /// As [`Self::over`], with the webhooks of these providers.
    pub(crate) fn hearing(database: Sqlite, adapters: Adapters) -> Self {
        let client = providers::http_client(HttpSettings::default()).unwrap();
        Self::calling(
            database,
            adapters,
            Arc::new(move |account: &ProviderAccount| providers::connect(account, &client)),
        )
    }

    /// As [`Self::hearing`], with these accounts at the providers.
    pub(crate) fn calling(database: Sqlite, adapters: Adapters, connect: Connect) -> Self {
        let (shared, clock) = shared(database.store().clone(), connect, adapters);
        let Shared { configs, metrics, .. } = shared.clone();
        configs.mark_ready();
        let webhooks = webhooks::router(Arc::new(WebhookContext {
            fresh: None,
            hints: None,
            store: Arc::clone(&database.store) as _,
            configs: Arc::clone(&configs),
            clock: Arc::clone(&clock) as _,
            metrics: Arc::clone(&metrics),
        }));
        let authenticator = Authenticator::new(configs, None, metrics);
        let api = api::router(Arc::new(ApiContext { shared: shared.clone(), authenticator, sender_access: None }));
        Self { database, shared, clock, api, webhooks }
    }

    /// A tenant whose API key is `key-of-<name>`, with the template `hello` and one sender `support`. `change` edits
    /// it.
    pub(crate) fn tenant(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut config = tenant_json(name);
        config["templates"] = json!({ "hello": {
            "category": "UTILITY", "variables": ["1"], "fallbackLanguage": "en",
            "localizations": { "en": {
                "content": { "body": "Hello {{1}}" },
                "accounts": { "AC00000000000000000000000000000001": { "handle": "HX1", "approval": { "state": "approved" } } },
            }},
        }});
        change(&mut config);
        assert_eq!(self.shared.configs.apply(&tenant(name), &bytes(&config)), Applied::New);
    }

    /// Lets everything in the log take effect.
    pub(crate) async fn apply(&self) {
        let context = ApplyContext {
            shared: self.shared.clone(),
            brakes: Arc::new(Brakes::new(Arc::clone(&self.shared.metrics))),
            ask_after: std::time::Duration::from_secs(600),
        };
        let (mut applier, _) = Applier::new(context);
        while applier.turn().await.unwrap() > 0 {}
    }

    /// A request of the tenant `shop`.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(method, path, &[], body).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("authorization", "Bearer key-of-shop");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.api.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) fn count(&self, line: &str) -> u64 {
        let text = self.shared.metrics.render().unwrap();
        let value = text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("no {line} in\n{text}"));
        value.trim().parse().unwrap()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Checks that it is a problem document of this status, and gives pointers (or parameters) and codes of its errors.
    pub(crate) fn problem(&self, status: StatusCode) -> Vec<(String, String)> {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status.as_u16());
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {problem}");
        }
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .into_iter()
            .map(|error| {
                for field in ["detail", "expected"] {
                    assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {error}");
                }
                let at = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap();
                (at.to_owned(), error["code"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

pub(crate) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}
