//! An account, a tenant's Secret, the records, and replicas that take configs over when the test lets them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use crds::{CredentialRotation, WhatsAppSender, WhatsAppSenderStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use messaging::clock::Clock;
use messaging::config::{FORMAT, TenantConfig};
use messaging::id::TenantId;
use messaging::secret::Secret;
use parking_lot::Mutex;

use crate::accounts::{Accounts, Connect};
use crate::controllers::Drivers;
use crate::metrics::Metrics;
use crate::publish::published::PublishedConfigs;
use crate::reconcile::drive::is_paused;
use crate::reconcile::error::{Failure, KubernetesFailure};
use crate::reconcile::events::Note;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::Progress;
use crate::rotation::held::Held;
use crate::rotation::proof::Proof;
use crate::rotation::record::Record;
use crate::rotation::records::{Recorded, Records, Subject};
use crate::rotation::secrets::{NotWritten, Values, WriteSecret};
use crate::rotation::{Acknowledgements, Rotation};
use crate::sender::SenderContext;
use crate::sender::dereference::ReadSecrets;
use crate::sender::directory::SenderDirectory;
use crate::sender::secret::Contents;
use crate::sender::validate::tests::{found, sender as quickstart};
use crate::testing::clock::TestClock;
use crate::testing::crash::Fuse;
use crate::testing::{FakeAdmin, dependencies, dependencies_with};

pub(super) const TENANT: &str = "shop";

/// The API server.
pub(super) struct Cluster {
    pub(super) secret: Mutex<Contents>,
    pub(super) may_write: AtomicBool,
    records: Mutex<BTreeMap<Subject, (Record, u64)>>,
    fuse: Fuse,
}

fn conflict() -> KubernetesFailure {
    let status = kube::core::Status { code: 409, ..kube::core::Status::default() };
    KubernetesFailure::new("it was written meanwhile")(kube::Error::Api(Box::new(status)))
}

#[async_trait]
impl ReadSecrets for Cluster {
    async fn read(&self, _: &str, name: &str) -> Result<Option<Contents>, Failure> {
        Ok(Some(found().signing.get(name).cloned().unwrap_or_else(|| self.secret.lock().clone())))
    }
}

#[async_trait]
impl WriteSecret for Cluster {
    async fn may_write(&self, Subject { tenant, secret }: &Subject) -> Result<(), NotWritten> {
        if self.may_write.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (namespace, secret) = (tenant.to_string(), secret.clone());
        Err(NotWritten::Held(Held::NotGranted { namespace, secret, operator: "operator".into() }))
    }

    async fn holds(&self, _: &Subject, key: &str, value: &Secret) -> Result<bool, KubernetesFailure> {
        Ok(self.secret.lock().get(key) == Some(value))
    }

    async fn write(&self, _: &Subject, expected: &Values<'_>, values: &Values<'_>) -> Result<(), NotWritten> {
        {
            let mut secret = self.secret.lock();
            if expected.iter().any(|(key, value)| secret.get(*key) != *value) {
                return Err(NotWritten::Held(Held::SecretReverted));
            }
            for (key, value) in values {
                match value {
                    Some(value) => drop(secret.insert((*key).to_owned(), (*value).clone())),
                    None => drop(secret.remove(*key)),
                }
            }
        }
        self.fuse.burn().await;
        Ok(())
    }
}

#[async_trait]
impl Records for Cluster {
    async fn read(&self, subject: &Subject) -> Result<Recorded, KubernetesFailure> {
        let records = self.records.lock();
        let found = records.get(subject);
        Ok(Recorded {
            record: found.map(|(record, _)| record.clone()),
            version: found.map(|(_, version)| version.to_string()),
        })
    }

    async fn write(
        &self,
        subject: &Subject,
        record: Option<&Record>,
        version: Option<&str>,
    ) -> Result<Option<String>, KubernetesFailure> {
        let written = {
            let mut records = self.records.lock();
            let before = records.get(subject).map(|(_, version)| *version);
            if before.map(|version| version.to_string()).as_deref() != version {
                return Err(conflict());
            }
            let version = before.unwrap_or(0) + 1;
            match record {
                Some(record) => {
                    // What is read back is what was written as text.
                    let record = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
                    records.insert(subject.clone(), (record, version));
                    Some(version.to_string())
                }
                None => {
                    records.remove(subject);
                    None
                }
            }
        };
        self.fuse.burn().await;
        Ok(written)
    }
}

/// The published config, and what each replica runs.
#[derive(Default)]
pub(super) struct Plane(Mutex<Running>);

#[derive(Default)]
struct Running {
    version: u128,
    published: Option<TenantConfig>,
    replicas: BTreeMap<String, (u128, TenantConfig)>,
    silent: Option<String>,
}

