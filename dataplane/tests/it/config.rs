//! Promises about config: broken never replaces good, and one tenant never touches another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dataplane::config::cache::Cache;
use dataplane::config::directory::Directory;
use dataplane::config::kubernetes::SecretWatch;
use dataplane::config::{Applied, Configs, Connect};
use dataplane::metrics::Metrics;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::runtime::watcher::Event;
use messaging::config::kubernetes::{CONFIG_KEY, PART_TYPE, SECRET_TYPE, TENANT_LABEL, part_name, secret_name};
use messaging::config::parts::{ContentId, PartIndex, cut, packed_part};
use messaging::config::{ProviderAccount, TenantConfig};
use messaging::id::{SenderName, TenantId};
use messaging::provider::MessagingProvider;
use serde_json::{Value, json};

use crate::fake::FakeProvider;
use crate::world::open_sink;

/// A tenant with one sender, `support`, and one API key.
pub(crate) fn tenant_json(tenant: &str) -> Value {
    json!({
        "format": 1,
        "tenant": tenant,
        "publicBaseUrl": "https://hooks.example.com/",
        "senders": {
            "support": {
                "phoneNumber": "+14155238886",
                "provider": { "twilio": {
                    "accountSid": "AC00000000000000000000000000000001",
                    "username": "SK00000000000000000000000000000001",
                    "password": "hunter2",
                    "webhookKeys": ["token"],
                }},
            },
        },
        "apiKeys": [{ "name": "app", "sha256": hex::encode(digest(&format!("key-of-{tenant}"))) }],
    })
}

pub(crate) fn bytes(config: &Value) -> Vec<u8> {
    serde_json::to_vec(config).unwrap()
}

