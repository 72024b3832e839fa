use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::leader::{Verdict, judge};
use super::*;
use crate::leader::evaluate::{Observed, Record, observe};
use crate::testing::api::FakeApi;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/system/leases/whatsapp-operator";
const TEMPLATE: &str = "/apis/whatsapp-operator.dev/v1alpha1/namespaces/shop/messagetemplates/hello";
const SENDER: &str = "/apis/whatsapp-operator.dev/v1alpha1/namespaces/shop/whatsappsenders/support";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const HANDLE: &str = "HX0123456789abcdef0123456789abcdef";

/// The time of tests. Something may happen whenever it passes.
struct Hands<F> {
    begin: Instant,
    passed: Mutex<Duration>,
    then: F,
}

impl<F: Fn(u64)> Hands<F> {
    fn new(then: F) -> Self {
        Self { begin: Instant::now(), passed: Mutex::default(), then }
    }
    fn seconds(&self) -> u64 {
        self.passed.lock().as_secs()
    }
}

impl<F: Fn(u64)> Pace for Hands<F> {
    fn now(&self) -> Instant {
        self.begin + *self.passed.lock()
    }
    async fn pass(&self, time: Duration) {
        *self.passed.lock() += time;
        (self.then)(self.seconds());
    }
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    release: Release,
}

fn parse(arguments: &[&str]) -> Result<Release, clap::Error> {
    let base = ["operator", "--config-namespace", "system"];
    Cli::try_parse_from(base.iter().chain(arguments)).map(|cli| cli.release)
}

fn lease(holder: &str, second: u32) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "namespace": "system", "name": "whatsapp-operator" },
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1,
            "renewTime": format!("2001-01-01T00:00:{second:02}.000000Z"),
        },
    })
}

fn template() -> Value {
    let revision = |handle| json!({ "name": "hello_1", "handle": handle, "state": "Approved" });
    json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "MessageTemplate",
        "metadata": {
            "namespace": "shop", "name": "hello", "deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "7",
            "finalizers": ["others.example/one", FINALIZER],
        },
        "spec": {
            "senderRefs": [{ "name": "support" }], "category": "UTILITY", "fallbackLanguage": "en",
            "localizations": [{ "language": "en", "body": "Hello" }],
        },
        "status": { "locations": [
            { "account": ACCOUNT, "language": "en", "serving": revision(json!(HANDLE)), "newest": revision(json!(HANDLE)) },
            { "account": ACCOUNT, "language": "de", "newest": revision(Value::Null), "retiring": ["HXold"] },
        ]},
    })
}

fn sender() -> Value {
    json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppSender",
        "metadata": {
            "namespace": "shop", "name": "support", "deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "8",
            "uid": "6", "finalizers": [FINALIZER],
        },
        "spec": {
            "phoneNumber": "+14155238886",
            "provider": { "twilio": { "accountSid": ACCOUNT, "credentialsSecretRef": { "name": "twilio" } } },
        },
        "status": {
            "webhooks": { "inbound": "https://wa.example.com/in?token=hush", "status": "https://wa.example.com/st" },
            "templateEvents": {},
            "rotation": { "phase": "Idle", "summary": "Idle", "key": "SK1" },
            "membership": { "messagingServiceSid": "MG1" },
        },
    })
}

/// An API server with two objects that wait, and the Lease of an operator that was killed.
fn abandoned() -> Arc<FakeApi> {
    let api = Arc::<FakeApi>::default();
    api.put(LEASE, lease("operator-0", 0));
    api.put(TEMPLATE, template());
    api.put(SENDER, sender());
    api
}

fn finalizers(api: &FakeApi, path: &str) -> Value {
    api.get(path).unwrap()["metadata"]["finalizers"].clone()
}

async fn run(api: &Arc<FakeApi>, arguments: &[&str], pace: &impl Pace) -> (Result<(), ReleaseFailed>, String) {
    let options = parse(arguments).unwrap();
    let mut out = Vec::new();
    let ended = release(&api.client(), &options, pace, &mut out).await;
    (ended, String::from_utf8(out).unwrap())
}

#[test]
fn either_one_namespace_or_all_must_be_named() {
    for wrong in [&[][..], &["--namespace", "shop", "--all-namespaces"], &["--namespace", "Shop"]] {
        parse(wrong).unwrap_err();
    }
    for right in [&["--namespace", "shop"][..], &["--all-namespaces"]] {
        assert!(!parse(right).unwrap().execute, "nothing changes unless it is asked for");
    }
}

