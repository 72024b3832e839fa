//! A process that reconciles senders, for tests about crashes: the objects outlive it, as they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::{MembershipStatus, RegistrationStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::rotation::records::Subject;
use crate::testing::api::FakeApi;
use crate::testing::clock::TestClock;
use crate::testing::crash::Fuse;
use crate::testing::{FakeAdmin, dependencies_with};

pub(crate) const TENANT: &str = "shop";

/// The objects as they are written.
pub(super) type Objects = Arc<Mutex<Vec<WhatsAppSender>>>;

/// What exists outside of the process.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) admin: FakeAdmin,
    pub(super) objects: Objects,
    pub(super) clock: Arc<TestClock>,
    pub(super) owners: Arc<Owners>,
    pub(super) secrets: Arc<Secrets>,
}

impl Outside {
    pub(super) fn new(admin: FakeAdmin, objects: Vec<WhatsAppSender>) -> Self {
        let objects = Arc::new(Mutex::new(objects));
        Self { admin, objects, clock: Arc::default(), owners: Arc::default(), secrets: Arc::default() }
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
    pub(super) context: SenderContext,
    pub(super) watched: Writer<WhatsAppSender>,
}

impl Process {
    pub(super) fn new(outside: &Outside) -> Self {
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

    pub(super) fn watch(&mut self, objects: &Objects) {
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
pub(super) fn status_of(
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