fn digest(key: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(key.as_bytes()).into()
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn support() -> SenderName {
    SenderName::new("support").unwrap()
}

/// Connects every sender to a fake, and counts.
fn connecting(count: &Arc<AtomicUsize>) -> Connect {
    let count = Arc::clone(count);
    Arc::new(move |_: &ProviderAccount| {
        count.fetch_add(1, Ordering::SeqCst);
        FakeProvider::new() as Arc<dyn MessagingProvider>
    })
}

struct World {
    configs: Arc<Configs>,
    metrics: Arc<Metrics>,
    connected: Arc<AtomicUsize>,
}

fn world() -> World {
    let (connected, metrics) = (Arc::new(AtomicUsize::new(0)), Arc::new(Metrics::new().unwrap()));
    World {
        configs: Arc::new(Configs::new(
            connecting(&connected),
            providers::webhook_adapters().into(),
            open_sink(),
            Arc::clone(&metrics),
        )),
        metrics,
        connected,
    }
}

fn phone(configs: &Configs, name: &str) -> String {
    configs.get(&tenant(name)).unwrap().config.senders[&support()].phone_number.to_string()
}

#[test]
fn a_config_with_a_fault_is_run_and_the_fault_is_counted() {
    let World { configs, metrics, .. } = world();
    let mut faulty = tenant_json("shop");
    faulty["senders"]["support"]["limits"] = json!({ "messagesPerSecond": 0, "burst": 0, "maxConcurrency": 1 });
    assert_eq!(configs.apply(&tenant("shop"), &bytes(&faulty)), Applied::New);
    assert!(configs.get(&tenant("shop")).is_some());
    assert!(metrics.render().unwrap().contains("\nwhatsapp_config_faults_total 2\n"), "{}", metrics.render().unwrap());
}

#[test]
fn a_broken_config_never_replaces_a_good_one_and_no_other_tenant_notices() {
    let World { configs, metrics, .. } = world();
    assert_eq!(configs.apply(&tenant("shop"), &bytes(&tenant_json("shop"))), Applied::New);
    assert_eq!(configs.apply(&tenant("bank"), &bytes(&tenant_json("bank"))), Applied::New);
    let bank = configs.get(&tenant("bank")).unwrap();

    let mut newer = tenant_json("shop");
    newer["format"] = json!(2);
    let mut unknown_field = tenant_json("shop");
    unknown_field["sendres"] = json!({});
    let mut bad_secret = tenant_json("shop");
    bad_secret["senders"]["support"]["events"] =
        json!([{ "http": { "url": "https://app.example/", "signingSecrets": ["whsec_short"] } }]);
    let mut bad_key = tenant_json("shop");
    bad_key["apiKeys"][0]["sha256"] = json!("abc");
    for (broken, says) in [
        (b"{".to_vec(), "tenant config: EOF"),
        (bytes(&newer), "upgrade the data plane"),
        (bytes(&unknown_field), "sendres: has a field that is not known"),
        (bytes(&tenant_json("bank")), "the tenant config is for bank"),
        (bytes(&bad_secret), "senders.support.events[0].http.signingSecrets[0]"),
        (bytes(&bad_key), "apiKeys[0].sha256 of \"app\""),
    ] {
        let Applied::Refused(reason) = configs.apply(&tenant("shop"), &broken) else { panic!("{says} was applied") };
        let reason = reason.to_string();
        assert!(reason.contains(says), "{reason} does not say {says}");
        assert_eq!(configs.refused()[&tenant("shop")], reason);
        assert_eq!(phone(&configs, "shop"), "+14155238886", "the good one still runs");
    }
    assert!(Arc::ptr_eq(&bank, &configs.get(&tenant("bank")).unwrap()), "the other tenant was not even rebuilt");
    let text = metrics.render().unwrap();
    assert!(text.contains(r#"whatsapp_config_total{result="refused"} 6"#), "{text}");
    assert!(text.contains(r#"whatsapp_config_tenants{state="refused"} 1"#), "{text}");

    // The same good config again clears the complaint.
    assert_eq!(configs.apply(&tenant("shop"), &bytes(&tenant_json("shop"))), Applied::Unchanged);
    assert_eq!(configs.refused(), BTreeMap::new());
}

#[test]
fn a_sender_that_did_not_change_keeps_its_adapter() {
    let World { configs, connected, .. } = world();
    let mut config = tenant_json("shop");
    config["senders"]["sales"] = config["senders"]["support"].clone();
    configs.apply(&tenant("shop"), &bytes(&config));
    assert_eq!(connected.load(Ordering::SeqCst), 2);
    let before = configs.get(&tenant("shop")).unwrap();

    config["senders"]["sales"]["provider"]["twilio"]["password"] = json!("rotated");
    config["senders"]["support"]["limits"] = json!({ "messagesPerSecond": 1, "burst": 1, "maxConcurrency": 1 });
    configs.apply(&tenant("shop"), &bytes(&config));
    let after = configs.get(&tenant("shop")).unwrap();
    let adapter = |t: &dataplane::config::Tenant, name: &str| {
        Arc::clone(t.sender(&SenderName::new(name).unwrap()).unwrap().provider)
    };
    assert!(Arc::ptr_eq(&adapter(&before, "support"), &adapter(&after, "support")));
    assert!(!Arc::ptr_eq(&adapter(&before, "sales"), &adapter(&after, "sales")));
    assert_eq!(connected.load(Ordering::SeqCst), 3);
}

#[test]
fn an_api_key_that_two_tenants_hold_opens_neither() {
    let World { configs, .. } = world();
    let mut thief = tenant_json("thief");
    configs.apply(&tenant("shop"), &bytes(&tenant_json("shop")));
    assert_eq!(configs.api_key_holder(&digest("key-of-shop")).unwrap().tenant, tenant("shop"));
    thief["apiKeys"][0]["sha256"] = json!(hex::encode(digest("key-of-shop")));
    configs.apply(&tenant("thief"), &bytes(&thief));
    assert_eq!(configs.api_key_holder(&digest("key-of-shop")), None);
    configs.remove(&tenant("thief"));
    assert_eq!(configs.api_key_holder(&digest("key-of-shop")).unwrap().tenant, tenant("shop"));
}

#[test]
fn an_empty_list_removes_no_tenant_and_a_shorter_one_removes_the_missing_ones() {
    let World { configs, .. } = world();
    for name in ["shop", "bank"] {
        configs.apply(&tenant(name), &bytes(&tenant_json(name)));
    }
    assert_eq!(configs.retain(&BTreeSet::new()), []);
    assert!(configs.get(&tenant("shop")).is_some());
    assert_eq!(configs.retain(&[tenant("bank")].into()), [tenant("shop")]);
    assert!(configs.get(&tenant("shop")).is_none());
    assert!(configs.get(&tenant("bank")).is_some());
}

fn secret(name: &str, version: &str, data: &[u8]) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(&tenant(name))),
            resource_version: Some(version.into()),
            labels: Some([(TENANT_LABEL.to_owned(), name.to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some([(CONFIG_KEY.to_owned(), ByteString(data.to_vec()))].into()),
        ..Secret::default()
    }
}

/// The Secrets of a config in parts: the index, and the parts in the order of their names.
fn in_parts(name: &str, version: &str, config: &Value) -> (Secret, Vec<Secret>) {
    let json = bytes(config);
    // Smaller pieces than the operator makes.
    let pieces: Vec<&[u8]> = json.chunks(json.len() / 3).collect();
    assert!(pieces.len() > 2 && cut(&json).concat() == json);
    let part = |piece: &&[u8]| {
        let mut part = secret(name, "1", &packed_part(piece));
        part.metadata.name = Some(part_name(&tenant(name), &ContentId::of(piece)));
        part.type_ = Some(PART_TYPE.to_owned());
        part
    };
    let mut parts: Vec<Secret> = pieces.iter().map(part).collect();
    parts.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    (secret(name, version, &PartIndex::of(&tenant(name), &pieces).to_json()), parts)
}

fn with_number(name: &str, number: &str) -> Value {
    let mut config = tenant_json(name);
    config["senders"]["support"]["phoneNumber"] = json!(number);
    config
}

#[tokio::test]
async fn a_config_in_parts_runs_once_it_is_whole_and_until_then_the_one_before() {
    let World { configs, metrics, .. } = world();
    let mut watch = SecretWatch::new(Arc::clone(&configs), None, metrics);
    let acknowledged = watch.acknowledgements();
    let (version, parts) =
        (|| acknowledged.borrow().resource_version.clone().unwrap_or_default(), || acknowledged.borrow().parts.clone());
    let names = |index: &Secret| {
        let names: PartIndex = serde_json::from_slice(&index.data.as_ref().unwrap()[CONFIG_KEY].0).unwrap();
        [(tenant("shop"), names.id())].into()
    };
    // A list shows the index before its parts.
    let (first, its_parts) = in_parts("shop", "10", &with_number("shop", "+447700900001"));
    watch.take(Event::Init).await;
    watch.take(Event::InitApply(first.clone())).await;
    for part in its_parts.clone() {
        watch.take(Event::InitApply(part)).await;
    }
    assert!(configs.get(&tenant("shop")).is_none(), "not before the list is complete");
    watch.take(Event::InitDone).await;
    assert_eq!((phone(&configs, "shop").as_str(), version(), parts()), ("+447700900001", "10".into(), names(&first)));

    let (second, mut newer) = in_parts("shop", "20", &with_number("shop", "+447700900002"));
    newer.retain(|part| !its_parts.contains(part));
    let late = newer.pop().unwrap();
    for part in newer {
        watch.take(Event::Apply(part)).await;
    }
    assert_eq!(configs.refused().len(), 0, "parts that come before their index are no fault");
    watch.take(Event::Apply(second.clone())).await;
    assert_eq!((phone(&configs, "shop").as_str(), version(), parts()), ("+447700900001", "10".into(), names(&first)));
    assert!(configs.refused()[&tenant("shop")].contains("is not there"), "{:?}", configs.refused());
    watch.take(Event::Apply(secret("bank", "21", &bytes(&tenant_json("bank"))))).await;
    assert!(configs.refused().contains_key(&tenant("shop")), "another tenant's config changes nothing");

    watch.take(Event::Apply(late)).await;
    assert_eq!((phone(&configs, "shop").as_str(), configs.refused().len()), ("+447700900002", 0));
    assert_eq!((version(), parts()), ("21".into(), names(&second)));
    for part in its_parts {
        watch.take(Event::Delete(part)).await;
    }
    assert_eq!((phone(&configs, "shop").as_str(), configs.refused().len()), ("+447700900002", 0));

    watch.take(Event::Apply(secret("shop", "30", &bytes(&with_number("shop", "+447700900003"))))).await;
    assert_eq!((phone(&configs, "shop").as_str(), version(), parts().len()), ("+447700900003", "30".into(), 0));
}

#[tokio::test]
async fn a_config_in_parts_that_is_taken_back_runs_as_before() {
    let World { configs, metrics, .. } = world();
    let mut watch = SecretWatch::new(Arc::clone(&configs), None, metrics);
    let good = bytes(&tenant_json("shop"));
    watch.take(Event::Apply(secret("shop", "1", &good))).await;
    let (index, _) = in_parts("shop", "2", &with_number("shop", "+447700900002"));
    watch.take(Event::Apply(index)).await;
    assert_eq!(configs.refused().len(), 1);
    watch.take(Event::Apply(secret("shop", "3", &good))).await;
    assert_eq!((configs.refused().len(), phone(&configs, "shop").as_str()), (0, "+14155238886"));
}

#[tokio::test]
async fn a_restart_without_an_api_server_runs_a_config_that_was_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).await.unwrap();
    let (index, parts) = in_parts("shop", "10", &with_number("shop", "+447700900001"));
    {
        let World { configs, metrics, .. } = world();
        let mut watch = SecretWatch::new(configs, Some(cache.clone()), metrics);
        for secret in parts.iter().cloned().chain([index.clone()]) {
            watch.take(Event::Apply(secret)).await;
        }
    }
    let World { configs, metrics, .. } = world();
    SecretWatch::new(Arc::clone(&configs), Some(cache), metrics).load_cache().await;
    assert_eq!(phone(&configs, "shop"), "+447700900001");

    // The copy is also what a directory of configs holds.
    let World { configs, metrics, .. } = world();
    Directory::new(directory.path(), Arc::clone(&configs), metrics).look().await.unwrap();
    assert_eq!(phone(&configs, "shop"), "+447700900001");

    // And a program that reads it once finds it among the others.
    let listed: Vec<Secret> = [secret("bank", "1", b"{}"), index].into_iter().chain(parts).collect();
    let whole = dataplane::config::kubernetes::config_in(&tenant("shop"), listed.clone()).unwrap();
    assert!(TenantConfig::from_json(&tenant("shop"), &whole).is_ok());
    assert!(dataplane::config::kubernetes::config_in(&tenant("shop"), listed[..3].to_vec()).is_err());
    assert!(dataplane::config::kubernetes::config_in(&tenant("gone"), listed).is_err());
}

#[tokio::test]
async fn the_newest_version_that_runs_is_acknowledged_and_a_refused_one_is_not() {
    let World { configs, metrics, .. } = world();
    let mut watch = SecretWatch::new(Arc::clone(&configs), None, metrics);
    let acknowledged = watch.acknowledgements();
    let version = || acknowledged.borrow().resource_version.clone();
    let good = |name: &str| bytes(&tenant_json(name));

    watch.take(Event::Init).await;
    watch.take(Event::InitApply(secret("shop", "90", &good("shop")))).await;
    assert_eq!((version(), configs.is_ready()), (None, false), "not before the whole list was applied");
    watch.take(Event::InitApply(secret("bank", "100", &good("bank")))).await;
    watch.take(Event::InitDone).await;
    assert_eq!((version().as_deref(), configs.is_ready()), (Some("100"), true));

    watch.take(Event::Apply(secret("shop", "101", b"{}"))).await;
    assert_eq!(version().as_deref(), Some("100"));
    assert!(configs.refused().contains_key(&tenant("shop")));
    watch.take(Event::Apply(secret("bank", "102", &good("bank")))).await;
    assert_eq!(version().as_deref(), Some("102"));
    watch.take(Event::Delete(secret("bank", "103", b""))).await;
    assert_eq!((version().as_deref(), configs.get(&tenant("bank")).is_some()), (Some("103"), false));
}

#[tokio::test]
async fn a_restart_without_an_api_server_runs_the_last_good_configs() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).await.unwrap();
    {
        let World { configs, metrics, .. } = world();
        let mut watch = SecretWatch::new(configs, Some(cache.clone()), metrics);
        watch.take(Event::Init).await;
        for name in ["shop", "bank", "gone"] {
            watch.take(Event::InitApply(secret(name, "1", &bytes(&tenant_json(name))))).await;
        }
        watch.take(Event::InitDone).await;
        watch.take(Event::Apply(secret("shop", "2", b"broken"))).await;
        watch.take(Event::Delete(secret("gone", "3", b""))).await;
    }
    let World { configs, metrics, .. } = world();
    SecretWatch::new(Arc::clone(&configs), Some(cache), metrics).load_cache().await;
    assert!(configs.is_ready());
    let names: Vec<_> = configs.all().iter().map(|t| t.config.tenant.to_string()).collect();
    assert_eq!(names, ["bank", "shop"]);
    assert_eq!(phone(&configs, "shop"), "+14155238886", "the last good one, not the broken one");
}

#[tokio::test]
async fn a_secret_that_the_operator_did_not_write_is_not_a_tenant() {
    let World { configs, metrics, .. } = world();
    let mut watch = SecretWatch::new(Arc::clone(&configs), None, metrics);
    let mut misnamed = secret("shop", "1", &bytes(&tenant_json("shop")));
    misnamed.metadata.name = Some("whatsapp-tenant-other".into());
    watch.take(Event::Apply(misnamed)).await;
    assert!(configs.get(&tenant("shop")).is_none());
}

#[tokio::test]
async fn a_directory_is_followed_and_a_broken_file_harms_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(format!("{name}.json"));
    let World { configs, metrics, .. } = world();
    std::fs::write(path("shop"), bytes(&tenant_json("shop"))).unwrap();
    std::fs::write(path("bank"), bytes(&tenant_json("bank"))).unwrap();
    std::fs::write(directory.path().join("notes.txt"), "not a config").unwrap();
    let mut source = Directory::new(directory.path(), Arc::clone(&configs), metrics);
    source.look().await.unwrap();
    assert!(configs.is_ready());

    let mut changed = tenant_json("shop");
    changed["senders"]["support"]["phoneNumber"] = json!("+447700900123");
    std::fs::write(path("shop"), bytes(&changed)).unwrap();
    std::fs::write(path("bank"), "{ half").unwrap();
    source.look().await.unwrap();
    assert_eq!(phone(&configs, "shop"), "+447700900123");
    assert_eq!(phone(&configs, "bank"), "+14155238886");

    std::fs::remove_file(path("bank")).unwrap();
    source.look().await.unwrap();
    assert!(configs.get(&tenant("bank")).is_none());
    std::fs::remove_file(path("shop")).unwrap();
    source.look().await.unwrap();
    assert!(configs.get(&tenant("shop")).is_some(), "a directory that turns up empty removes no tenant");
}