impl Acknowledgements for Plane {
    fn everyone_runs(&self, _: &TenantId, is_so: &dyn Fn(&TenantConfig) -> bool) -> Proof {
        let running = self.0.lock();
        if !running.published.as_ref().is_some_and(is_so) {
            return Proof::NotPublished;
        }
        let behind = running.replicas.iter().filter(|(_, (version, _))| *version < running.version);
        let replicas: Vec<_> = behind.map(|(name, _)| name.clone()).collect();
        match &running.silent {
            _ if !replicas.is_empty() => Proof::Waiting { replicas, total: running.replicas.len() },
            Some(silent) => Proof::Doubtful(silent.clone()),
            None => Proof::Everyone,
        }
    }
}

#[async_trait]
impl PublishedConfigs for Plane {
    async fn of(&self, _: &TenantId) -> Result<Option<Arc<TenantConfig>>, KubernetesFailure> {
        Ok(self.0.lock().published.clone().map(Arc::new))
    }
}

/// One process of the operator.
struct Process {
    context: SenderContext,
    watched: Writer<WhatsAppSender>,
}

pub(super) struct World {
    pub(super) admin: FakeAdmin,
    pub(super) cluster: Arc<Cluster>,
    pub(super) plane: Arc<Plane>,
    clock: Arc<TestClock>,
    pub(super) senders: Vec<WhatsAppSender>,
    pub(super) told: Vec<Note>,
    /// Whether the calls of replicas may fail, because somebody broke the credentials.
    pub(super) is_broken: bool,
    process: Process,
}

/// `every`, `minOverlap`, and whether the token is rotated, too.
pub(super) fn rotation(every: &str, min_overlap: &str, auth_token: bool) -> CredentialRotation {
    CredentialRotation { every: every.into(), min_overlap: min_overlap.into(), api_key: true, auth_token }
}

pub(super) fn token() -> Secret {
    found().credentials["authToken"].clone()
}

