//! Walks every dependency between objects: whoever waits for an object is woken when it appears, changes, changes in
//! what others read of its status, and goes.

use std::collections::BTreeMap;

use crds::condition::{CREDENTIALS_VALID, STALLED, WEBHOOKS_CONFIGURED};
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use messaging::provider::admin::TemplateHandle;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::controllers::Drivers;
use crate::reconcile::kind::Kind;
use crate::testing::dependencies;

/// Two tenants. `shop` has two senders of one number, one that shares a pool with the first, one that shares nothing,
/// and one that shares only a Secret with that; `bank` has a sender of the same number. All templates name the first
/// sender; of those of `shop`, one has something at an account of no sender, one is being deleted, and one looks for
/// another.
fn cluster() -> Vec<Value> {
    let sender = |tenant: &str, name: &str, number: &str, pool: Option<&str>, secret: &str| {
        let twilio = json!({
            "accountSid": "AC0123456789abcdef0123456789abcdef",
            "messagingServiceSid": pool,
            "credentialsSecretRef": { "name": secret },
        });
        object(tenant, "WhatsAppSender", name, &json!({ "phoneNumber": number, "provider": { "twilio": twilio } }))
    };
    let template = |tenant: &str, name: &str| {
        let spec = json!({
            "senderRefs": [{ "name": "first" }], "category": "UTILITY", "fallbackLanguage": "en",
            "localizations": [{ "language": "en", "body": "Hello" }],
        });
        let mut object = object(tenant, "MessageTemplate", name, &spec);
        object["status"] = held_at("AC0123456789abcdef0123456789abcdef");
        object
    };
    let mut left = template("shop", "left");
    left["status"] = held_at("AC89abcdef0123456789abcdef01234567");
    let mut going = template("shop", "going");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-01T00:00:00Z");
    let mut seeks = template("shop", "seeks");
    seeks["spec"]["localizations"][0]["adopt"] = json!(["HX2"]);
    let policy = |tenant: &str, name: &str| {
        object(tenant, "RoutingPolicy", name, &json!({ "default": { "senderRef": { "name": "first" } } }))
    };
    let service = Some("MG0123456789abcdef0123456789abcdef");
    let rotating = |mut sender: Value| {
        sender["spec"]["credentialRotation"] = json!({});
        sender
    };
    vec![
        sender("shop", "first", "+14155238886", service, "first"),
        sender("shop", "renamed", "+14155238886", None, "renamed"),
        sender("shop", "pooled", "+14155238887", service, "pooled"),
        sender("shop", "alone", "+14155238888", None, "alone"),
        rotating(sender("shop", "together", "+14155238889", None, "alone")),
        sender("shop", "one-of-many", "+14155238890", None, "many"),
        sender("shop", "other-of-many", "+14155238891", None, "many"),
        sender("bank", "claims", "+14155238886", None, "first"),
        template("shop", "hello"),
        left,
        going,
        seeks,
        template("bank", "hello"),
        policy("shop", "default"),
        policy("shop", "night"),
        policy("bank", "default"),
        object("bank", "RoutingPolicy", "pooled", &json!({ "default": { "messagingServiceSid": service } })),
    ]
}

fn held_at(account: &str) -> Value {
    let newest = json!({ "name": "n", "handle": "HX1", "state": "Approved" });
    json!({ "locations": [{ "account": account, "language": "en", "newest": newest }] })
}

fn object(tenant: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": { "namespace": tenant, "name": name, "uid": format!("{kind}/{tenant}/{name}"), "generation": 1 },
    })
}

/// The requests of one kind that were not taken yet.
struct Woken<K: Kind>(UnboundedReceiver<ObjectRef<K>>);

impl<K: Kind> Woken<K> {
    fn take(&mut self) -> Vec<String> {
        let of =
            |object: ObjectRef<K>| format!("{}/{}/{}", K::kind(&()), object.namespace.unwrap_or_default(), object.name);
        std::iter::from_fn(|| self.0.try_recv().ok()).map(of).collect()
    }
}

