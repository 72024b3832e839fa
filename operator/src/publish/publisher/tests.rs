//! Promises about what is written for a tenant, on an API server in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::runtime::watcher::Event;
use messaging::config::SenderConfig;
use messaging::config::kubernetes::part_of;
use messaging::config::parts::{ContentId, Stored, check_part};
use messaging::id::SenderName;
use messaging::routing::{Route, RoutingConfig};
use messaging::template::{LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::controllers::Drivers;
use crate::leader::tenure::{Deadline, Tenure};
use crate::metrics::KindName;
use crate::publish::compile::tests::sender;
use crate::publish::replicas::Acknowledged;
use crate::reconcile::live::Live;
use crate::sender::validate::tests::sender as quickstart;
use crate::testing::api::FakeApi;
use crate::testing::dependencies_with;

const CONFIG: &str = "/api/v1/namespaces/system/secrets/whatsapp-tenant-shop";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

fn contribution(number: &str) -> SenderConfig {
    SenderConfig { phone_number: number.parse().unwrap(), ..sender("secret") }
}

/// The tenant `shop` has two senders that were contributed, a template and a policy.
fn world() -> (Arc<FakeApi>, Arc<Publisher>, TenantId) {
    let (api, tenant) = (Arc::<FakeApi>::default(), TenantId::new("shop").unwrap());
    let Drivers { publisher, senders: (_, mut watched), mut templates, mut policies, .. } =
        Drivers::new(dependencies_with(api.client(), Arc::default()));
    let object = |kind: &str, name: &str, spec: Value| {
        let metadata = json!({ "namespace": "shop", "name": name });
        json!({ "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
    };
    let texts = json!({
        "senderRefs": [{ "name": "support" }], "category": "UTILITY", "fallbackLanguage": "en", "localizations": [],
    });
    let template = serde_json::from_value(object("MessageTemplate", "news", texts)).unwrap();
    templates.1.apply_watcher_event(&Event::Apply(template));
    let policy = object("RoutingPolicy", "default", json!({ "default": { "senderRef": { "name": "support" } } }));
    policies.1.apply_watcher_event(&Event::Apply(serde_json::from_value(policy).unwrap()));
    for (name, number) in [("sales", "+14155238886"), ("support", "+14155238887")] {
        let mut sender = quickstart();
        sender.metadata.namespace = Some("shop".into());
        sender.metadata.name = Some(name.into());
        watched.apply_watcher_event(&Event::Apply(sender));
        publisher.contributions.set_sender(&tenant, &name.parse().unwrap(), contribution(number));
    }
    (api, publisher, tenant)
}

/// The parts that exist, checked.
fn parts(api: &FakeApi) -> Vec<(ContentId, Vec<u8>)> {
    let tenant = "shop".parse().unwrap();
    let secrets = api.list("/api/v1/namespaces/system/secrets").into_iter();
    let secrets = secrets.map(|secret| serde_json::from_value::<Secret>(secret).unwrap());
    let part = |secret: Secret| {
        let id = part_of(&tenant, secret.metadata.name.as_deref()?)?;
        let value = secret.data.unwrap().remove("tenant.json").unwrap().0;
        check_part(&id, &value).expect("it is sound");
        Some((id, value))
    };
    secrets.filter_map(part).collect()
}

fn published(api: &FakeApi, tenant: &TenantId) -> Option<TenantConfig> {
    let secret: Secret = serde_json::from_value(api.get(CONFIG)?).unwrap();
    let value = secret.data.unwrap().remove("tenant.json").unwrap().0;
    let Stored::Parts(index) = Stored::read(tenant, &value).unwrap() else {
        return Some(TenantConfig::from_json(tenant, &value).unwrap());
    };
    let parts: BTreeMap<_, _> = parts(api).into_iter().collect();
    let whole = index.whole(|id| parts.get(id).map(Vec::as_slice)).expect("what a reader sees is whole");
    Some(TenantConfig::from_json(tenant, &whole).unwrap())
}

#[tokio::test]
async fn a_faulty_object_is_left_out_of_its_tenants_config_and_says_why() {
    let (api, publisher, tenant) = world();
    let sales: SenderName = "sales".parse().unwrap();
    let mut faulty = contribution("+14155238886");
    faulty.limits.burst = 0;
    publisher.contributions.set_sender(&tenant, &sales, faulty);
    publish(&publisher, &tenant).await.unwrap();
    let config = published(&api, &tenant).unwrap();
    assert_eq!(config.senders.keys().map(SenderName::as_str).collect::<Vec<_>>(), ["support"]);
    let live = |name: &str| {
        let contributed = publisher.contributions.of(&tenant);
        publisher.data_plane.live(KindName::Sender, &tenant, name, &contributed)
    };
    let Some(Live::Unpublished { stalled: true, message }) = live("sales") else { panic!("{:?}", live("sales")) };
    assert!(message.contains("senders.sales.limits.burst: is 0"), "{message}");
    assert!(!matches!(live("support"), Some(Live::Unpublished { .. })));

    publisher.contributions.set_sender(&tenant, &sales, contribution("+14155238886"));
    publish(&publisher, &tenant).await.unwrap();
    assert_eq!(published(&api, &tenant).unwrap().senders.len(), 2);
    assert!(!matches!(live("sales"), Some(Live::Unpublished { .. })));
}

#[tokio::test]
async fn a_secret_of_the_type_of_api_keys_that_gives_nobody_access_gets_an_event() {
    let (api, publisher, tenant) = world();
    // "1234" and "wak_0123456789abcdef" in base64.
    for (name, key, value) in
        [("good", "key", "d2FrXzAxMjM0NTY3ODlhYmNkZWY="), ("short", "key", "MTIzNA=="), ("wrong", "token", "MTIzNA==")]
    {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": API_KEY_SECRET_TYPE, "data": { key: value },
            "metadata": { "name": name, "namespace": "shop", "uid": name },
        });
        api.put(&format!("/api/v1/namespaces/shop/secrets/{name}"), secret);
    }
    publish(&publisher, &tenant).await.unwrap();
    let config = published(&api, &tenant).unwrap();
    assert_eq!(config.api_keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let mut told: Vec<String> = api.list(EVENTS).iter().map(about).collect();
    told.sort();
    assert_eq!(told, ["Warning ApiKeyUnusable Secret/short", "Warning ApiKeyUnusable Secret/wrong"]);
}

fn about(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = &event["regarding"];
    format!("{} {} {}/{}", text(&event["type"]), text(&event["reason"]), text(&about["kind"]), text(&about["name"]))
}

fn template(body: &str) -> TemplateConfig {
    let content = LocalizedContent { body: body.to_owned(), header: None, footer: None, buttons: vec![] };
    let text = LocalizationConfig { content, accounts: BTreeMap::new() };
    TemplateConfig {
        category: TemplateCategory::Utility,
        variables: vec![],
        fallback_language: "en".into(),
        localizations: BTreeMap::from([("en".to_owned(), text.into())]).into(),
    }
}

/// A text that compression makes hardly smaller.
fn noise(bytes: usize) -> String {
    let digest = |n: usize| BASE64_STANDARD.encode(Sha256::digest(n.to_be_bytes()));
    (0..bytes / 44).map(digest).collect()
}

#[tokio::test]
async fn a_config_that_fits_no_secret_is_told_on_each_object_that_is_not_live_and_counted_until_it_fits() {
    let (api, publisher, tenant) = world();
    // A replica of an earlier version, which does not read parts.
    let old = Acknowledged { version: u128::MAX, ..Acknowledged::default() };
    publisher.data_plane.set_alive([("whatsapp-dataplane-old".to_owned(), old)].into());
    publish(&publisher, &tenant).await.unwrap();
    let changed = SenderConfig { paused: true, ..contribution("+14155238886") };
    publisher.contributions.set_sender(&tenant, &"sales".parse().unwrap(), changed);
    let route = RoutingConfig { default: Route::direct("support".parse().unwrap()), by_country: BTreeMap::new() };
    publisher.contributions.set_policy(&tenant, &"default".parse().unwrap(), Some(route));
    publisher.contributions.set_template(&tenant, &"news".parse().unwrap(), Some(template(&noise(2_000_000))));

    let live = |kind, name: &str| publisher.data_plane.live(kind, &tenant, name, &publisher.contributions.of(&tenant));
    let unpublished = |kind, name: &str| match live(kind, name) {
        Some(Live::Unpublished { stalled: true, message }) => Some(message),
        _ => None,
    };
    let counts = |n: usize| {
        publisher.metrics.render().unwrap().contains(&format!("whatsapp_operator_unpublished_tenants {n}\n"))
    };
    let until = async |so: &(dyn Fn() -> bool + Sync)| {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    let story = async {
        until(&|| unpublished(KindName::Sender, "sales").is_some() && counts(1)).await;
        for (kind, name) in [(KindName::Sender, "sales"), (KindName::Template, "news"), (KindName::Policy, "default")] {
            let message = unpublished(kind, name).unwrap_or_else(|| panic!("{name}: {:?}", live(kind, name)));
            assert!(message.contains("a Secret holds 1048576") && message.contains("these do not: old;"), "{message}");
        }
        assert_eq!(unpublished(KindName::Sender, "support"), None, "it runs as it is");
        assert_eq!(published(&api, &tenant).unwrap().policies.len(), 0);

        publisher.contributions.set_template(&tenant, &"news".parse().unwrap(), None);
        until(&|| unpublished(KindName::Sender, "sales").is_none() && counts(0)).await;
        assert_eq!(published(&api, &tenant).unwrap().policies.len(), 1);
    };
    tokio::select! {
        () = publish_forever(&publisher) => unreachable!("it never ends"),
        told = tokio::time::timeout(Duration::from_secs(60), story) => told.expect("it is told and counted"),
    }
}

fn base64(config: &TenantConfig) -> String {
    BASE64_STANDARD.encode(config.to_json())
}

/// A Secret as another replica of the operator writes it.
fn written_by_another(config: &TenantConfig) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "whatsapp-operator.dev/tenant-config",
        "metadata": { "name": "whatsapp-tenant-shop", "namespace": "system", "labels": { "whatsapp-operator.dev/tenant": "shop" } },
        "data": { "tenant.json": base64(config) },
    })
}

