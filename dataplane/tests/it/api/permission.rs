//! A ServiceAccount that sends from some senders only.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use dataplane::api::{self, ApiContext};
use dataplane::auth::Authenticator;
use dataplane::auth::sender_access::{AccessReviewer, AccessUnknown, SenderAccess};
use dataplane::auth::service_account::{ReviewFailed, ServiceAccounts, TokenReviewer};
use dataplane::shared::Shared;
use http::{Request, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::listeners::{Answer, Listeners, pairs};
use crate::world::CUSTOMER;

const AUDIENCE: &str = "whatsapp-operator.dev";
const SERVICE: &str = "MG00000000000000000000000000000001";

/// An API server that knows every ServiceAccount of the namespace `shop`, and which of them may send from which sender.
#[derive(Default)]
struct ApiServer {
    /// The ServiceAccount and the sender.
    grants: Mutex<BTreeSet<(String, String)>>,
    is_away: Mutex<bool>,
    asked: Mutex<Vec<SubjectAccessReviewSpec>>,
}

#[async_trait]
impl TokenReviewer for ApiServer {
    async fn review(&self, token: &str, audience: &str) -> Result<TokenReviewStatus, ReviewFailed> {
        let name = token.split('.').nth(1).unwrap();
        let user = UserInfo {
            username: Some(format!("system:serviceaccount:shop:{name}")),
            uid: Some("uid-1".into()),
            groups: Some(vec!["system:serviceaccounts:shop".into()]),
            extra: Some([("authentication.kubernetes.io/pod-name".to_owned(), vec!["app-0".to_owned()])].into()),
        };
        let audiences = Some(vec![audience.to_owned()]);
        Ok(TokenReviewStatus { authenticated: Some(true), audiences, user: Some(user), error: None })
    }
}

#[async_trait]
impl AccessReviewer for ApiServer {
    async fn review_access(
        &self,
        question: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, AccessUnknown> {
        let account = question.user.clone().unwrap().replace("system:serviceaccount:shop:", "");
        let sender = question.resource_attributes.clone().unwrap().name.unwrap();
        self.asked.lock().unwrap().push(question);
        if *self.is_away.lock().unwrap() {
            return Err(AccessUnknown("connection refused".into()));
        }
        let allowed = self.grants.lock().unwrap().contains(&(account, sender));
        Ok(SubjectAccessReviewStatus { allowed, ..SubjectAccessReviewStatus::default() })
    }
}

struct Shop {
    listeners: Listeners,
    api_server: Arc<ApiServer>,
    api: Router,
}

/// A tenant with the senders `support` and `sales`, where senders need a right.
async fn shop() -> Shop {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", two_senders);
    let api_server = Arc::new(ApiServer::default());
    let Shared { configs, clock, metrics, .. } = listeners.shared.clone();
    let accounts = ServiceAccounts::new(Arc::clone(&api_server) as _, AUDIENCE, Arc::clone(&clock));
    let authenticator = Authenticator::new(configs, Some(accounts), Arc::clone(&metrics));
    let sender_access = Some(SenderAccess::new(Arc::clone(&api_server) as _, clock, metrics));
    let api = api::router(Arc::new(ApiContext { shared: listeners.shared.clone(), authenticator, sender_access }));
    Shop { listeners, api_server, api }
}

fn two_senders(config: &mut Value) {
    let mut sales = config["senders"]["support"].clone();
    sales["phoneNumber"] = json!("+14155238887");
    config["senders"]["sales"] = sales;
}

fn hello(change: &Value) -> Value {
    let mut body = json!({"to": CUSTOMER, "template": {"name": "hello", "values": {"1": "Ava"}}});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

impl Shop {
    fn grant(&self, account: &str, sender: &str) {
        self.api_server.grants.lock().unwrap().insert((account.into(), sender.into()));
    }

    fn revoke(&self, account: &str, sender: &str) {
        self.api_server.grants.lock().unwrap().remove(&(account.into(), sender.into()));
    }

    /// The senders that the API server was asked about.
    fn asked(&self) -> Vec<String> {
        let asked = self.api_server.asked.lock().unwrap();
        asked.iter().map(|question| question.resource_attributes.clone().unwrap().name.unwrap()).collect()
    }

    async fn send(&self, token: &str, key: &str, body: Value) -> Answer {
        let request = Request::post("/v1/messages")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        Answer::of(self.api.clone().oneshot(request.unwrap()).await.unwrap()).await
    }
}

/// A token of the ServiceAccount.
fn token(account: &str) -> String {
    format!("e30.{account}.c2ln")
}

fn forbidden() -> Vec<(String, String)> {
    pairs(&[("/from", "sender_forbidden")])
}

#[tokio::test]
async fn a_caller_without_the_right_is_refused_and_told_what_grants_it() {
    let shop = shop().await;
    shop.grant("orders", "support");
    let refused = shop.send(&token("orders"), "1", hello(&json!({"from": "sales"}))).await;
    assert_eq!(refused.problem(StatusCode::FORBIDDEN), forbidden());
    let problem = refused.json();
    assert_eq!(
        problem["detail"],
        "serviceaccount/orders may not send from the sender sales: it lacks the verb create on whatsappsenders/messages \
         named sales in the namespace shop"
    );
    let expected = problem["errors"][0]["expected"].as_str().unwrap();
    for part in [
        "kubectl create role send-from-sales --namespace=shop --verb=create",
        "--resource=whatsappsenders.whatsapp-operator.dev/messages --resource-name=sales",
        "--serviceaccount=shop:orders",
    ] {
        assert!(expected.contains(part), "{expected}");
    }
    assert_eq!(shop.listeners.count(r#"whatsapp_messages_total{status="queued"}"#), 0);
    assert_eq!(shop.listeners.count(r#"whatsapp_sender_access_total{result="denied"}"#), 1);

    let sent = shop.send(&token("orders"), "2", hello(&json!({"from": "support"}))).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    assert_eq!(shop.listeners.count(r#"whatsapp_sender_access_total{result="allowed"}"#), 1);
    let question = shop.api_server.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(question.uid.as_deref(), Some("uid-1"));
    assert_eq!(question.groups.unwrap(), ["system:serviceaccounts:shop"]);
    assert_eq!(question.extra.unwrap()["authentication.kubernetes.io/pod-name"], ["app-0"]);
}

#[tokio::test]
async fn a_number_is_checked_as_the_sender_that_has_it() {
    let shop = shop().await;
    shop.grant("orders", "support");
    let refused = shop.send(&token("orders"), "1", hello(&json!({"from": "+14155238887"}))).await;
    assert_eq!(refused.problem(StatusCode::FORBIDDEN), forbidden());
}

#[tokio::test]
async fn without_an_answer_of_the_api_server_nothing_is_accepted() {
    let shop = shop().await;
    shop.grant("orders", "support");
    let send = async |key: &'static str| shop.send(&token("orders"), key, hello(&json!({"from": "support"}))).await;
    assert_eq!(send("1").await.status, StatusCode::ACCEPTED);
    *shop.api_server.is_away.lock().unwrap() = true;
    assert_eq!(send("2").await.status, StatusCode::ACCEPTED, "the answer is seconds old");
    shop.listeners.clock.advance(SignedDuration::from_secs(11));
    let unknown = send("3").await;
    assert_eq!(unknown.problem(StatusCode::SERVICE_UNAVAILABLE), []);
    assert!(unknown.headers.contains_key("retry-after"));
    assert!(unknown.text.contains("the API server does not answer"), "{unknown:?}");
    assert_eq!(shop.listeners.count(r#"whatsapp_sender_access_total{result="unavailable"}"#), 1);
    *shop.api_server.is_away.lock().unwrap() = false;
    assert_eq!(send("3").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_right_is_cached_for_ten_seconds_and_its_lack_for_two() {
    let shop = shop().await;
    let mut keys = 0..;
    let mut send = async || {
        let key = keys.next().unwrap().to_string();
        shop.send(&token("orders"), &key, hello(&json!({"from": "support"}))).await.status
    };
    assert_eq!(send().await, StatusCode::FORBIDDEN);
    shop.grant("orders", "support");
    assert_eq!(send().await, StatusCode::FORBIDDEN);
    shop.listeners.clock.advance(SignedDuration::from_secs(2));
    assert_eq!(send().await, StatusCode::ACCEPTED);
    shop.revoke("orders", "support");
    shop.listeners.clock.advance(SignedDuration::from_secs(9));
    assert_eq!(send().await, StatusCode::ACCEPTED);
    assert_eq!(shop.asked().len(), 2);
    shop.listeners.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(send().await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_api_key_sends_from_every_sender_of_its_tenant() {
    let shop = shop().await;
    for sender in ["support", "sales"] {
        let sent = shop.send("key-of-shop", sender, hello(&json!({ "from": sender }))).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    }
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn the_sender_that_a_policy_chose_needs_the_right() {
    let shop = shop().await;
    shop.listeners.tenant("shop", |config| {
        two_senders(config);
        config["policies"] =
            json!({"default": {"default": {"sender": "support"}, "byCountry": {"GB": {"sender": "sales"}}}});
        config["defaultPolicy"] = json!("default");
    });
    shop.grant("orders", "support");
    for choice in [json!({}), json!({"policy": "default"})] {
        let refused = shop.send(&token("orders"), "1", hello(&choice)).await;
        assert_eq!(refused.problem(StatusCode::FORBIDDEN), forbidden());
    }
    let elsewhere = shop.send(&token("orders"), "2", hello(&json!({"to": "+12025550123"}))).await;
    assert_eq!(elsewhere.status, StatusCode::ACCEPTED, "{elsewhere:?}");
}

#[tokio::test]
async fn a_template_through_a_service_needs_the_right_for_each_of_its_senders_and_an_answer_for_its_own() {
    let shop = shop().await;
    shop.listeners.tenant("shop", |config| {
        config["senders"]["support"]["provider"]["twilio"]["messagingServiceSid"] = json!(SERVICE);
        two_senders(config);
        config["policies"] = json!({"pool": {"default": {"sender": "support", "messagingServiceSid": SERVICE}}});
        config["defaultPolicy"] = json!("pool");
    });
    shop.grant("orders", "support");
    let refused = shop.send(&token("orders"), "1", hello(&json!({}))).await;
    assert_eq!(refused.problem(StatusCode::FORBIDDEN), forbidden());
    assert!(refused.text.contains("may not send from the sender sales"), "{refused:?}");
    assert!(refused.text.contains(SERVICE), "{refused:?}");

    // Policy refuses it, which is asked only after the caller's right.
    let answer = json!({"to": CUSTOMER, "text": {"body": "Hello"}});
    let closed = shop.send(&token("orders"), "2", answer).await;
    assert_eq!(closed.problem(StatusCode::UNPROCESSABLE_ENTITY)[0].1, "window_closed");

    shop.grant("orders", "sales");
    shop.listeners.clock.advance(SignedDuration::from_secs(2));
    let sent = shop.send(&token("orders"), "3", hello(&json!({}))).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
}

#[tokio::test]
async fn a_repeated_request_gets_its_first_answer_only_while_the_caller_has_the_right() {
    let shop = shop().await;
    shop.grant("orders", "support");
    let send = async |account: &str| shop.send(&token(account), "1", hello(&json!({"from": "support"}))).await;
    let first = send("orders").await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    let refused = send("mallory").await;
    assert_eq!(refused.problem(StatusCode::FORBIDDEN), forbidden());
    assert!(!refused.text.contains("msg_"), "{refused:?}");
    let again = send("orders").await;
    assert_eq!((again.status, &again.text), (StatusCode::ACCEPTED, &first.text));
    assert!(again.headers.contains_key("idempotency-replayed"));
}
