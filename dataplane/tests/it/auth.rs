//! Promises about authentication.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dataplane::auth::service_account::{ReviewFailed, ServiceAccounts, TokenReviewer, User};
use dataplane::auth::{AuthError, Authenticator, Caller};
use dataplane::config::Configs;
use dataplane::metrics::Metrics;
use http::{HeaderMap, HeaderName};
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use messaging::clock::Clock;
use messaging::id::TenantId;

use crate::config::{bytes, tenant_json};
use crate::fake::{DrivenClock, FakeProvider};
use crate::world::open_sink;

const AUDIENCE: &str = "whatsapp-operator.dev";

/// An API server that always gives one answer, and counts requests.
#[derive(Default)]
struct ApiServer {
    answer: Mutex<Option<TokenReviewStatus>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl TokenReviewer for ApiServer {
    async fn review(&self, _: &str, audience: &str) -> Result<TokenReviewStatus, ReviewFailed> {
        assert_eq!(audience, AUDIENCE);
        *self.asked.lock().unwrap() += 1;
        self.answer.lock().unwrap().clone().ok_or_else(|| ReviewFailed("connection refused".into()))
    }
}

fn authentic(username: &str) -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(vec![AUDIENCE.into()]),
        user: Some(UserInfo { username: Some(username.into()), ..UserInfo::default() }),
        error: None,
    }
}

struct World {
    authenticator: Authenticator,
    api_server: Arc<ApiServer>,
    clock: Arc<DrivenClock>,
}

fn world(with_kubernetes: bool) -> World {
    let metrics = Arc::new(Metrics::new().unwrap());
    let configs = Arc::new(Configs::new(
        Arc::new(|_: &_| FakeProvider::new() as _),
        providers::webhook_adapters().into(),
        open_sink(),
        Arc::clone(&metrics),
    ));
    for name in ["shop", "bank"] {
        configs.apply(&TenantId::new(name).unwrap(), &bytes(&tenant_json(name)));
    }
    let (api_server, clock) = (Arc::new(ApiServer::default()), DrivenClock::new());
    let accounts = ServiceAccounts::new(Arc::clone(&api_server) as _, AUDIENCE, Arc::clone(&clock) as _);
    World {
        authenticator: Authenticator::new(configs, with_kubernetes.then_some(accounts), metrics),
        api_server,
        clock,
    }
}

impl World {
    async fn call(&self, token: &str) -> Result<Caller, AuthError> {
        self.authenticator.authenticate(&headers(&[("authorization", &format!("Bearer {token}"))])).await
    }
    fn answers(&self, status: Option<TokenReviewStatus>) {
        *self.api_server.answer.lock().unwrap() = status;
    }
    fn asked(&self) -> usize {
        *self.api_server.asked.lock().unwrap()
    }
    /// A token of the form that the API server issues, valid for an hour by its own claims.
    fn token(&self) -> String {
        let exp = self.clock.now().as_second() + 3600;
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")))
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().unwrap())).collect()
}

fn caller(tenant: &str, name: &str) -> Result<Caller, AuthError> {
    let user = name.strip_prefix("serviceaccount/").map(|account| {
        Arc::new(User {
            name: format!("system:serviceaccount:{tenant}:{account}"),
            uid: None,
            groups: Vec::new(),
            extra: [].into(),
        })
    });
    Ok(Caller { tenant: TenantId::new(tenant).unwrap(), name: name.into(), user })
}

#[tokio::test]
async fn an_api_key_belongs_to_its_tenant_and_needs_no_token_review() {
    let world = world(true);
    assert_eq!(world.call("key-of-shop").await, caller("shop", "apikey/app"));
    assert_eq!(world.call("key-of-bank").await, caller("bank", "apikey/app"));
    assert_eq!(world.call("key-of-shoq").await, Err(AuthError::Unknown(None)));
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn the_namespace_of_a_service_account_is_the_tenant() {
    let world = world(true);
    world.answers(Some(authentic("system:serviceaccount:shop:orders")));
    assert_eq!(world.call(&world.token()).await, caller("shop", "serviceaccount/orders"));
}

#[tokio::test]
async fn a_request_that_names_another_tenant_is_refused() {
    let world = world(true);
    let call = |tenant: &'static str| {
        let headers = headers(&[("authorization", "Bearer key-of-shop"), ("whatsapp-tenant", tenant)]);
        let authenticator = &world.authenticator;
        async move { authenticator.authenticate(&headers).await }
    };
    assert_eq!(call("shop").await, caller("shop", "apikey/app"));
    assert_eq!(call("bank").await.unwrap_err().status(), 403);
}

