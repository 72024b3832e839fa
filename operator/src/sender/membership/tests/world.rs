//! An account with two Messaging Services, senders of it, and a process that may crash after any write.

use std::sync::Arc;

use async_trait::async_trait;
use crds::condition::READY;
use crds::{DeletionPolicy, MembershipStatus, ServiceMembership, WhatsAppSender, WhatsAppSenderStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use messaging::config::TenantConfig;
use messaging::id::{PoolId, TenantId};
use parking_lot::Mutex;

use crate::accounts::{Accounts, Connect};
use crate::controllers::Drivers;
use crate::metrics::Metrics;
use crate::publish::published::PublishedConfigs;
use crate::reconcile::conditions::merge;
use crate::reconcile::error::{Advice, Failure, KubernetesFailure};
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::Progress;
use crate::rotation::records::Subject;
use crate::sender::SenderContext;
use crate::sender::dereference::{Found, ReadSecrets};
use crate::sender::directory::SenderDirectory;
use crate::sender::membership::record::RecordMembership;
use crate::sender::owner::{PoolOwners, Record, Recorded};
use crate::sender::secret::Contents;
use crate::sender::validate::tests::{found, sender as quickstart};
use crate::testing::api::FakeApi;
use crate::testing::clock::TestClock;
use crate::testing::crash::Fuse;
use crate::testing::{FakeAdmin, dependencies_with};

pub(super) const TENANT: &str = "shop";
pub(super) const HANDLE: &str = "XE1";

/// What the spec says about the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    Without,
    Names(&'static str),
    Manages(&'static str),
}

struct Secrets(Found);

#[async_trait]
impl ReadSecrets for Secrets {
    async fn read(&self, _: &str, name: &str) -> Result<Option<Contents>, Failure> {
        Ok(Some(self.0.signing.get(name).unwrap_or(&self.0.credentials).clone()))
    }
}

/// The owner of every pool.
#[derive(Default)]
pub(super) struct Owners(pub(super) Mutex<Option<Record>>);

#[async_trait]
impl PoolOwners for Owners {
    async fn read(&self, _: &PoolId) -> Result<Recorded, KubernetesFailure> {
        Ok(Recorded { record: self.0.lock().clone(), version: None })
    }
    async fn write(&self, _: &PoolId, record: Record, _: Option<String>) -> Result<(), KubernetesFailure> {
        *self.0.lock() = Some(record);
        Ok(())
    }
}

/// What is published is what was contributed; see [`World::restart`].
struct Unpublished;

#[async_trait]
impl PublishedConfigs for Unpublished {
    async fn of(&self, _: &TenantId) -> Result<Option<Arc<TenantConfig>>, KubernetesFailure> {
        Ok(None)
    }
}

/// The objects as they are written, which outlive the process.
type Objects = Arc<Mutex<Vec<WhatsAppSender>>>;

struct Memberships {
    objects: Objects,
    fuse: Fuse,
}

#[async_trait]
impl RecordMembership for Memberships {
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure> {
        if let Some(known) = self.objects.lock().iter_mut().find(|known| known.uid() == sender.uid()) {
            known.status.get_or_insert_default().membership = membership.cloned();
        }
        self.fuse.burn().await;
        Ok(())
    }
}

struct Process {
    context: SenderContext,
    watched: Writer<WhatsAppSender>,
}

pub(super) struct World {
    pub(super) admin: FakeAdmin,
    pub(super) owners: Arc<Owners>,
    objects: Objects,
    clock: Arc<TestClock>,
    process: Process,
    /// How the last reconcile of the last object ended, where it failed.
    pub(super) failed: Option<(Advice, &'static str, String)>,
    pub(super) crashes: usize,
}

fn process(admin: &FakeAdmin, objects: &Objects, clock: &Arc<TestClock>, owners: &Arc<Owners>) -> Process {
    let client = Arc::<FakeApi>::default().client();
    let Drivers { senders: (driver, watched), watched: all, .. } =
        Drivers::new(dependencies_with(client, Arc::new(admin.clone())));
    let mut context = driver.context;
    let connected = admin.clone();
    let connect: Connect = Arc::new(move |_| Arc::new(connected.clone()) as _);
    let mut accounts = Accounts::new(connect, Arc::new(Metrics::new().unwrap()));
    accounts.is_unlimited = true;
    context.accounts = Arc::new(accounts);
    context.directory = Arc::new(SenderDirectory {
        senders: all.senders,
        contributions: Arc::clone(&context.contributions),
        published: Arc::new(Unpublished),
        accounts: Arc::clone(&context.accounts),
    });
    context.secrets = Arc::new(Secrets(found()));
    context.owners = Arc::clone(owners) as _;
    context.clock = Arc::clone(clock) as _;
    // Every reconcile asks the provider.
    context.settings.poll_interval = std::time::Duration::ZERO;
    context.settings.allow_private_sinks = true;
    context.memberships = Arc::new(Memberships { objects: Arc::clone(objects), fuse: admin.fuse.clone() });
    *context.rotation.unrecorded.lock() =
        [Subject { tenant: TENANT.parse().unwrap(), secret: "twilio".to_owned() }].into();
    Process { context, watched }
}

/// A sender of the account's number.
fn object(name: &str, created: i64, spec: Spec) -> WhatsAppSender {
    let mut sender = quickstart();
    sender.metadata.namespace = Some(TENANT.to_owned());
    sender.metadata.name = Some(name.to_owned());
    sender.metadata.uid = Some(format!("uid-{name}"));
    sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
    sender.spec.deletion_policy = DeletionPolicy::Delete;
    set(&mut sender, spec);
    sender
}

fn set(sender: &mut WhatsAppSender, spec: Spec) {
    let twilio = sender.spec.provider.twilio.as_mut().unwrap();
    (twilio.messaging_service_sid, twilio.messaging_service_membership) = match spec {
        Spec::Without => (None, None),
        Spec::Names(pool) => (Some(pool.to_owned()), None),
        Spec::Manages(pool) => (Some(pool.to_owned()), Some(ServiceMembership::Managed)),
    };
}

impl World {
    /// Somebody put the sender into `within`.
    pub(super) fn new(within: Option<&str>, spec: Spec) -> Self {
        let admin = FakeAdmin::default();
        admin.add_sender(&quickstart().spec.phone_number, HANDLE);
        for pool in ["MG1", "MG2"] {
            admin.add_pool(pool, if within == Some(pool) { &[HANDLE] } else { &[] });
        }
        let objects = Arc::new(Mutex::new(vec![object("support", 1, spec)]));
        let (clock, owners) = (Arc::<TestClock>::default(), Arc::<Owners>::default());
        let process = process(&admin, &objects, &clock, &owners);
        let mut world = Self { admin, owners, objects, clock, process, failed: None, crashes: 0 };
        world.watch();
        world
    }

    fn watch(&mut self) {
        for sender in self.objects.lock().iter() {
            self.process.watched.apply_watcher_event(&Event::Apply(sender.clone()));
        }
    }

    pub(super) fn change(&mut self, change: impl Fn(&mut WhatsAppSender)) {
        self.objects.lock().iter_mut().for_each(change);
        self.watch();
    }

    pub(super) fn ask(&mut self, asked: Spec) {
        self.change(|sender| set(sender, asked));
    }

    pub(super) fn ask_of(&mut self, name: &str, asked: Spec) {
        self.change(|sender| {
            if sender.name_any() == name {
                set(sender, asked);
            }
        });
    }

    /// Another object names the same number.
    pub(super) fn add(&mut self, name: &str, spec: Spec) {
        self.objects.lock().push(object(name, 2, spec));
        self.watch();
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.change(|sender| {
            if sender.name_any() == name {
                sender.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            }
        });
    }

    /// Another process begins, which knows nothing but what is written down.
    pub(super) fn restart(&mut self) {
        let tenant: TenantId = TENANT.parse().unwrap();
        let published = self.process.context.contributions.of(&tenant).senders;
        self.process = process(&self.admin, &self.objects, &self.clock, &self.owners);
        for (name, config) in published {
            self.process.context.contributions.set_sender(&tenant, &name, config);
        }
        self.watch();
    }

    pub(super) fn wait(&self, seconds: i64) {
        *self.clock.0.lock() += SignedDuration::from_secs(seconds);
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.clock.0.lock()
    }

    /// Reconciles every object once, and cleans those up that are being deleted. A crash ends the process, and another one
    /// begins.
    pub(super) async fn round(&mut self) {
        let all = self.objects.lock().clone();
        for sender in all {
            let fuse = self.admin.fuse.clone();
            let is_leaving = sender.metadata.deletion_timestamp.is_some();
            let done = fuse.until_crash(async {
                let (ended, progress) = self.reconcile(&sender).await;
                let status = status_of(&sender, &progress, &ended);
                let is_gone = is_leaving && ended.is_ok();
                let known = self.membership(&sender.name_any());
                if Some(&status) != sender.status.as_ref() || known != status.membership || is_gone {
                    self.write(&sender, status, is_gone);
                    fuse.burn().await;
                }
                self.failed = ended.err().map(|error| (error.advice(), error.reason(), error.message()));
            });
            if done.await.is_none() {
                self.crashes += 1;
                self.restart();
            }
            self.wait(20);
        }
    }

    fn write(&mut self, sender: &WhatsAppSender, status: WhatsAppSenderStatus, is_gone: bool) {
        if is_gone {
            self.objects.lock().retain(|other| other.uid() != sender.uid());
            self.process.watched.apply_watcher_event(&Event::Delete(sender.clone()));
            sender.forget(&self.process.context);
            return;
        }
        if let Some(known) = self.objects.lock().iter_mut().find(|known| known.uid() == sender.uid()) {
            known.status = Some(status);
        }
        self.watch();
    }

    async fn reconcile(&self, sender: &WhatsAppSender) -> (Result<(), Failure>, Progress<WhatsAppSenderStatus>) {
        let id = Id { tenant: tenant_of(sender).unwrap(), name: name_of(sender).unwrap() };
        let paused = sender.annotations().contains_key(crds::annotation::PAUSED);
        let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), paused);
        let context = &self.process.context;
        let ended = if sender.metadata.deletion_timestamp.is_some() {
            sender.cleanup(&id, context, &mut progress).await
        } else {
            sender.reconcile(&id, context, &mut progress).await.map(drop)
        };
        (ended, progress)
    }

    /// Reconciles until nothing is written for longer than a lost call may take.
    pub(super) async fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..100 {
            let before = self.admin.fuse.burnt();
            self.round().await;
            quiet = if self.admin.fuse.burnt() == before { quiet + 1 } else { 0 };
            if quiet == 7 {
                return;
            }
        }
        panic!("it never stops writing: {:#?}", self.objects.lock());
    }

    pub(super) fn within(&self) -> Vec<String> {
        self.admin.pools_with(HANDLE)
    }

    pub(super) fn membership(&self, name: &str) -> Option<MembershipStatus> {
        let objects = self.objects.lock();
        objects.iter().find(|sender| sender.name_any() == name)?.status.as_ref()?.membership.clone()
    }

    pub(super) fn objects(&self) -> usize {
        self.objects.lock().len()
    }

    /// Status and message of the condition.
    pub(super) fn condition(&self, name: &str) -> Option<(String, String)> {
        let objects = self.objects.lock();
        let conditions = &objects.first()?.status.as_ref()?.conditions;
        let found = conditions.iter().find(|condition| condition.type_ == name)?;
        Some((found.status.clone(), found.message.clone()))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.condition(READY).is_some_and(|(status, _)| status == "True")
    }
}

/// The status as the driver writes it.
fn status_of(
    sender: &WhatsAppSender,
    progress: &Progress<WhatsAppSenderStatus>,
    ended: &Result<(), Failure>,
) -> WhatsAppSenderStatus {
    // As it is read back, with times in whole seconds.
    let mut status: WhatsAppSenderStatus =
        serde_json::from_value(serde_json::to_value(&progress.status).unwrap()).unwrap();
    let before = sender.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let assessed = progress.assess(ended.as_ref().map(|&()| ()), WhatsAppSender::CONDITIONS);
    status.conditions = merge(WhatsAppSender::CONDITIONS, &before, &assessed, 1, Timestamp::UNIX_EPOCH);
    status
}
