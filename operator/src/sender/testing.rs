//! Senders, and the process that reconciles them, for tests about crashes: the objects outlive it, as they are written.
//!
//! A world of such a test stands on [`Play`], and adds what it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::condition::READY;
use crds::{MembershipStatus, RegistrationStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use messaging::config::TenantConfig;
use messaging::id::{PoolId, TenantId};
use parking_lot::Mutex;

use super::SenderContext;
use super::dereference::ReadSecrets;
use super::directory::SenderDirectory;
use super::membership::record::RecordMembership;
use super::owner::{PoolOwners, Record, Recorded};
use super::registration::record::RecordRegistration;
use super::secret::Contents;
use super::validate::tests::{found, sender as quickstart};
use crate::accounts::{Accounts, Connect};
use crate::controllers::Drivers;
use crate::metrics::Metrics;
use crate::publish::published::PublishedConfigs;
use crate::reconcile::conditions::merge;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::reconcile::events::Note;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::rotation::records::Subject;
use crate::testing::api::FakeApi;
use crate::testing::clock::TestClock;
use crate::testing::crash::Fuse;
use crate::testing::{FakeAdmin, dependencies_with};

pub(crate) const TENANT: &str = "shop";

/// The objects as they are written.
type Objects = Arc<Mutex<Vec<WhatsAppSender>>>;

/// What exists outside of the process.
#[derive(Clone)]
pub(super) struct Outside {
    admin: FakeAdmin,
    objects: Objects,
    clock: Arc<TestClock>,
    pub(super) owners: Arc<Owners>,
    pub(super) secrets: Arc<Secrets>,
}

impl Outside {
    fn new(admin: FakeAdmin, objects: Vec<WhatsAppSender>) -> Self {
        let objects = Arc::new(Mutex::new(objects));
        Self { admin, objects, clock: Arc::default(), owners: Arc::default(), secrets: Arc::default() }
    }

    /// Plays rounds until `quiet` of them in a row write nothing. Fails after `most` rounds.
    pub(super) async fn until_quiet(&self, quiet: usize, most: usize, mut round: impl AsyncFnMut()) {
        let mut silent = 0;
        for _ in 0..most {
            let before = self.admin.fuse.burnt();
            round().await;
            silent = if self.admin.fuse.burnt() == before { silent + 1 } else { 0 };
            if silent == quiet {
                return;
            }
        }
        panic!("it never stops writing: {:#?}", self.objects.lock());
    }
}

/// The Secrets of the quickstart, and others.
#[derive(Default)]
pub(crate) struct Secrets(pub(super) Mutex<BTreeMap<String, Contents>>);

#[async_trait]
impl ReadSecrets for Secrets {
    async fn read(&self, _: &str, name: &str) -> Result<Option<Contents>, Failure> {
        let of_quickstart = || match name {
            "twilio" => Some(found().credentials),
            other => found().signing.get(other).cloned(),
        };
        Ok(self.0.lock().get(name).cloned().or_else(of_quickstart))
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

/// Nothing. A process that begins is told what the one before it contributed.
pub(crate) struct Unpublished;

#[async_trait]
impl PublishedConfigs for Unpublished {
    async fn of(&self, _: &TenantId) -> Result<Option<Arc<TenantConfig>>, KubernetesFailure> {
        Ok(None)
    }
}

/// Another process was faster.
#[derive(Debug, thiserror::Error)]
#[error("the status tells of something else by now")]
struct Outdated;

impl Explain for Outdated {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        "Outdated"
    }
}

struct Intents {
    objects: Objects,
    fuse: Fuse,
}

impl Intents {
    async fn write<T: PartialEq>(
        &self,
        sender: &WhatsAppSender,
        field: impl Fn(&mut WhatsAppSenderStatus) -> &mut Option<T>,
        value: Option<T>,
    ) -> Result<(), Failure> {
        let seen = field(&mut sender.status.clone().unwrap_or_default()).take();
        if let Some(known) = self.objects.lock().iter_mut().find(|known| known.uid() == sender.uid()) {
            let known = field(known.status.get_or_insert_default());
            if *known != seen {
                return Err(Outdated.into());
            }
            *known = value;
        }
        self.fuse.burn().await;
        Ok(())
    }
}

#[async_trait]
impl RecordMembership for Intents {
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure> {
        self.write(sender, |status| &mut status.membership, as_read_back(&membership.cloned())).await
    }
}

#[async_trait]
impl RecordRegistration for Intents {
    async fn record(&self, sender: &WhatsAppSender, registration: &RegistrationStatus) -> Result<(), Failure> {
        self.write(sender, |status| &mut status.registration, Some(as_read_back(registration))).await
    }
}

/// As the API server gives it back, with times in whole seconds.
fn as_read_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}

pub(super) struct Process {
    context: SenderContext,
    watched: Writer<WhatsAppSender>,
}

impl Process {
    fn new(outside: &Outside) -> Self {
        let Outside { admin, objects, clock, owners, secrets } = outside;
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
        context.secrets = Arc::clone(secrets) as _;
        context.owners = Arc::clone(owners) as _;
        context.clock = Arc::clone(clock) as _;
        // Every reconcile asks the provider.
        context.settings.poll_interval = std::time::Duration::ZERO;
        context.settings.allow_private_sinks = true;
        let intents = Arc::new(Intents { objects: Arc::clone(objects), fuse: admin.fuse.clone() });
        context.memberships = Arc::clone(&intents) as _;
        context.registrations = intents;
        *context.rotation.unrecorded.lock() =
            [Subject { tenant: TENANT.parse().unwrap(), secret: "twilio".to_owned() }].into();
        let mut process = Self { context, watched };
        process.watch(objects);
        process
    }

    /// The next process, which knows nothing but what is written down.
    pub(super) fn after(&self, outside: &Outside) -> Self {
        let tenant: TenantId = TENANT.parse().unwrap();
        let published = self.context.contributions.of(&tenant).senders;
        let next = Self::new(outside);
        for (name, config) in published {
            next.context.contributions.set_sender(&tenant, &name, config);
        }
        next
    }

    fn watch(&mut self, objects: &Objects) {
        for sender in objects.lock().iter() {
            self.watched.apply_watcher_event(&Event::Apply(sender.clone()));
        }
    }

    /// Reconciles an object, or cleans it up where it is being deleted.
    pub(super) async fn reconcile(
        &self,
        sender: &WhatsAppSender,
    ) -> (Result<Option<Next>, Failure>, Progress<WhatsAppSenderStatus>) {
        let id = Id { tenant: tenant_of(sender).unwrap(), name: name_of(sender).unwrap() };
        let paused = sender.annotations().contains_key(crds::annotation::PAUSED);
        let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), paused);
        let ended = if sender.metadata.deletion_timestamp.is_some() {
            sender.cleanup(&id, &self.context, &mut progress).await.map(|()| None)
        } else {
            Box::pin(sender.reconcile(&id, &self.context, &mut progress)).await.map(Some)
        };
        (ended, progress)
    }
}