#[test]
fn what_the_operator_writes_is_what_is_read() {
    let config: TenantConfig = serde_json::from_value(tenant_json("shop")).unwrap();
    let World { configs, .. } = world();
    assert_eq!(configs.apply(&tenant("shop"), &config.to_json()), Applied::New);
    assert_eq!(configs.apply(&tenant("shop"), &config.to_json()), Applied::Unchanged);
}

#[tokio::test]
async fn a_start_costs_each_tenant_once_and_a_reload_costs_what_has_changed() {
    const TENANTS: u64 = 300;
    let World { configs, metrics, connected } = world();
    let config = |i: u64| tenant_json(&format!("tenant-{i}"));
    let directory = tempfile::tempdir().unwrap();
    let write = |i: u64, config: &Value| {
        std::fs::write(directory.path().join(format!("tenant-{i}.json")), bytes(config)).unwrap();
    };
    (0..TENANTS).for_each(|i| write(i, &config(i)));
    let work = || {
        let text = metrics.render().unwrap();
        let steps = ["parsed", "key_indexed"].map(|step| {
            let line = format!("whatsapp_config_steps_total{{step=\"{step}\"}} ");
            text.lines().find_map(|l| l.strip_prefix(&line)).unwrap().parse::<u64>().unwrap()
        });
        (steps[0], steps[1], connected.load(Ordering::SeqCst) as u64)
    };
    let mut source = Directory::new(directory.path(), Arc::clone(&configs), Arc::clone(&metrics));
    source.look().await.unwrap();
    assert_eq!(work(), (TENANTS, TENANTS, TENANTS));

    // Another source offers all of them again, as a watch does that begins anew.
    let mut again = Directory::new(directory.path(), Arc::clone(&configs), Arc::clone(&metrics));
    again.look().await.unwrap();
    assert_eq!(work(), (TENANTS, TENANTS, TENANTS));

    let mut changed = config(7);
    changed["apiKeys"][0]["sha256"] = json!(hex::encode(digest("another key")));
    write(7, &changed);
    source.look().await.unwrap();
    assert_eq!(work(), (TENANTS + 1, TENANTS + 2, TENANTS));
    assert_eq!(configs.api_key_holder(&digest("another key")).unwrap().tenant, tenant("tenant-7"));
    assert_eq!(configs.api_key_holder(&digest("key-of-tenant-7")), None);
}

#[test]
fn the_example_without_a_cluster_is_sound() {
    let config = include_bytes!("../../../examples/without-a-cluster/shop.json");
    let config = messaging::config::TenantConfig::from_json(&tenant("shop"), config).unwrap();
    assert_eq!(config.validate(), []);
    assert_eq!(config.api_keys[0].sha256, hex::encode(digest("wak_a-long-random-string-that-nobody-guesses")));
}