#[tokio::test]
async fn what_another_wrote_meanwhile_is_compiled_in_and_never_overwritten_unread() {
    for already_published in [false, true] {
        let (api, publisher, tenant) = world();
        if already_published {
            publish(&publisher, &tenant).await.unwrap();
            publisher.contributions.set_sender(
                &tenant,
                &"sales".parse().unwrap(),
                SenderConfig { paused: true, ..contribution("+14155238886") },
            );
        }
        // A template that was not contributed since this process started, so only what is published tells of it.
        let (other_api, other, _) = world();
        other.contributions.set_template(&tenant, &"news".parse().unwrap(), Some(template("Hello")));
        publish(&other, &tenant).await.unwrap();
        let newer = published(&other_api, &tenant).unwrap();
        api.write_before(CONFIG, written_by_another(&newer));
        publish(&publisher, &tenant).await.unwrap();
        let config = published(&api, &tenant).unwrap();
        assert_eq!(config.templates, newer.templates, "already published: {already_published}");
        assert_eq!(config.senders["sales"].paused, already_published);
    }
}

#[tokio::test]
async fn a_config_that_came_back_while_it_was_removed_stays_until_it_was_read() {
    let (api, publisher, tenant) = world();
    publish(&publisher, &tenant).await.unwrap();
    let config = published(&api, &tenant).unwrap();
    let secrets = Api::namespaced(publisher.client.clone(), "system");
    let slot = Slot::read(&secrets, &tenant).await.unwrap();
    api.write_before(CONFIG, written_by_another(&config));
    assert_eq!(slot.remove(&publisher.tenure).await.unwrap(), Write::Overtaken);
    assert_eq!(published(&api, &tenant), Some(config));
}