/// Some objects, and a process that may crash after any write.
pub(super) struct Play {
    pub(super) admin: FakeAdmin,
    pub(super) outside: Outside,
    pub(super) process: Process,
    /// How the last reconcile of the last object ended, where it failed.
    pub(super) failed: Option<(Advice, &'static str, String)>,
    pub(super) crashes: usize,
}

impl Play {
    pub(super) fn new(admin: FakeAdmin, objects: Vec<WhatsAppSender>) -> Self {
        let outside = Outside::new(admin.clone(), objects);
        let process = Process::new(&outside);
        Self { admin, outside, process, failed: None, crashes: 0 }
    }

    /// The objects, as they are written.
    pub(super) fn written(&self) -> Vec<WhatsAppSender> {
        self.outside.objects.lock().clone()
    }

    /// Changes every object.
    pub(super) fn change(&mut self, change: impl Fn(&mut WhatsAppSender)) {
        self.outside.objects.lock().iter_mut().for_each(change);
        self.process.watch(&self.outside.objects);
    }

    pub(super) fn change_one(&mut self, name: &str, change: impl Fn(&mut WhatsAppSender)) {
        self.change(|sender| {
            if sender.name_any() == name {
                change(sender);
            }
        });
    }

    pub(super) fn put(&mut self, sender: WhatsAppSender) {
        self.outside.objects.lock().push(sender);
        self.process.watch(&self.outside.objects);
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.change_one(name, |sender| sender.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)));
    }

    pub(super) fn wait(&self, seconds: i64) {
        *self.outside.clock.0.lock() += SignedDuration::from_secs(seconds);
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.outside.clock.0.lock()
    }

    /// Another process begins, which knows nothing but what is written down.
    pub(super) fn restart(&mut self) {
        self.process = self.process.after(&self.outside);
    }

    /// Reconciles an object, or cleans it up where it is being deleted, and writes what comes of it.
    ///
    /// Returns its Events, or `None` when the process crashed. Another one begins then.
    pub(super) async fn reconcile(&mut self, sender: &WhatsAppSender) -> Option<Vec<Note>> {
        let fuse = self.admin.fuse.clone();
        let done = fuse.until_crash(async {
            let (ended, mut progress) = self.process.reconcile(sender).await;
            let status = status_of(sender, &progress, ended.as_ref().map(drop));
            let is_gone = sender.metadata.deletion_timestamp.is_some() && ended.is_ok();
            if self.write(sender, status, is_gone) {
                fuse.burn().await;
            }
            self.failed = ended.err().map(|error| (error.advice(), error.reason(), error.message()));
            progress.take_notes()
        });
        let notes = done.await;
        if notes.is_none() {
            self.crashes += 1;
            self.restart();
        }
        notes
    }

    /// Writes the status, or removes an object that is gone. `false` where there is nothing to write.
    fn write(&mut self, sender: &WhatsAppSender, status: WhatsAppSenderStatus, is_gone: bool) -> bool {
        if is_gone {
            self.outside.objects.lock().retain(|other| other.uid() != sender.uid());
            self.process.watched.apply_watcher_event(&Event::Delete(sender.clone()));
            sender.forget(&self.process.context);
            return true;
        }
        let status = Some(status);
        if let Some(known) = self.outside.objects.lock().iter_mut().find(|known| known.uid() == sender.uid()) {
            // An intent may have been recorded since the sender was read.
            if sender.status == status && known.status == status {
                return false;
            }
            known.status = status;
        }
        self.process.watch(&self.outside.objects);
        true
    }

    /// The condition of the first object.
    pub(super) fn condition(&self, name: &str) -> Option<Condition> {
        let status = self.written().into_iter().next()?.status?;
        status.conditions.into_iter().find(|condition| condition.type_ == name)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.condition(READY).is_some_and(|condition| condition.status == "True")
    }
}

/// A sender with the quickstart's number.
pub(super) fn object(name: &str, created: i64) -> WhatsAppSender {
    let mut sender = quickstart();
    sender.metadata.namespace = Some(TENANT.to_owned());
    sender.metadata.name = Some(name.to_owned());
    sender.metadata.uid = Some(format!("uid-{name}"));
    sender.metadata.generation = Some(1);
    sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
    sender
}

/// The status as the driver writes it.
fn status_of(
    sender: &WhatsAppSender,
    progress: &Progress<WhatsAppSenderStatus>,
    ended: Result<(), &Failure>,
) -> WhatsAppSenderStatus {
    let mut status = as_read_back(&progress.status);
    let before = sender.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let assessed = progress.assess(ended, WhatsAppSender::CONDITIONS);
    let generation = sender.metadata.generation.unwrap_or(1);
    status.conditions = merge(WhatsAppSender::CONDITIONS, &before, &assessed, generation, Timestamp::UNIX_EPOCH);
    let requested = sender.annotations().get(crds::annotation::RECONCILE_REQUESTED_AT);
    status.last_handled_reconcile_at = requested.cloned().or(status.last_handled_reconcile_at);
    status
}