#[test]
fn a_lease_is_judged_by_what_it_does_while_we_look() {
    let record = |holder: &str, renewed: &str| Record {
        holder: (!holder.is_empty()).then(|| holder.to_owned()),
        renewed: renewed.to_owned(),
        duration: Duration::from_secs(15),
        transitions: 1,
    };
    let begin = Instant::now();
    let second = |n| begin + Duration::from_secs(n);
    let lives = |holder: &str| Verdict::Lives(holder.to_owned());
    let unknown = |n| Verdict::Unknown(Duration::from_secs(n));
    for (why, first, later, now, verdict) in [
        ("it was renewed", record("a", "1"), Some(record("a", "2")), 5, lives("a")),
        ("it was taken over", record("a", "1"), Some(record("b", "2")), 5, lives("b")),
        ("it was taken after it had been given up", record("", "1"), Some(record("b", "1")), 5, lives("b")),
        ("it may still be renewed", record("a", "1"), None, 14, unknown(1)),
        ("it may still be taken", record("", "1"), None, 14, unknown(1)),
        ("it was given up, and may be taken", record("a", "1"), Some(record("", "1")), 15, unknown(5)),
        ("nobody renewed it", record("a", "1"), None, 15, Verdict::Gone),
        ("nobody took it", record("", "1"), None, 15, Verdict::Gone),
    ] {
        let mut observed = observe(None, first.clone(), begin);
        if let Some(later) = later {
            observed = Observed { record: later, unchanged_since: second(5) };
        }
        assert_eq!(judge(&first, &observed, second(now)), verdict, "{why}");
    }
}

#[test]
fn only_an_object_that_is_being_deleted_and_waits_for_us_is_held() {
    let held = |object: Value| held::held::<MessageTemplate>(serde_json::from_value(object).unwrap(), "system");
    let mut lives = template();
    lives["metadata"]["deletionTimestamp"] = Value::Null;
    let mut of_others = template();
    of_others["metadata"]["finalizers"] = json!(["others.example/one"]);
    for object in [lives, of_others] {
        assert_eq!(held(object), None);
    }
    assert_eq!(held(template()).unwrap().others, ["others.example/one"]);
}

#[test]
fn an_object_of_another_version_is_held_too() {
    let mut object = template();
    object["spec"] = json!({ "new": true });
    let held = held::held::<MessageTemplate>(serde_json::from_value(object).unwrap(), "system").unwrap();
    assert!(held.to_string().contains("stays: what it made, which cannot be told"), "{held}");
}

#[test]
fn what_stays_is_told_once_and_without_what_may_be_secret() {
    let template = held::held::<MessageTemplate>(serde_json::from_value(template()).unwrap(), "system").unwrap();
    let expected = [
        format!("the template {HANDLE} in the account {ACCOUNT}, language en"),
        format!("maybe a template named hello_1 in the account {ACCOUNT}, language de: it was being created"),
        format!("the template HXold in the account {ACCOUNT}, language de"),
    ];
    assert_eq!(template.stays, expected);

    let sender = held::held::<WhatsAppSender>(serde_json::from_value(sender()).unwrap(), "system").unwrap().to_string();
    for told in [
        "the inbound webhook https://wa.example.com/in of",
        "the status webhook https://wa.example.com/st of",
        "the Event Streams sink with the description whatsapp-operator/6 and its subscription",
        "in the Messaging Service MG1",
        "the API key SK1",
        "the Secret whatsapp-rotation-shop-",
    ] {
        assert!(sender.contains(told), "{told}: {sender}");
    }
    assert!(!sender.contains("hush"), "{sender}");
}

#[test]
fn a_sender_that_made_nothing_leaves_nothing_and_one_that_may_have_made_keys_leaves_their_list() {
    let held = |sender: Value| held::held::<WhatsAppSender>(serde_json::from_value(sender).unwrap(), "system").unwrap();
    let mut sender = sender();
    sender["status"] = json!({});
    assert!(held(sender.clone()).to_string().ends_with("\n  its status knows of nothing that stays"));
    // It may have crashed before its status said so.
    sender["spec"]["credentialRotation"] = json!({ "every": "90d" });
    let stays = held(sender).stays;
    assert!(stays.len() == 1 && stays[0].starts_with("the Secret whatsapp-rotation-shop-"), "{stays:?}");
}

#[test]
fn a_missing_right_is_named() {
    let status = kube::core::Status::failure("user ava cannot", "Forbidden").with_code(403).boxed();
    let error = failed("patch", "messagetemplates", Some("shop"))(kube::Error::Api(status));
    assert_eq!(error.exit_code(), 5);
    let text = error.to_string();
    assert!(text.starts_with("the right to patch messagetemplates in the namespace shop is missing"), "{text}");
    assert!(text.ends_with("user ava cannot"), "{text}");
}

