use crds::MessageTemplate;

use crds::DataPlaneStatus;
use messaging::id::TenantId;
use parking_lot::Mutex;

use super::*;
use crate::controllers::Drivers;
use crate::metrics::KindName;
use crate::reconcile::conditions::Assessment;
use crate::reconcile::machinery::Publication;
use crate::testing::api::FakeApi;
use crate::testing::clock::TestClock;
use crate::testing::dependencies_with;

const HELLO: &str = "/apis/whatsapp-operator.dev/v1alpha1/namespaces/shop/messagetemplates/hello";

fn template() -> MessageTemplate {
    let template = json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "MessageTemplate",
        "metadata": { "namespace": "shop", "name": "hello", "uid": "1", "finalizers": ["others.example/one"] },
        "spec": {
            "senderRefs": [{ "name": "support" }], "category": "UTILITY", "fallbackLanguage": "en",
            "localizations": [{ "language": "en", "body": "Hello" }],
        },
    });
    serde_json::from_value(template).unwrap()
}

#[tokio::test]
async fn an_object_with_something_to_clean_up_gets_our_finalizer_back_beside_those_of_others() {
    let api = Arc::<FakeApi>::default();
    let Drivers { templates: (driver, _), .. } = Drivers::new(dependencies_with(api.client(), Arc::default()));
    (0..3).for_each(|_| driver.machinery.listings.note());
    let template = template();
    drive(Arc::new(template), Arc::new(driver)).await.unwrap();
    let written = api.get(HELLO).unwrap();
    assert_eq!(written["metadata"]["finalizers"], json!(["others.example/one", FINALIZER]));
}

fn status(ready: &str, reason: &str, message: &str, generation: i64) -> Value {
    json!({ "conditions": [{ "type": READY, "status": ready, "reason": reason, "message": message, "observedGeneration": generation }] })
}

fn ready(state: State, reason: &'static str, message: &str) -> Assessments {
    [(READY, Assessment::new(state, reason, message))].into()
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct Refused;
impl Explain for Refused {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        "Refused"
    }
}

#[test]
fn a_providers_bad_five_minutes_do_not_show_on_an_object_that_was_ready() {
    let (well, busy) = (status("True", "Ready", "", 2), status("False", "UnderReview", "", 2));
    let (passing, lasting): (Failure, Failure) = (TookTooLong.into(), Refused.into());
    for (why, failure, seconds, before, expected) in [
        ("it was ready, and the failure is transient", Some(&passing), 0, &well, true),
        ("it lasts for less than five minutes", Some(&passing), 299, &well, true),
        ("it lasts", Some(&passing), 300, &well, false),
        ("it was not ready anyway", Some(&passing), 0, &busy, false),
        ("a person must act", Some(&lasting), 0, &well, false),
        ("nothing failed", None, 0, &well, false),
    ] {
        assert_eq!(tolerated(failure, Duration::from_secs(seconds), before, 2), expected, "{why}");
    }
    assert!(!tolerated(Some(&passing), Duration::ZERO, &well, 3), "this generation was never ready");
}

#[test]
fn each_change_of_ready_has_one_event() {
    let broken = status("False", "Refused", "wrong token", 1);
    let reason =
        |before: &Value, assessed: &Assessments| change_of_ready(before, assessed, true).map(|note| note.reason);
    assert_eq!(reason(&json!({}), &ready(State::False, "Refused", "wrong token")), Some("Refused"));
    assert_eq!(reason(&broken, &ready(State::False, "Refused", "wrong token")), None);
    assert_eq!(reason(&broken, &ready(State::False, "Refused", "account closed")), Some("Refused"));
    assert_eq!(reason(&broken, &ready(State::True, "Ready", "")), Some(event::BECAME_READY));
    assert_eq!(reason(&status("True", "Ready", "", 1), &ready(State::True, "Ready", "")), None);
}

#[test]
fn an_object_is_not_ready_since_its_creation_or_since_it_last_was() {
    let mut object = crate::sender::validate::tests::sender();
    let at = |time: &str| Some(time.parse::<jiff::Timestamp>().unwrap());
    object.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at("2026-11-01T10:00:00Z").unwrap()));
    let with = |status: &str, time: &str| json!({"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": time}]});
    for (before, since) in [
        (json!({}), at("2026-11-01T10:00:00Z")),
        (with("False", "2026-11-02T11:00:00Z"), at("2026-11-02T11:00:00Z")),
        (with("Unknown", "2026-11-02T11:00:00Z"), at("2026-11-02T11:00:00Z")),
        (with("False", "yesterday"), at("2026-11-01T10:00:00Z")),
        (with("True", "2026-11-02T11:00:00Z"), None),
    ] {
        assert_eq!(not_ready_since(&object, &before), since, "{before}");
    }
}