#[tokio::test]
async fn a_leader_that_was_held_up_until_another_led_writes_and_removes_nothing() {
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/system/leases/operator";
    let (api, publisher, tenant) = world();
    let mut publisher = Arc::into_inner(publisher).unwrap();
    let client = publisher.client.clone();
    let until = |deadline: Instant| Tenure::Elected {
        leases: Box::new(Api::namespaced(client.clone(), "system")),
        lease: "operator".into(),
        me: "first".into(),
        deadline: Deadline::new(deadline),
    };
    let later = Instant::now() + Duration::from_secs(600);
    publisher.tenure = until(later);
    let held_by = |holder: &str| api.put(LEASE, json!({ "spec": { "holderIdentity": holder } }));
    held_by("second");
    let refused = publish(&publisher, &tenant).await.unwrap_err();
    assert!(refused.message().contains("another replica of the operator leads now"), "{}", refused.message());
    assert_eq!(api.get(CONFIG), None);

    // By its own clock its tenure has ended, and nobody has taken over yet.
    held_by("first");
    publisher.tenure = until(Instant::now());
    assert!(publish(&publisher, &tenant).await.is_err());
    assert_eq!(api.get(CONFIG), None);

    publisher.tenure = until(later);
    publish(&publisher, &tenant).await.unwrap();
    held_by("second");
    let secrets = Api::namespaced(publisher.client.clone(), "system");
    let slot = Slot::read(&secrets, &tenant).await.unwrap();
    assert!(slot.remove(&publisher.tenure).await.is_err());
    assert!(published(&api, &tenant).is_some());
}

#[tokio::test]
async fn tenants_that_the_api_server_says_nothing_about_delay_no_other() {
    let (api, publisher, tenant) = world();
    for n in 1..AT_ONCE {
        // They come before `shop`.
        let slow = format!("bank-{n}");
        api.fall_silent_about(&CONFIG.replace("shop", &slow));
        publisher.contributions.touch(&slow.parse().unwrap());
    }
    let story = async {
        while published(&api, &tenant).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = publish_forever(&publisher) => unreachable!("it never ends"),
        told = tokio::time::timeout(WITHIN / 2, story) => told.expect("it is published meanwhile"),
    }
}

mod parts;