#[tokio::test]
async fn an_authentic_token_of_a_namespace_that_is_not_a_tenant_is_forbidden() {
    let world = world(true);
    world.answers(Some(authentic("system:serviceaccount:elsewhere:app")));
    let error = world.call(&world.token()).await.unwrap_err();
    assert_eq!(error.status(), 403);
    assert!(error.to_string().contains("namespace elsewhere is not a tenant"), "{error}");
}

#[tokio::test]
async fn a_token_that_the_api_server_does_not_authenticate_is_refused() {
    let unauthenticated = TokenReviewStatus { authenticated: Some(false), ..authentic("system:serviceaccount:shop:a") };
    let silent = TokenReviewStatus { authenticated: None, ..authentic("system:serviceaccount:shop:a") };
    let other_audience =
        TokenReviewStatus { audiences: Some(vec!["vault".into()]), ..authentic("system:serviceaccount:shop:a") };
    let no_audience = TokenReviewStatus { audiences: None, ..authentic("system:serviceaccount:shop:a") };
    for answer in [
        unauthenticated,
        silent,
        other_audience,
        no_audience,
        authentic("system:node:shop"),
        authentic("system:serviceaccount:shop"),
        authentic("system:serviceaccount:shop:a:b"),
        authentic("shop"),
    ] {
        let world = world(true);
        world.answers(Some(answer.clone()));
        assert_eq!(world.call(&world.token()).await.unwrap_err().status(), 401, "{answer:?}");
    }
}

#[tokio::test]
async fn a_review_is_cached_for_a_minute_when_good_and_for_seconds_when_bad() {
    let world = world(true);
    let token = world.token();
    world.answers(Some(authentic("system:serviceaccount:shop:orders")));
    for _ in 0..3 {
        world.call(&token).await.unwrap();
    }
    assert_eq!(world.asked(), 1);
    world.clock.advance(SignedDuration::from_secs(61));
    world.answers(Some(TokenReviewStatus::default()));
    for _ in 0..3 {
        world.call(&token).await.unwrap_err();
    }
    assert_eq!(world.asked(), 2);
    world.clock.advance(SignedDuration::from_secs(6));
    world.call(&token).await.unwrap_err();
    assert_eq!(world.asked(), 3);
}

#[tokio::test]
async fn without_an_api_server_known_tokens_work_until_they_end_and_others_wait() {
    let world = world(true);
    let token = world.token();
    world.answers(Some(authentic("system:serviceaccount:shop:orders")));
    world.call(&token).await.unwrap();
    world.answers(None);
    world.clock.advance(SignedDuration::from_mins(30));
    assert_eq!(world.call(&token).await, caller("shop", "serviceaccount/orders"));
    assert_eq!(world.call("e30.e30.other").await.unwrap_err().status(), 503);
    assert_eq!(world.call("key-of-shop").await, caller("shop", "apikey/app"), "API keys need no API server");
    world.clock.advance(SignedDuration::from_mins(31));
    assert_eq!(world.call(&token).await.unwrap_err().status(), 503, "the token has expired by its own claims");
}

#[tokio::test]
async fn requests_without_a_bearer_token_learn_what_is_expected() {
    let world = world(false);
    let authenticate = async |h: HeaderMap| world.authenticator.authenticate(&h).await.unwrap_err();
    assert_eq!(authenticate(HeaderMap::new()).await, AuthError::NoCredentials);
    assert_eq!(authenticate(headers(&[("authorization", "Basic dXNlcg==")])).await, AuthError::Malformed);
    assert_eq!(authenticate(headers(&[("authorization", "Bearer ")])).await, AuthError::Malformed);
    assert_eq!(
        world.call("e30.e30.sig").await,
        Err(AuthError::Unknown(None)),
        "without Kubernetes only API keys count"
    );
}