#[tokio::test]
async fn nothing_is_released_while_an_operator_renews_its_lease_by_whatever_clock() {
    let api = abandoned();
    let renewing = Hands::new(|second| {
        if second == 14 {
            api.put(LEASE, lease("operator-0", 1));
        }
    });
    for arguments in [&["--namespace", "shop", "--execute"][..], &["--namespace", "shop"]] {
        api.put(LEASE, lease("operator-0", 0));
        *renewing.passed.lock() = Duration::ZERO;
        let (ended, out) = run(&api, arguments, &renewing).await;
        let error = ended.unwrap_err();
        assert_eq!((error.exit_code(), out.as_str(), api.writes()), (4, "", 0));
        assert!(
            error.to_string().contains("an operator lives: operator-0 renews the Lease whatsapp-operator"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn no_lease_is_no_proof_unless_somebody_vouches_for_it() {
    let (api, pace) = (abandoned(), Hands::new(|_| {}));
    let mistaken = ["--namespace", "shop", "--execute", "--lease-name", "other"];
    let error = run(&api, &mistaken, &pace).await.0.unwrap_err();
    assert_eq!((error.exit_code(), api.writes()), (4, 0));
    assert!(error.to_string().contains("there is no Lease other in the namespace system"), "{error}");

    api.remove(LEASE);
    run(&api, &["--namespace", "shop", "--execute", "--without-lease"], &pace).await.0.unwrap();
    assert_eq!(finalizers(&api, SENDER), json!([]));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_stay_and_changes_nothing() {
    let (api, pace) = (abandoned(), Hands::new(|_| {}));
    let (ended, out) = run(&api, &["--namespace", "shop"], &pace).await;
    ended.unwrap();
    assert_eq!((api.writes(), pace.seconds()), (0, 15), "the Lease is watched for as long as it lasts");
    for told in
        ["messagetemplates shop/hello\n  stays: the template HX", "whatsappsenders shop/support", "that wait: 2. Not"]
    {
        assert!(out.contains(told), "{told}: {out}");
    }
}

#[tokio::test]
async fn only_our_finalizer_goes() {
    let (api, pace) = (abandoned(), Hands::new(|_| {}));
    let mut living = template();
    living["metadata"]["deletionTimestamp"] = Value::Null;
    let elsewhere = TEMPLATE.replace("shop", "clinic");
    api.put(&TEMPLATE.replace("hello", "living"), living);
    api.put(&elsewhere, template());
    let (ended, out) = run(&api, &["--namespace", "shop", "--execute"], &pace).await;
    ended.unwrap();
    assert_eq!(finalizers(&api, TEMPLATE), json!(["others.example/one"]));
    assert_eq!(finalizers(&api, SENDER), json!([]));
    assert_eq!(finalizers(&api, &TEMPLATE.replace("hello", "living")).as_array().unwrap().len(), 2);
    assert_eq!(finalizers(&api, &elsewhere).as_array().unwrap().len(), 2);
    assert!(out.contains("released; it still waits for other finalizers") && out.contains("\n  released\n"), "{out}");
    assert!(out.contains("remove-configs --config-namespace system"), "{out}");
}

#[tokio::test]
async fn an_object_that_was_changed_at_the_same_time_is_not_released() {
    let (api, pace) = (abandoned(), Hands::new(|_| {}));
    api.write_before(TEMPLATE, template());
    let error = run(&api, &["--namespace", "shop", "--execute"], &pace).await.0.unwrap_err();
    assert!(error.to_string().starts_with("messagetemplates shop/hello was changed"), "{error}");
    assert_eq!(finalizers(&api, TEMPLATE).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_kind_on_every_page_is_released_and_what_is_gone_by_then_or_has_no_kind_is_no_trouble() {
    let (api, pace) = (abandoned(), Hands::new(|_| {}));
    for n in 0..PAGE {
        let (name, mut one) = (format!("a-{n:04}"), template());
        one["metadata"]["name"] = json!(name);
        api.put(&TEMPLATE.replace("hello", &name), one);
    }
    let policy = SENDER.replace("whatsappsenders/support", "routingpolicies/default");
    let mut waits = sender();
    waits["kind"] = json!("RoutingPolicy");
    waits["metadata"]["name"] = json!("default");
    api.put(&policy, waits);
    let (ended, out) = run(&api, &["--namespace", "shop", "--execute"], &pace).await;
    ended.unwrap();
    assert!(out.contains(&format!("objects that waited: {}.", PAGE + 3)), "{out}");
    assert_eq!(finalizers(&api, &policy), json!([]));
    assert_eq!(finalizers(&api, TEMPLATE), json!(["others.example/one"]), "it is on the second page");

    let api = abandoned();
    api.refuse(SENDER, http::StatusCode::NOT_FOUND);
    api.refuse(TEMPLATE.trim_end_matches("/hello"), http::StatusCode::NOT_FOUND);
    let (ended, out) = run(&api, &["--namespace", "shop", "--execute"], &pace).await;
    ended.unwrap();
    assert!(out.contains("\n  is gone already\n") && out.contains("objects that waited: 1."), "{out}");
}

/// Nothing can be written to it.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_not_released() {
    let api = abandoned();
    let options = parse(&["--namespace", "shop", "--execute"]).unwrap();
    let error = release(&api.client(), &options, &Hands::new(|_| {}), &mut Full).await.unwrap_err();
    assert!(matches!(error, ReleaseFailed::Output(_)), "{error}");
    assert_eq!(api.writes(), 0);
}

/// Starts an operator when it hears of the first object.
struct Revived(Arc<FakeApi>);

impl io::Write for Revived {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.put(LEASE, lease("operator-1", 0));
        Ok(text.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_operator_that_is_started_meanwhile_is_left_to_clean_up() {
    let api = abandoned();
    let options = parse(&["--namespace", "shop", "--execute"]).unwrap();
    let ended = release(&api.client(), &options, &Hands::new(|_| {}), &mut Revived(Arc::clone(&api))).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("operator-1 renews"), "{error}");
    assert_eq!(api.writes(), 0);
}
