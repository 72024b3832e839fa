//! Endpoints that serve several tenants: each hears its own, and nothing of the others.

use std::sync::Arc;

use dataplane::config::Adapters;
use dataplane::replay::progress::Silent;
use dataplane::replay::{Counts, Replay, Wanted};
use dataplane::retention;
use dataplane::store::WebhookLog as _;
use dataplane::store::webhook::{RecordWebhook, ReplayFilter, StoredWebhook};
use jiff::SignedDuration;
use messaging::clock::Clock;
use messaging::provider::webhook::WebhookRoute;
use messaging::provider::{WebhookAdapter, WebhookEvent};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::batch::{BatchWebhooks, KEY_HEADER};
use crate::store::Sqlite;
use crate::world::{support, tenant, webhook};

const APP: &str = "/webhooks/batch/app";
/// Messages of a request, as it writes them.
const TO_SHOP: &str = r#"{"to" : "shop-1", "id":"1","text":"caf\u00e9"}"#;
const TO_BAKERY: &str = r#"{"to":"bakery-1","id":"2", "text":"Hello"}"#;
const TO_NOBODY: &str = r#"{"to":"nobody","id":"3","text":"Hello?"}"#;

fn adapters() -> Adapters {
    let mut adapters: Vec<Arc<dyn WebhookAdapter>> =
        vec![Arc::new(BatchWebhooks), Arc::new(providers::meta::MetaWebhooks)];
    adapters.extend(providers::webhook_adapters());
    adapters.into()
}

async fn listeners() -> Listeners {
    Listeners::hearing(Sqlite::new().await, adapters())
}

/// Configures a tenant whose sender hears an app by a handle, with a key of its own choice.
fn hears(listeners: &Listeners, name: &str, username: &str, key: &str) {
    listeners.tenant(name, |config| {
        let account = &mut config["senders"]["support"]["provider"]["twilio"];
        account["username"] = json!(username);
        account["password"] = json!(format!("token-of-{name}"));
        account["webhookKeys"] = json!([key]);
    });
}

/// Two tenants that share an app.
fn shop_and_bakery(listeners: &Listeners) {
    hears(listeners, "shop", "app/shop-1", "secret");
    hears(listeners, "bakery", "app/bakery-1", "secret");
}

/// A request of the provider, with these messages.
fn batch(key: &str, messages: &[&str]) -> Request<Body> {
    let body = format!(r#"{{"prefix": "p1", "messages": [{}]}}"#, messages.join(" , "));
    Request::post(APP).header(KEY_HEADER, key).body(Body::from(body)).unwrap()
}

/// What the log holds of a tenant.
async fn log(listeners: &Listeners, name: &str) -> Vec<StoredWebhook> {
    let filter =
        ReplayFilter { tenant: tenant(name), sender: support(), since: None, until: None, after: None, limit: 100 };
    listeners.database.store().webhooks(&filter).await.unwrap()
}

/// The bodies in the log of a tenant.
async fn heard(listeners: &Listeners, name: &str) -> Vec<String> {
    let bodies = log(listeners, name).await.into_iter().map(|webhook| webhook.body.to_vec());
    bodies.map(|body| String::from_utf8(body).unwrap()).collect()
}

fn file(listeners: &Listeners) -> rusqlite::Connection {
    rusqlite::Connection::open(listeners.database.directory.path().join("store.db")).unwrap()
}

/// Endpoint, route and body of what is kept outside every tenant.
fn unaddressed(listeners: &Listeners) -> Vec<(String, String, String)> {
    let file = file(listeners);
    let mut select = file.prepare("SELECT endpoint, route, CAST(body AS TEXT) FROM unaddressed_webhooks").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn mixed(listeners: &Listeners, result: &str) -> u64 {
    listeners.count(&format!(r#"whatsapp_webhooks_total{{kind="mixed",result="{result}"}}"#))
}

async fn has_window(listeners: &Listeners, name: &str) -> bool {
    let contact = listeners.database.store().contact(&tenant(name), &support(), &CUSTOMER.parse().unwrap()).await;
    contact.unwrap().state.last_inbound_at.is_some()
}

#[tokio::test]
async fn each_part_of_a_request_reaches_its_own_tenant_alone_and_unaddressed_parts_are_kept_apart() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    let answer = deliver(&listeners, batch("secret", &[TO_SHOP, TO_NOBODY, TO_BAKERY])).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "taken"));
    assert_eq!((mixed(&listeners, "unaddressed"), mixed(&listeners, "accepted")), (1, 0));
    assert_eq!(heard(&listeners, "shop").await, [TO_SHOP]);
    assert_eq!(heard(&listeners, "bakery").await, [TO_BAKERY]);
    let kept = ("batch/app".to_owned(), "batch POST messages/p1".to_owned(), TO_NOBODY.to_owned());
    assert_eq!(unaddressed(&listeners), [kept]);
    listeners.apply().await;
    assert!(has_window(&listeners, "shop").await && has_window(&listeners, "bakery").await);
}

#[tokio::test]
async fn a_request_without_parts_is_answered_and_leaves_nothing() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    assert_eq!(deliver(&listeners, batch("secret", &[])).await.status, StatusCode::OK);
    assert_eq!((heard(&listeners, "shop").await.len(), unaddressed(&listeners).len()), (0, 0));
}