impl World {
    /// Two senders share a Secret with the account's token, and two replicas run them with it.
    pub(super) async fn new(rotation: Option<CredentialRotation>) -> Self {
        let admin = FakeAdmin::default();
        admin.set_token(token().expose());
        let senders = ["support", "sales"].iter().enumerate().map(|(n, name)| {
            let mut sender = quickstart();
            sender.metadata.namespace = Some(TENANT.to_owned());
            sender.metadata.name = Some((*name).to_owned());
            sender.metadata.uid = Some(format!("uid-{name}"));
            sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(n.try_into().unwrap()).unwrap()));
            sender.spec.phone_number = format!("+1415523888{n}");
            admin.add_sender(&sender.spec.phone_number, &format!("XE{n}"));
            sender
        });
        let senders: Vec<_> = senders.collect();
        let cluster = Arc::new(Cluster {
            secret: Mutex::new(found().credentials),
            may_write: AtomicBool::new(true),
            records: Mutex::default(),
            fuse: admin.fuse.clone(),
        });
        let (plane, clock) = (Arc::<Plane>::default(), Arc::<TestClock>::default());
        let process = process(&admin, &cluster, &plane, &clock);
        let mut world = Self { admin, cluster, plane, clock, senders, told: vec![], is_broken: false, process };
        world.watch();
        world.reconcile().await;
        world.publish();
        for replica in ["data-plane-0", "data-plane-1"] {
            world.take_over(replica);
        }
        for sender in &mut world.senders {
            sender.spec.credential_rotation.clone_from(&rotation);
        }
        world.watch();
        world
    }

    fn watch(&mut self) {
        for sender in &self.senders {
            self.process.watched.apply_watcher_event(&Event::Apply(sender.clone()));
        }
    }

    pub(super) fn change(&mut self, change: impl Fn(&mut WhatsAppSender)) {
        self.senders.iter_mut().for_each(change);
        self.watch();
    }

    pub(super) fn annotate(&mut self, annotation: &str, value: &str) {
        self.change(|sender| drop(sender.annotations_mut().insert(annotation.to_owned(), value.to_owned())));
    }

    /// Another process of the operator begins, which knows nothing.
    pub(super) fn restart(&mut self) {
        self.process = process(&self.admin, &self.cluster, &self.plane, &self.clock);
        self.watch();
    }

    /// Reconciles every sender once.
    pub(super) async fn reconcile(&mut self) {
        for n in 0..self.senders.len() {
            self.reconcile_only(n).await;
        }
    }

    /// Reconciles one sender. A crash ends the process, and another one begins.
    pub(super) async fn reconcile_only(&mut self, n: usize) {
        let sender = self.senders[n].clone();
        let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
        let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), is_paused(&sender));
        let context = &self.process.context;
        let fuse = self.admin.fuse.clone();
        match fuse.until_crash(sender.reconcile(&id, context, &mut progress)).await {
            Some(reconciled) => {
                reconciled.unwrap();
                self.told.extend(progress.take_notes());
                self.senders[n].status = Some(progress.status);
                self.watch();
            }
            None => self.restart(),
        }
        self.everything_works();
    }

    /// Why a sender's reconcile fails.
    pub(super) async fn refused(&mut self, n: usize) -> String {
        let sender = self.senders[n].clone();
        let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
        let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), false);
        let reconciled = sender.reconcile(&id, &self.process.context, &mut progress).await;
        self.everything_works();
        reconciled.unwrap_err().message()
    }

    /// Cleans the senders up that are being deleted. Those that are done are gone; returns whether all are.
    pub(super) async fn clean_up(&mut self) -> bool {
        for sender in self.senders.clone() {
            let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
            let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), false);
            if sender.cleanup(&id, &self.process.context, &mut progress).await.is_ok() {
                self.process.watched.apply_watcher_event(&Event::Delete(sender.clone()));
                self.senders.retain(|other| other.uid() != sender.uid());
                sender.forget(&self.process.context);
            }
            self.everything_works();
        }
        self.senders.is_empty()
    }

    pub(super) fn publish(&self) {
        let contributed = self.process.context.contributions.of(&TENANT.parse().unwrap()).senders;
        let mut running = self.plane.0.lock();
        let mut senders = running.published.as_ref().map(|config| config.senders.clone()).unwrap_or_default();
        senders.extend(contributed);
        senders.retain(|name, _| self.senders.iter().any(|sender| sender.name_any() == name.as_str()));
        if running.published.as_ref().is_some_and(|config| config.senders == senders) {
            return;
        }
        running.version += 1;
        running.published = Some(TenantConfig {
            format: FORMAT,
            tenant: TENANT.parse().unwrap(),
            cell: None,
            public_base_url: "https://wa.example.com".parse().unwrap(),
            senders,
            templates: BTreeMap::new(),
            policies: BTreeMap::new(),
            default_policy: None,
            pools: BTreeMap::new(),
            api_keys: vec![],
        });
    }

    /// A replica begins to run what is published.
    pub(super) fn take_over(&self, replica: &str) {
        let mut running = self.plane.0.lock();
        let config = running.published.clone().unwrap();
        let version = running.version;
        running.replicas.insert(replica.to_owned(), (version, config));
        drop(running);
        self.everything_works();
    }

    /// A replica stops renewing its Lease, and goes on with the config that it has.
    pub(super) fn fall_silent(&self, replica: &str) {
        let mut running = self.plane.0.lock();
        running.replicas.remove(replica);
        running.silent = Some(replica.to_owned());
    }

    pub(super) fn is_gone(&self) {
        self.plane.0.lock().silent = None;
    }

    pub(super) fn wait(&self, seconds: i64) {
        let mut now = self.clock.0.lock();
        *now += SignedDuration::from_secs(seconds);
    }

    /// Whether every replica accepts webhooks of every sender that are signed with this token.
    pub(super) fn verifies(&self, token: &Secret) -> bool {
        let running = self.plane.0.lock();
        let mut senders = running.replicas.values().flat_map(|(_, config)| config.senders.values());
        senders.all(|sender| sender.provider.webhook_keys().contains(token))
    }

    /// Every replica's calls are accepted, and it accepts what the provider signs.
    pub(super) fn everything_works(&self) {
        let running = self.plane.0.lock();
        let primary = self.admin.tokens().primary;
        for (replica, (_, config)) in &running.replicas {
            for (name, sender) in &config.senders {
                let is_accepted = self.admin.accepts(&sender.provider);
                assert!(is_accepted || self.is_broken, "{replica}: a call of {name} is refused");
                assert!(sender.provider.webhook_keys().contains(&primary), "{replica}: a webhook of {name} is refused");
            }
        }
    }

    /// One round of what happens in a cluster: reconciles, a publication, and one replica that takes it over.
    pub(super) async fn round(&mut self, n: usize) {
        self.reconcile().await;
        self.publish();
        let replica = format!("data-plane-{}", n % 2);
        if self.plane.0.lock().replicas.contains_key(&replica) {
            self.take_over(&replica);
        }
        self.wait(60);
    }

    /// Goes on until both senders report this phase.
    pub(super) async fn until(&mut self, phase: &str) {
        for n in 0..400 {
            self.round(n).await;
            if self.senders.iter().all(|sender| self::phase(sender) == phase) {
                return;
            }
        }
        panic!("{phase} is never reached: {:?}", self.senders.iter().map(phase_and_message).collect::<Vec<_>>());
    }

    /// One process is held up in an operation, another one takes over and ends the rotation, and the first one goes on.
    pub(super) async fn overtake(&mut self, operation: &'static str) {
        self.admin.hold_up(operation);
        let first = std::mem::replace(&mut self.process, process(&self.admin, &self.cluster, &self.plane, &self.clock));
        self.watch();
        let sender = self.senders[0].clone();
        let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
        let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), false);
        let held_up = sender.reconcile(&id, &first.context, &mut progress);
        let mut held_up = std::pin::pin!(held_up);
        let admin = self.admin.clone();
        tokio::select! {
            done = &mut held_up => panic!("it is not held up: {:?}", done.is_ok()),
            () = admin.is_held_up() => {}
        }
        self.until("Overlap").await;
        self.admin.go_on();
        held_up.await.unwrap();
        self.everything_works();
    }

    /// A replica comes up with an earlier config, that calls with this key.
    pub(super) fn is_behind(&self, replica: &str, key: &str) {
        let mut running = self.plane.0.lock();
        let mut config = running.published.clone().unwrap();
        let secret = self.admin.secret_of(key);
        for sender in config.senders.values_mut() {
            sender.provider = sender.provider.called_with(key, &secret);
        }
        running.replicas.insert(replica.to_owned(), (1, config));
    }

    pub(super) fn add_sender_with_another_secret(&mut self) {
        let mut other = self.senders[0].clone();
        other.metadata.namespace = Some("bank".to_owned());
        other.metadata.uid = Some("uid-bank".to_owned());
        other.spec.credential_rotation = None;
        other.spec.phone_number = "+14155230009".to_owned();
        self.process.watched.apply_watcher_event(&Event::Apply(other));
    }

    pub(super) fn delete_all(&mut self) {
        let now = Time(self.clock.now());
        self.change(|sender| sender.metadata.deletion_timestamp = Some(now.clone()));
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.cluster.records.lock().values().next().map(|(record, _)| record.clone())
    }

    /// What the provider and the cluster hold after a rotation: one key, and one token.
    pub(super) fn is_settled(&self) {
        let record = self.record().unwrap();
        let key = record.key.clone().expect("a key is in use");
        assert_eq!(self.admin.key_ids(), [key.id], "nothing leaks");
        assert_eq!(record.next, None);
        assert!(record.old.is_empty() && record.lost.is_empty() && record.token.is_none(), "{record:?}");
        assert_eq!(self.admin.tokens().secondary, None);
        let secret = self.cluster.secret.lock();
        assert_eq!(secret.get("authToken"), Some(&self.admin.tokens().primary));
        assert_eq!(secret.get("secondaryAuthToken"), None);
    }
}