#[test]
fn how_long_a_failure_lasts_is_read_from_the_status_that_shows_it() {
    let failure: Failure = Refused.into();
    let now = "2026-11-02T12:00:00Z".parse().unwrap();
    let shows = |status: &str, reason: &str, generation: i64, time: &str| {
        let ready = json!({"type": "Ready", "status": status, "reason": reason, "observedGeneration": generation, "lastTransitionTime": time});
        let before = json!({ "conditions": [ready] });
        shown_for(&failure, &before, 2, now).as_secs()
    };
    let (same, hour) = (failure.reason(), "2026-11-02T11:00:00Z");
    assert_eq!(shows("False", same, 2, hour), 3600);
    assert_eq!(shows("False", same, 1, hour), 0, "another spec");
    assert_eq!(shows("False", "UnderReview", 2, hour), 0, "something else");
    assert_eq!(shows("True", same, 2, hour), 0);
    assert_eq!(shows("False", same, 2, "2026-11-02T13:00:00Z"), 0, "a clock that was ahead");
    assert_eq!(shows("False", same, 2, "soon"), 0);
}

#[tokio::test]
async fn a_status_is_written_over_a_change_of_something_else_and_never_over_what_another_process_found() {
    // What something else writes between our look and our write, and whether ours is written all the same.
    let found = json!({"observedGeneration": 1, "locations": [{"account": "AC1", "language": "en"}]});
    for (change, is_written) in [
        (json!({"metadata": {"labels": {"team": "shop"}}}), true),
        (json!({"status": {"observedGeneration": 1, "dataPlane": {"ready": 1, "total": 2, "summary": "1/2"}}}), true),
        (json!({"status": found}), false),
        (json!({"metadata": {"uid": "2"}}), false),
    ] {
        let api = Arc::<FakeApi>::default();
        let Drivers { templates: (driver, _), .. } = Drivers::new(dependencies_with(api.client(), Arc::default()));
        let mut seen = serde_json::to_value(template()).unwrap();
        seen["status"] = json!({"observedGeneration": 1});
        seen["metadata"]["resourceVersion"] = json!("10");
        let mut changed = seen.clone();
        let seen: MessageTemplate = serde_json::from_value(seen).unwrap();
        changed["metadata"]["resourceVersion"] = json!("11");
        for (part, fields) in change.as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                changed[part][field] = value.clone();
            }
        }
        api.put(HELLO, changed);
        let before = serde_json::to_value(&seen.status).unwrap();
        let written = write_status(&seen, &driver.machinery, &before, &json!({"approval": "Approved"})).await;
        let is_there = api.get(HELLO).unwrap()["status"]["approval"] == "Approved";
        assert_eq!((written.is_ok(), is_there), (is_written, is_written), "{change}");
        if let Err(error) = written {
            assert!(matches!(error, kube::Error::Api(status) if status.code == 409), "{change}");
        }
    }
}

/// A data plane of two replicas, of which so many run everything.
#[derive(Default)]
struct Replicas(Arc<Mutex<i32>>);

impl Publication for Replicas {
    fn status_of(&self, _: KindName, _: &TenantId, _: &str) -> Option<DataPlaneStatus> {
        Some(DataPlaneStatus::new(*self.0.lock(), 2))
    }
    fn live(&self, _: KindName, _: &TenantId, _: &str) -> Option<Live> {
        match *self.0.lock() {
            2 => Some(Live::Everywhere),
            ready => Some(Live::On { ready: ready.try_into().unwrap(), total: 2 }),
        }
    }
    fn report_again(&self, _: &TenantId) {}
    fn touch(&self, _: &TenantId) {}
}

/// One template, whose reconciles end as a test says.
struct Concluded {
    api: Arc<FakeApi>,
    driver: Driver<MessageTemplate>,
    clock: Arc<TestClock>,
    /// How many replicas run it.
    running: Arc<Mutex<i32>>,
}

impl Concluded {
    fn new() -> Self {
        let (api, clock) = (Arc::<FakeApi>::default(), Arc::<TestClock>::default());
        let Drivers { templates: (mut driver, _), .. } = Drivers::new(dependencies_with(api.client(), Arc::default()));
        let machinery = Arc::get_mut(&mut driver.machinery).unwrap();
        let running = Arc::new(Mutex::new(2));
        machinery.publication = Arc::new(Replicas(Arc::clone(&running)));
        machinery.clock = Arc::clone(&clock) as _;
        let mut created = serde_json::to_value(template()).unwrap();
        created["metadata"]["creationTimestamp"] = json!("2026-11-01T10:00:00Z");
        created["metadata"]["generation"] = json!(1);
        api.put(HELLO, created);
        Self { api, driver, clock, running }
    }

