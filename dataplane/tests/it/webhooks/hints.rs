//! Events about an account: the operator can read the hint when they are answered, and nothing else of them is kept.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use dataplane::hints::{HintObject, HintWriter, Pace};
use dataplane::shared::Shared;
use dataplane::webhooks::{WebhookContext, router};
use k8s_openapi::api::core::v1::ConfigMap;
use messaging::hints::{About, Hints, KEY};
use messaging::provider::admin::TemplateHandle;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;

const EVENTS: &str = "/webhooks/shop/support/twilio/events";
const ACCOUNT: &str = "AC00000000000000000000000000000001";
const HX: &str = "HX00000000000000000000000000000001";

/// The object, and whether it can be written.
struct Kept {
    object: Mutex<ConfigMap>,
    is_broken: Mutex<bool>,
}

impl Kept {
    fn text(&self) -> String {
        self.object.lock().data.as_ref().and_then(|data| data.get(KEY).cloned()).unwrap_or_default()
    }

    fn about(&self) -> Vec<About> {
        Hints::parse(&self.text()).iter().map(|hint| hint.about.clone()).collect()
    }
}

#[async_trait]
impl HintObject for Kept {
    async fn read(&self) -> Result<Option<ConfigMap>, String> {
        Ok(Some(self.object.lock().clone()))
    }

    async fn replace(&self, object: &ConfigMap) -> Result<bool, String> {
        if *self.is_broken.lock() {
            return Err("the API server is away".to_owned());
        }
        *self.object.lock() = object.clone();
        Ok(true)
    }
}

struct World {
    shop: Listeners,
    kept: Arc<Kept>,
    webhooks: Router,
    _writer: JoinSet<()>,
}

impl World {
    async fn new(has_operator: bool) -> Self {
        let shop = shop().await;
        let kept = Arc::new(Kept { object: Mutex::default(), is_broken: Mutex::default() });
        let (writer, handle) = HintWriter::new(Arc::clone(&kept) as _, Pace::default());
        let mut running = JoinSet::new();
        running.spawn(writer.run(CancellationToken::new()));
        let Shared { configs, clock, metrics, .. } = shop.shared.clone();
        let store = Arc::clone(&shop.database.store) as _;
        let hints = has_operator.then_some(handle);
        let webhooks = router(Arc::new(WebhookContext { fresh: None, hints, store, configs, clock, metrics }));
        Self { shop, kept, webhooks, _writer: running }
    }

    async fn deliver(&self, request: Request<Body>) -> Answer {
        Answer::of(self.webhooks.clone().oneshot(request).await.unwrap()).await
    }

    fn counted(&self, result: &str) -> u64 {
        self.shop.count(&format!(r#"whatsapp_webhooks_total{{kind="event",result="{result}"}}"#))
    }
}

/// A batch as Twilio signs it: over the URL with the body's hash.
fn batch(path: &str, key: &str, body: &str) -> Request<Body> {
    let path = format!("{path}?bodySHA256={}", hex::encode(Sha256::digest(body)));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("https://hooks.example.com{path}").as_bytes());
    Request::post(path)
        .header("content-type", "application/json")
        .header("x-twilio-signature", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn approval(account: &str, template: &str) -> String {
    json!([{
        "type": "com.twilio.messaging.template.approval.updated",
        "data": {"type": "status_update", "accountSid": account, "template": {"sid": template, "friendlyName": "private words"}},
    }])
    .to_string()
}

#[tokio::test]
async fn a_signed_event_is_a_hint_when_it_is_answered_and_nothing_else_of_it_is_kept() {
    let world = World::new(true).await;
    for _ in 0..2 {
        let answer = world.deliver(batch(EVENTS, "token", &approval(ACCOUNT, HX))).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(world.kept.about(), [About::Template(TemplateHandle::new(HX))]);
    }
    let text = world.kept.text();
    let expected = r#"[{"tenant":"shop","sender":"support","template":"HX00000000000000000000000000000001","at":""#;
    assert!(text.starts_with(expected) && !text.contains("words"), "{text}");
    assert!(unapplied(world.shop.database.store()).await.is_empty());
    assert_eq!(world.counted("accepted"), 2);
}

#[tokio::test]
async fn a_forged_event_and_one_for_nobody_get_the_same_answer_and_leave_nothing() {
    let world = World::new(true).await;
    let body = approval(ACCOUNT, HX);
    let mut answers = Vec::new();
    let mut with_another_body = batch(EVENTS, "token", &body);
    *with_another_body.body_mut() = Body::from(approval(ACCOUNT, "HX00000000000000000000000000000002"));
    let mut unsigned = batch(EVENTS, "token", &body);
    unsigned.headers_mut().remove("x-twilio-signature");
    for forged in [
        batch(EVENTS, "another", &body),
        with_another_body,
        unsigned,
        batch("/webhooks/shop/nobody/twilio/events", "token", &body),
        batch("/webhooks/nowhere/support/twilio/events", "token", &body),
    ] {
        let answer = world.deliver(forged).await;
        answers.push((answer.status, answer.text));
    }
    answers.dedup();
    assert_eq!((answers.len(), answers[0].0), (1, StatusCode::FORBIDDEN), "{answers:?}");
    assert_eq!(world.kept.text(), "");
    assert_eq!((world.counted("rejected_signature"), world.counted("unknown_endpoint")), (3, 2));
}

#[tokio::test]
async fn an_event_about_another_account_or_without_an_id_or_unreadable_is_answered_and_leaves_nothing() {
    let world = World::new(true).await;
    for (body, result) in [
        (approval("AC00000000000000000000000000000002", HX), "unaddressed"),
        (approval(ACCOUNT, "HX1"), "accepted"),
        ("[".to_owned(), "unreadable"),
    ] {
        assert_eq!(world.deliver(batch(EVENTS, "token", &body)).await.status, StatusCode::NO_CONTENT, "{body}");
        assert_eq!((world.counted(result), world.kept.text().as_str()), (1, ""), "{body}");
    }
}

#[tokio::test]
async fn an_event_that_the_operator_cannot_be_told_is_to_be_sent_again() {
    let world = World::new(true).await;
    *world.kept.is_broken.lock() = true;
    let answer = world.deliver(batch(EVENTS, "token", &approval(ACCOUNT, HX))).await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert!(!answer.text.contains("away"), "{answer:?}");
    *world.kept.is_broken.lock() = false;
    let test = json!({"data": {"test_id": "TE1"}}).to_string();
    assert_eq!(world.deliver(batch(EVENTS, "token", &test)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.kept.about(), [About::Test("TE1".to_owned())]);

    let alone = World::new(false).await;
    let answer = alone.deliver(batch(EVENTS, "token", &approval(ACCOUNT, HX))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("no operator"), "{answer:?}");
    assert_eq!((world.counted("not_passed_on"), alone.counted("not_passed_on")), (1, 1));
}