#[tokio::test]
async fn what_is_for_an_account_is_heard_once_by_each_tenant_that_has_it() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    hears(&listeners, "florist", "app/florist-1", "a key of its own");
    let message = r#"{"account":"AC00000000000000000000000000000001","id":"1","text":"Hello"}"#;
    assert_eq!(deliver(&listeners, batch("secret", &[message])).await.status, StatusCode::OK);
    for (name, count) in [("shop", 1), ("bakery", 1), ("florist", 0)] {
        assert_eq!(heard(&listeners, name).await.len(), count, "{name}");
    }
    assert!(unaddressed(&listeners).is_empty());
}

#[tokio::test]
async fn a_tenant_that_names_anothers_app_with_its_own_key_cannot_reach_the_other() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    hears(&listeners, "rogue", "app/shop-1", "key of the rogue");
    let answer = deliver(&listeners, batch("key of the rogue", &[TO_SHOP, TO_BAKERY])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(heard(&listeners, "shop").await.is_empty() && heard(&listeners, "bakery").await.is_empty());
    assert_eq!(heard(&listeners, "rogue").await, [TO_SHOP], "its own key speaks to its own sender alone");
    assert_eq!(unaddressed(&listeners).len(), 1);
    // Nor does it get the other's messages, although it claims the same handle.
    deliver(&listeners, batch("secret", &[TO_SHOP])).await;
    assert_eq!((heard(&listeners, "shop").await.len(), heard(&listeners, "rogue").await.len()), (1, 1));
}