    fn object(&self) -> MessageTemplate {
        serde_json::from_value(self.api.get(HELLO).unwrap()).unwrap()
    }

    /// A reconcile at this time that finds this, and does at the provider what these Events tell.
    async fn reconcile(&self, time: &str, is_ready: bool, did: &[&'static str]) {
        *self.clock.0.lock() = time.parse().unwrap();
        let object = self.object();
        let mut progress = Progress::new(object.status.clone().unwrap_or_default(), false);
        did.iter().for_each(|&reason| progress.changed(reason, "done"));
        if is_ready {
            progress.ready("");
        } else {
            progress.not_ready(reason::UNDER_REVIEW, "under review");
        }
        let machinery = &self.driver.machinery;
        let uid = object.uid().unwrap();
        let (ended, _) = conclude(&object, machinery, progress, &Ok(Done::Look(Next::Poll)), &uid).await;
        assert!(ended != Reconciled::Error);
    }

    fn is_counted(&self, line: &str) -> bool {
        let text = self.driver.machinery.metrics.render().unwrap();
        text.lines().any(|counted| counted == format!("whatsapp_operator_{line}"))
    }
}

#[tokio::test]
async fn how_long_an_object_was_not_ready_is_counted_once_each_time_that_it_becomes_ready() {
    let world = Concluded::new();
    let counted = |times: u32, seconds: u32| {
        let kind = r#"{kind="MessageTemplate"}"#;
        let (count, sum) = ("time_to_ready_seconds_count", "time_to_ready_seconds_sum");
        world.is_counted(&format!("{count}{kind} {times}")) && world.is_counted(&format!("{sum}{kind} {seconds}"))
    };
    world.reconcile("2026-11-01T10:00:10Z", false, &[]).await;
    assert!(counted(0, 0), "it is not ready yet");
    world.reconcile("2026-11-01T10:00:40Z", true, &[]).await;
    assert!(counted(1, 30), "since its status said so: {}", world.driver.machinery.metrics.render().unwrap());
    world.reconcile("2026-11-01T10:05:00Z", true, &[]).await;
    assert!(counted(1, 30), "it was ready");
    world.reconcile("2026-11-01T11:00:00Z", false, &[]).await;
    world.reconcile("2026-11-01T11:01:00Z", true, &[]).await;
    assert!(counted(2, 90));
}

#[tokio::test]
async fn a_write_at_the_provider_is_a_repair_only_of_what_was_ready_as_its_spec_is_now() {
    let world = Concluded::new();
    let puts_right = <MessageTemplate as Kind>::PUTS_RIGHT;
    let counted = |repairs: u32| world.is_counted(&format!(r#"repairs_total{{kind="MessageTemplate"}} {repairs}"#));
    world.reconcile("2026-11-01T10:00:10Z", true, puts_right).await;
    assert!(counted(0), "the first time it is made");
    world.reconcile("2026-11-01T10:00:20Z", true, &["Deleted"]).await;
    assert!(counted(0), "what is no longer needed is removed");
    world.reconcile("2026-11-01T10:00:30Z", true, puts_right).await;
    assert!(counted(1), "{}", world.driver.machinery.metrics.render().unwrap());
    let mut changed = world.api.get(HELLO).unwrap();
    changed["metadata"]["generation"] = json!(2);
    world.api.put(HELLO, changed);
    world.reconcile("2026-11-01T10:00:40Z", true, puts_right).await;
    assert!(counted(1), "a person changed the spec");
}

#[tokio::test]
async fn an_object_is_reported_on_again_when_the_data_plane_makes_something_else_of_it_or_a_finding_was_not_reported() {
    let world = Concluded::new();
    let machinery = &world.driver.machinery;
    let again = async || report_again(&world.object(), machinery).await.unwrap();
    let shown = || world.api.get(HELLO).unwrap()["status"]["dataPlane"]["summary"].clone();
    *world.running.lock() = 1;
    world.reconcile("2026-11-01T10:00:10Z", true, &[]).await;
    assert_eq!(shown(), "1/2");

    let mut changed = world.api.get(HELLO).unwrap();
    changed["status"]["dataPlane"]["summary"] = json!("by somebody else");
    world.api.put(HELLO, changed);
    assert!(again().await);
    assert_eq!(shown(), "by somebody else", "nothing has happened to it since it was reported on");
    *world.running.lock() = 2;
    assert!(again().await);
    assert_eq!(shown(), "2/2");

    let assessed = ready(State::False, "Refused", "wrong token");
    machinery.found.set("1", Found { generation: 1, paused: false, failed: true, assessed });
    assert!(again().await);
    let conditions = world.api.get(HELLO).unwrap()["status"]["conditions"].clone();
    assert!(conditions.to_string().contains("wrong token"), "{conditions}");
}