pub(super) fn phase(sender: &WhatsAppSender) -> String {
    let status = sender.status.as_ref().and_then(|status| status.rotation.as_ref());
    status.map(|rotation| rotation.phase.clone()).unwrap_or_default()
}

pub(super) fn summary(sender: &WhatsAppSender) -> String {
    let status: Option<&WhatsAppSenderStatus> = sender.status.as_ref();
    status.and_then(|status| status.rotation.as_ref()).map(|rotation| rotation.summary.clone()).unwrap_or_default()
}

fn phase_and_message(sender: &WhatsAppSender) -> (String, String) {
    (sender.name_any(), summary(sender))
}

fn process(admin: &FakeAdmin, cluster: &Arc<Cluster>, plane: &Arc<Plane>, clock: &Arc<TestClock>) -> Process {
    let client = dependencies().client;
    let Drivers { senders: (driver, watched), watched: all, .. } =
        Drivers::new(dependencies_with(client, Arc::new(admin.clone())));
    let mut context = driver.context;
    let connected = admin.clone();
    let connect: Connect = Arc::new(move |access| Arc::new(connected.signed_in_as(access)) as _);
    let mut accounts = Accounts::new(connect, Arc::new(Metrics::new().unwrap()));
    accounts.is_unlimited = true;
    context.accounts = Arc::new(accounts);
    context.secrets = Arc::clone(cluster) as _;
    context.clock = Arc::clone(clock) as _;
    context.settings.allow_private_sinks = true;
    context.rotation = Rotation {
        records: Arc::clone(cluster) as _,
        secret: Arc::clone(cluster) as _,
        accounts: Arc::clone(&context.accounts),
        acknowledgements: Arc::clone(plane) as _,
        unrecorded: Mutex::default(),
    };
    context.directory = Arc::new(SenderDirectory {
        senders: all.senders,
        contributions: Arc::clone(&context.contributions),
        published: Arc::clone(plane) as _,
        accounts: Arc::clone(&context.accounts),
    });
    Process { context, watched }
}