#[tokio::test]
async fn a_challenge_is_answered_for_the_token_of_any_tenant_of_the_app_and_for_no_other() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    let ask = async |path: &str| deliver(&listeners, Request::get(path).body(Body::empty()).unwrap()).await;
    for token in ["token-of-shop", "token-of-bakery"] {
        let answer = ask(&format!("{APP}?token={token}")).await;
        assert_eq!((answer.status, answer.text), (StatusCode::OK, token.len().to_string()));
        assert_eq!(answer.headers["content-type"], "text/plain");
    }
    for (path, status) in [
        (format!("{APP}?token=token-of-rogue"), StatusCode::FORBIDDEN),
        (APP.to_owned(), StatusCode::FORBIDDEN),
        ("/webhooks/batch/other?token=token-of-shop".to_owned(), StatusCode::FORBIDDEN),
        (INBOUND.to_owned(), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = ask(&path).await;
        assert_eq!(answer.problem(status), [], "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_committed_whole_leaves_none_of_its_parts() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    // The tenants' parts can be written, and the unaddressed one cannot.
    file(&listeners).execute_batch("DROP TABLE unaddressed_webhooks").unwrap();
    let answer = deliver(&listeners, batch("secret", &[TO_SHOP, TO_BAKERY, TO_NOBODY])).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    for name in ["shop", "bakery"] {
        assert!(heard(&listeners, name).await.is_empty(), "{name}");
    }
    assert!(unapplied(listeners.database.store()).await.is_empty());
    // The provider sends it again, and what can be written is.
    assert_eq!(deliver(&listeners, batch("secret", &[TO_SHOP, TO_BAKERY])).await.status, StatusCode::OK);
    assert_eq!((heard(&listeners, "shop").await.len(), heard(&listeners, "bakery").await.len()), (1, 1));
}

#[tokio::test]
async fn a_namespace_may_be_called_as_a_provider_is() {
    let listeners = listeners().await;
    for name in ["meta", "batch"] {
        listeners.tenant(name, |_| ());
        let path = format!("/webhooks/{name}/support/twilio/inbound");
        let from = format!("whatsapp:{CUSTOMER}");
        let fields = [("MessageSid", SM1), ("From", &from), ("To", "whatsapp:+14155238886"), ("Body", "Hello")];
        assert_eq!(deliver(&listeners, signed(&path, "token", &fields)).await.status, StatusCode::OK, "{path}");
        let app = format!("/webhooks/{name}/support");
        assert_eq!(deliver(&listeners, signed(&app, "token", &fields)).await.status, StatusCode::FORBIDDEN, "{app}");
    }
    listeners.apply().await;
    assert!(has_window(&listeners, "meta").await && has_window(&listeners, "batch").await);
}

#[tokio::test]
async fn what_was_not_applied_in_time_is_read_by_the_route_that_it_came_by() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    deliver(&listeners, batch("secret", &[TO_SHOP])).await;
    let stored = log(&listeners, "shop").await.remove(0);
    assert_eq!(stored.route.as_str(), "batch POST messages/p1");
    assert!(stored.url.ends_with(APP), "the URL does not say what the route does: {}", stored.url);

    let again = Listeners::hearing(listeners.database.crash().await, adapters());
    shop_and_bakery(&again);
    assert_eq!(unapplied(again.database.store()).await[0].reference.dedupe_key, "in:p1-1");
    again.apply().await;
    assert!(has_window(&again, "shop").await && !has_window(&again, "bakery").await);
}

#[tokio::test]
async fn a_replay_reads_the_route_that_a_webhook_came_by() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    let then = [WebhookEvent::Unreadable { reason: "a defect".into(), dedupe_key: "1".into() }];
    let recorded = RecordWebhook {
        route: WebhookRoute::request("batch", "POST", "messages/p7"),
        body: TO_SHOP.into(),
        ..webhook(&tenant("shop"), listeners.clock.now(), &then)
    };
    listeners.database.store().record_webhook(recorded).await.unwrap();
    listeners.apply().await;
    assert!(!has_window(&listeners, "shop").await);

    listeners.clock.advance(SignedDuration::from_secs(1));
    let configs = &listeners.shared.configs;
    let clock: &dyn Clock = listeners.clock.as_ref();
    let replay =
        Replay { store: listeners.database.store(), configs, tenant: configs.get(&tenant("shop")).unwrap(), clock };
    let wanted = Wanted { sender: support(), since: None, until: None, kind: None, message: None, dry_run: false };
    let summary = replay.run(&wanted, &mut Silent).await.unwrap();
    assert_eq!((summary.inbound, summary.unreadable), (Counts { new: 1, duplicates: 0 }, 0));
    assert_eq!(unapplied(listeners.database.store()).await[0].reference.dedupe_key, "in:p7-1");
    listeners.apply().await;
    assert!(has_window(&listeners, "shop").await);
}

#[tokio::test]
async fn unaddressed_parts_are_deleted_after_seven_days() {
    let listeners = listeners().await;
    shop_and_bakery(&listeners);
    deliver(&listeners, batch("secret", &[TO_NOBODY])).await;
    let turn = async || {
        retention::turn(&listeners.shared, &CancellationToken::new()).await.unwrap();
        unaddressed(&listeners).len()
    };
    listeners.clock.advance(SignedDuration::from_hours(7 * 24));
    assert_eq!(turn().await, 1);
    listeners.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(turn().await, 0);
}

#[tokio::test]
async fn a_tenant_that_goes_takes_its_own_key_and_nothing_of_the_others() {
    let listeners = listeners().await;
    hears(&listeners, "shop", "app/shop-1", "key of the shop");
    hears(&listeners, "bakery", "app/bakery-1", "key of the bakery");
    let statuses = async || {
        let mut statuses = Vec::new();
        for (key, message) in [("key of the shop", TO_SHOP), ("key of the bakery", TO_BAKERY)] {
            statuses.push(deliver(&listeners, batch(key, &[message])).await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [StatusCode::OK, StatusCode::OK]);
    // It moves to another app, and then is gone.
    hears(&listeners, "shop", "another/shop-1", "key of the shop");
    assert_eq!(statuses().await, [StatusCode::FORBIDDEN, StatusCode::OK]);
    hears(&listeners, "shop", "app/shop-1", "key of the shop");
    assert_eq!(statuses().await, [StatusCode::OK, StatusCode::OK]);
    listeners.shared.configs.remove(&tenant("shop"));
    assert_eq!(statuses().await, [StatusCode::FORBIDDEN, StatusCode::OK]);
    assert!(unaddressed(&listeners).is_empty());
    listeners.shared.configs.remove(&tenant("bakery"));
    assert_eq!(statuses().await, [StatusCode::FORBIDDEN, StatusCode::FORBIDDEN]);
}
