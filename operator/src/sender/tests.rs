//! Promises about a whole reconcile of a sender, with a provider, Secrets and records in memory.

use crds::condition::{CREDENTIALS_VALID, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;

use super::owner::Record;
use super::testing::{Owners, Secrets, TENANT};
use super::validate::tests::sender as quickstart;
use super::*;
use crate::controllers::Drivers;
use crate::reconcile::error::{Advice, Failure};
use crate::rotation::records::Subject;
use crate::testing::api::FakeApi;
use crate::testing::{FakeAdmin, dependencies_with};

const HANDLE: &str = "XE0123456789abcdef0123456789abcdef";
const POOL: &str = "MG0123456789abcdef0123456789abcdef";

struct World {
    admin: Arc<FakeAdmin>,
    context: SenderContext,
    owners: Arc<Owners>,
    watched: Writer<WhatsAppSender>,
}

/// A sender of the quickstart's account.
fn sender(tenant: &str, name: &str, created: i64) -> WhatsAppSender {
    let mut sender = quickstart();
    sender.metadata.namespace = Some(tenant.to_owned());
    sender.metadata.name = Some(name.to_owned());
    sender.metadata.uid = Some(format!("{tenant}/{name}"));
    sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
    sender
}

fn in_pool(mut sender: WhatsAppSender) -> WhatsAppSender {
    sender.spec.provider.twilio.as_mut().unwrap().messaging_service_sid = Some(POOL.to_owned());
    sender
}

/// A sender whose credentials were accepted.
fn accepted(mut sender: WhatsAppSender) -> WhatsAppSender {
    let accepted = Condition {
        type_: CREDENTIALS_VALID.to_owned(),
        status: "True".to_owned(),
        reason: reason::CREDENTIALS_ACCEPTED.to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    sender.status = Some(WhatsAppSenderStatus { conditions: vec![accepted], ..WhatsAppSenderStatus::default() });
    sender
}

impl World {
    /// The quickstart's number is registered, and its webhooks point nowhere.
    fn new() -> Self {
        let admin = Arc::new(FakeAdmin::default());
        admin.add_sender(&quickstart().spec.phone_number, HANDLE);
        let client = Arc::<FakeApi>::default().client();
        let Drivers { senders: (driver, watched), .. } = Drivers::new(dependencies_with(client, Arc::clone(&admin)));
        let (mut context, owners) = (driver.context, Arc::<Owners>::default());
        context.secrets = Arc::new(Secrets::default());
        context.owners = Arc::clone(&owners) as _;
        let all =
            [TENANT, "bank"].map(|tenant| Subject { tenant: tenant.parse().unwrap(), secret: "twilio".to_owned() });
        *context.rotation.unrecorded.lock() = all.into();
        context.settings.allow_private_sinks = true;
        Self { admin, context, owners, watched }
    }

    async fn reconcile(&self, sender: &WhatsAppSender) -> Result<Next, Failure> {
        let id = Id { tenant: tenant_of(sender).unwrap(), name: name_of(sender).unwrap() };
        let mut progress = Progress::new(WhatsAppSenderStatus::default(), false);
        sender.reconcile(&id, &self.context, &mut progress).await
    }

    /// The reconcile ends with something that a person must do, in these words.
    async fn told(&self, sender: &WhatsAppSender) -> (&'static str, String) {
        let failure = self.reconcile(sender).await.unwrap_err();
        assert_eq!(failure.advice(), Advice::Stalled, "{}", failure.message());
        (failure.reason(), failure.message())
    }

    /// Whether the sender is published as one that sends nothing.
    fn is_stopped(&self, sender: &WhatsAppSender) -> bool {
        let (tenant, name) = (tenant_of(sender).unwrap(), name_of(sender).unwrap());
        self.context.contributions.sender(&tenant, &name).expect("it is published").paused
    }
}

#[tokio::test]
async fn a_sender_in_a_service_that_it_does_not_name_sends_nothing_until_it_does() {
    let (world, unnamed) = (World::new(), sender("shop", "support", 1));
    world.admin.add_pool(POOL, &[HANDLE]);
    let (why, message) = world.told(&unnamed).await;
    assert_eq!(why, reason::WEBHOOKS_DRIFTED);
    assert!(message.contains(&format!("set spec.provider.twilio.messagingServiceSid to {POOL}")), "{message}");
    assert!(world.is_stopped(&unnamed));

    let named = in_pool(unnamed);
    world.reconcile(&named).await.unwrap();
    assert!(!world.is_stopped(&named));
}

#[tokio::test]
async fn a_service_belongs_to_the_namespace_of_the_oldest_sender_that_names_it_and_others_send_nothing() {
    let mut world = World::new();
    world.admin.add_pool(POOL, &[HANDLE]);
    let (banks, shops) = (accepted(in_pool(sender("bank", "support", 1))), in_pool(sender("shop", "support", 2)));
    // Another number, so that only the service is contested.
    let banks = WhatsAppSender {
        spec: crds::WhatsAppSenderSpec { phone_number: "+14155230001".into(), ..banks.spec.clone() },
        ..banks
    };
    world.watched.apply_watcher_event(&Event::Apply(banks));
    let (why, message) = world.told(&shops).await;
    assert!(why == reason::CONFLICT && message.contains("the namespace bank"), "{message}");
    assert!(world.is_stopped(&shops));
    assert_eq!(*world.owners.0.lock(), None);
}

#[tokio::test]
async fn the_record_of_who_owns_a_service_outlives_the_senders_that_named_it() {
    let (world, shops) = (World::new(), in_pool(sender("shop", "support", 1)));
    world.admin.add_pool(POOL, &[HANDLE]);
    let now = world.context.clock.now();
    let banks = Record { owner: "bank".parse().unwrap(), since: now, seen: now };
    *world.owners.0.lock() = Some(banks);
    assert_eq!(world.told(&shops).await.0, reason::CONFLICT);
    // Also for one that sits in it unnamed.
    let unnamed = sender("shop", "support", 1);
    assert_eq!(world.told(&unnamed).await.0, reason::CONFLICT);
    assert!(world.is_stopped(&unnamed));
}

#[tokio::test]
async fn an_auth_token_that_could_verify_no_webhook_is_told_although_the_api_key_is_good() {
    let (world, sender) = (World::new(), sender("shop", "support", 1));
    world.admin.refuse("check_webhook_key");
    let (why, message) = world.told(&sender).await;
    assert!(why == reason::CREDENTIALS_REFUSED && message.contains("authToken"), "{message}");
    let (tenant, name) = (tenant_of(&sender).unwrap(), name_of(&sender).unwrap());
    assert_eq!(world.context.contributions.sender(&tenant, &name), None);
}

#[tokio::test]
async fn credentials_that_are_refused_after_they_were_checked_are_told_as_refused() {
    // A right that is missing is no reason to doubt the credentials.
    for (refused, expected) in [
        (&["list_senders", "check_credentials"][..], reason::CREDENTIALS_REFUSED),
        (&["list_senders"], reason::PROVIDER_REFUSED),
    ] {
        let (world, sender) = (World::new(), sender("shop", "support", 1));
        world.reconcile(&sender).await.unwrap();
        refused.iter().for_each(|operation| world.admin.refuse(operation));
        assert_eq!(world.told(&sender).await.0, expected, "{refused:?}");
    }
}

#[tokio::test]
async fn events_to_an_address_that_the_data_plane_never_calls_are_told_on_the_sender() {
    let (mut world, mut sender) = (World::new(), sender("shop", "support", 1));
    sender.spec.events[0].http.as_mut().unwrap().url = "http://10.0.0.7/events".into();
    world.reconcile(&sender).await.unwrap();
    world.context.settings.allow_private_sinks = false;
    let (why, message) = world.told(&sender).await;
    assert!(why == reason::INVALID_SPEC && message.starts_with("spec.events[0].http.url: 10.0.0.7"), "{message}");
    assert!(!world.is_stopped(&sender));
}

#[tokio::test]
async fn senders_at_rest_share_one_list_of_their_account() {
    let world = World::new();
    let first = sender("shop", "support", 1);
    world.reconcile(&first).await.unwrap();
    world.reconcile(&first).await.unwrap();
    let lists = || (world.admin.calls("list_senders"), world.admin.calls("list_messaging_services"));
    let before = lists();
    for _ in 0..3 {
        world.reconcile(&first).await.unwrap();
    }
    assert_eq!(lists(), before);
    // Who asks for a look gets a new one.
    let mut asked = first;
    asked.annotations_mut().insert(crds::annotation::RECONCILE_REQUESTED_AT.into(), "now".into());
    world.reconcile(&asked).await.unwrap();
    assert_eq!(lists(), (before.0 + 1, before.1 + 1));
}

fn sandbox(tenant: &str, name: &str, created: i64) -> WhatsAppSender {
    let mut sender = sender(tenant, name, created);
    let twilio = sender.spec.provider.twilio.as_mut().unwrap();
    (twilio.sandbox, twilio.sandbox_join_code) = (true, Some("plenty-tiger".to_owned()));
    sender
}

#[tokio::test]
async fn of_the_sandbox_nothing_but_the_credentials_is_asked_and_a_person_is_told_what_to_do() {
    let world = World::new();
    let sender = sandbox(TENANT, "support", 1);
    let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
    let mut progress = Progress::new(WhatsAppSenderStatus::default(), false);
    let next = sender.reconcile(&id, &world.context, &mut progress).await.unwrap();
    assert_eq!(next, Next::Poll);
    for (operation, calls) in
        [("check_credentials", 1), ("list_senders", 0), ("list_messaging_services", 0), ("configure_webhooks", 0)]
    {
        assert_eq!(world.admin.calls(operation), calls, "{operation}");
    }
    let assessed = progress.assess(Ok(()), WhatsAppSender::CONDITIONS);
    let webhooks = &assessed[WEBHOOKS_CONFIGURED];
    assert_eq!((webhooks.state.as_str(), webhooks.reason), ("Unknown", reason::PASTE_WEBHOOKS));
    let told = progress.status.sandbox.unwrap();
    for (told, field) in [(&told.inbound_url, "When a message comes in"), (&told.status_url, "Status callback URL")] {
        let words = format!("{told} under \"{field}\"");
        assert!(
            told.starts_with("https://wa.example.com/webhooks/") && webhooks.message.contains(&words),
            "{webhooks:?}"
        );
    }
    let online = &assessed[crds::condition::ONLINE];
    assert_eq!((online.state.as_str(), online.reason), ("Unknown", reason::SANDBOX), "nobody says that it is offline");
    assert_eq!(assessed[crds::condition::READY].state.as_str(), "True");
    assert!(!world.is_stopped(&sender));
}

#[tokio::test]
async fn who_deletes_the_sandbox_leaves_it_to_a_person_too() {
    let world = World::new();
    let mut sender = sandbox(TENANT, "support", 1);
    sender.spec.deletion_policy = DeletionPolicy::Delete;
    world.reconcile(&sender).await.unwrap();
    let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
    let mut progress = Progress::new(WhatsAppSenderStatus::default(), false);
    sender.cleanup(&id, &world.context, &mut progress).await.unwrap();
    assert_eq!((world.admin.calls("list_senders"), world.admin.calls("configure_webhooks")), (0, 0));
}

#[tokio::test]
async fn of_two_objects_with_the_sandbox_of_one_account_the_older_has_it() {
    let mut world = World::new();
    let (first, second) = (accepted(sandbox("bank", "support", 1)), sandbox(TENANT, "support", 2));
    for sender in [&first, &second] {
        world.watched.apply_watcher_event(&Event::Apply(sender.clone()));
    }
    let (told, text) = world.told(&second).await;
    assert_eq!(told, reason::CONFLICT, "{text}");
    world.reconcile(&first).await.unwrap();
}

#[tokio::test]
async fn a_change_at_the_provider_gets_an_event_with_what_it_was_and_an_alert_leaves_the_sender_ready() {
    let world = World::new();
    let sender = sender(TENANT, "support", 1);
    let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
    let mut status = WhatsAppSenderStatus::default();
    let mut told = Vec::new();
    for quality in ["HIGH", "LOW", "LOW"] {
        world.admin.set_quality(HANDLE, quality);
        let mut progress = Progress::new(status, false);
        sender.reconcile(&id, &world.context, &mut progress).await.unwrap();
        told.extend(progress.take_notes().into_iter().filter(|note| note.reason == events::reason::SENDER_CHANGED));
        let assessed = progress.assess(Ok(()), WhatsAppSender::CONDITIONS);
        assert_eq!(assessed[crds::condition::READY].state.as_str(), "True");
        assert!(assessed.contains_key(PROVIDER_ALERTS));
        status = progress.status;
        world
            .context
            .accounts
            .get(&world.context.contributions.sender(&id.tenant, &id.name).unwrap().provider)
            .forget_senders()
            .await;
    }
    assert_eq!(
        told.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(),
        ["the quality rating changed from HIGH to LOW"]
    );
    assert!(told[0].warning);
}