/// Who waits for whom.
fn expected() -> BTreeMap<&'static str, Vec<&'static str>> {
    let of_shop = [
        "MessageTemplate/shop/going",
        "MessageTemplate/shop/left",
        "MessageTemplate/shop/seeks",
        "RoutingPolicy/shop/default",
        "RoutingPolicy/shop/night",
    ];
    let and = |more: &[&'static str]| {
        let mut all = [&of_shop, more].concat();
        all.sort_unstable();
        all
    };
    let with_pool = |more: &[&'static str]| and(&[&["RoutingPolicy/bank/pooled"], more].concat());
    BTreeMap::from([
        (
            "WhatsAppSender/shop/first",
            with_pool(&[
                "MessageTemplate/shop/hello",
                "WhatsAppSender/bank/claims",
                "WhatsAppSender/shop/pooled",
                "WhatsAppSender/shop/renamed",
            ]),
        ),
        ("WhatsAppSender/shop/renamed", and(&["WhatsAppSender/bank/claims", "WhatsAppSender/shop/first"])),
        ("WhatsAppSender/shop/pooled", with_pool(&["WhatsAppSender/shop/first"])),
        ("WhatsAppSender/shop/alone", and(&["WhatsAppSender/shop/together"])),
        ("WhatsAppSender/shop/together", and(&["WhatsAppSender/shop/alone"])),
        ("WhatsAppSender/shop/one-of-many", and(&[])),
        ("WhatsAppSender/shop/other-of-many", and(&[])),
        (
            "WhatsAppSender/bank/claims",
            vec![
                "MessageTemplate/bank/hello",
                "RoutingPolicy/bank/default",
                "RoutingPolicy/bank/pooled",
                "WhatsAppSender/shop/first",
                "WhatsAppSender/shop/renamed",
            ],
        ),
        ("MessageTemplate/shop/hello", vec![]),
        ("MessageTemplate/shop/left", vec![]),
        ("MessageTemplate/shop/going", vec![]),
        ("MessageTemplate/shop/seeks", vec![]),
        ("MessageTemplate/bank/hello", vec![]),
        ("RoutingPolicy/shop/default", vec!["RoutingPolicy/shop/night"]),
        ("RoutingPolicy/shop/night", vec!["RoutingPolicy/shop/default"]),
        ("RoutingPolicy/bank/default", vec!["RoutingPolicy/bank/pooled"]),
        ("RoutingPolicy/bank/pooled", vec!["RoutingPolicy/bank/default"]),
    ])
}

#[tokio::test]
async fn whoever_waits_for_an_object_is_woken_when_it_appears_changes_or_goes() {
    let Drivers { watched, senders, templates, policies, .. } = Drivers::new(dependencies());
    let mut woken = (
        Woken::<WhatsAppSender>(watched.senders.trigger.listen(Scope::Cluster)),
        Woken::<MessageTemplate>(watched.templates.trigger.listen(Scope::Cluster)),
        Woken::<RoutingPolicy>(watched.policies.trigger.listen(Scope::Cluster)),
    );
    let mut take = || {
        let mut all = [woken.0.take(), woken.1.take(), woken.2.take()].concat();
        all.sort();
        all.dedup();
        all
    };
    let mut followers = (
        Follower::new(&senders.0, &watched.senders.stores, senders.1),
        Follower::new(&templates.0, &watched.templates.stores, templates.1),
        Follower::new(&policies.0, &watched.policies.stores, policies.1),
    );
    macro_rules! tell {
        ($event:ident, $object:expr) => {{
            let object: Value = $object;
            match object["kind"].as_str() {
                Some("WhatsAppSender") => drop(followers.0.handle(Event::$event(read(&object))).await),
                Some("MessageTemplate") => drop(followers.1.handle(Event::$event(read(&object))).await),
                _ => drop(followers.2.handle(Event::$event(read(&object))).await),
            }
            take()
        }};
    }
    for object in cluster() {
        tell!(Apply, object);
    }
    for object in cluster() {
        let metadata = &object["metadata"];
        let id = format!("{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]));
        let waiting = &expected()[id.as_str()];
        assert_eq!(tell!(Apply, object.clone()), Vec::<String>::new(), "{id} did not change");
        let mut changed = object.clone();
        changed["metadata"]["generation"] = json!(2);
        assert_eq!(&tell!(Apply, changed.clone()), waiting, "{id} changed");
        if object["kind"] == "WhatsAppSender" {
            let condition = |name: &str, status: &str| {
                json!({
                    "type": name, "status": status, "reason": "Told", "message": "",
                    "lastTransitionTime": "2026-11-01T00:00:00Z",
                })
            };
            let (refused, accepted) = (condition(CREDENTIALS_VALID, "False"), condition(CREDENTIALS_VALID, "True"));
            let (configured, stalled) = (condition(WEBHOOKS_CONFIGURED, "True"), condition(STALLED, "True"));
            for (what, conditions) in [
                ("the credentials of {} were refused", json!([refused])),
                ("the credentials of {} were accepted", json!([accepted])),
                ("the webhooks of {} are in place", json!([accepted, configured])),
                ("{} is stalled", json!([accepted, configured, stalled])),
            ] {
                changed["status"] = json!({ "conditions": conditions, "observedGeneration": 2 });
                assert_eq!(&tell!(Apply, changed.clone()), waiting, "{}", what.replace("{}", &id));
            }
            changed["status"]["handle"] = json!("XE1");
            assert_eq!(&tell!(Apply, changed.clone()), waiting, "{id} is known at the provider");
            changed["status"]["quality"] = json!("HIGH");
            assert_eq!(tell!(Apply, changed.clone()), Vec::<String>::new(), "nobody reads the quality of {id}");
        }
        assert_eq!(&tell!(Delete, changed), waiting, "{id} is gone");
        assert_eq!(&tell!(Apply, object), waiting, "{id} is back");
    }
}

#[tokio::test]
async fn templates_that_have_or_name_one_at_the_provider_wake_each_other_and_it_is_known_which_those_are() {
    let Drivers { watched, templates, .. } = Drivers::new(dependencies());
    let mut woken = Woken::<MessageTemplate>(watched.templates.trigger.listen(Scope::Cluster));
    let mut follower = Follower::new(&templates.0, &watched.templates.stores, templates.1);
    let holding = || -> Vec<String> {
        let keys = watched.holders.of(&TemplateHandle::new("HX1"));
        keys.into_iter().map(|(tenant, name)| format!("{tenant}/{name}")).collect()
    };
    let template = |tenant: &str, name: &str, adopt: &[&str]| {
        let spec = json!({
            "senderRefs": [{ "name": "first" }], "category": "UTILITY", "fallbackLanguage": "en",
            "localizations": [{ "language": "en", "body": "Hello", "adopt": adopt }],
        });
        object(tenant, "MessageTemplate", name, &spec)
    };
    for object in [template("shop", "named", &["HX1"]), template("bank", "other", &["HX2"])] {
        follower.handle(Event::Apply(read(&object))).await;
    }
    assert_eq!((woken.take(), holding()), (vec![], vec!["shop/named".to_owned()]));

    let mut adopted = template("bank", "adopted", &[]);
    follower.handle(Event::Apply(read(&adopted))).await;
    assert_eq!(woken.take(), Vec::<String>::new());
    let newest = json!({ "name": "n", "handle": "HX1", "state": "Approved", "origin": "Adopted" });
    adopted["status"] = json!({ "locations": [{ "account": "AC1", "language": "en", "newest": newest }] });
    follower.handle(Event::Apply(read(&adopted))).await;
    assert_eq!(woken.take(), ["MessageTemplate/shop/named"]);
    assert_eq!(holding(), ["bank/adopted", "shop/named"]);

    follower.handle(Event::Delete(read(&adopted))).await;
    assert_eq!(
        (woken.take(), holding()),
        (vec!["MessageTemplate/shop/named".to_owned()], vec!["shop/named".to_owned()])
    );
}

#[tokio::test]
async fn a_finalizer_that_somebody_removed_is_noticed() {
    let Drivers { watched, senders, .. } = Drivers::new(dependencies());
    let mut follower = Follower::new(&senders.0, &watched.senders.stores, senders.1);
    let mut object = cluster().remove(0);
    object["metadata"]["finalizers"] = json!([crds::annotation::FINALIZER]);
    assert_eq!(follower.handle(Event::Apply(read(&object))).await.len(), 1);
    assert_eq!(follower.handle(Event::Apply(read(&object))).await.len(), 0);
    object["metadata"]["finalizers"] = json!([]);
    assert_eq!(follower.handle(Event::Apply(read(&object))).await.len(), 1);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn read<K: Kind>(object: &Value) -> DeserializeGuard<K> {
    DeserializeGuard(Ok(serde_json::from_value(object.clone()).unwrap()))
}
