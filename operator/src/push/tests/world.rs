//! An account, two senders of it that ask for template events, and a data plane that passes hints on when the test lets
//! it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::condition::TEMPLATE_EVENTS_CONFIGURED;
use crds::{WhatsAppSender, WhatsAppSenderStatus};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use messaging::clock::Clock;
use messaging::hints::{About, Hint, Hints};
use messaging::id::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::accounts::{Accounts, Connect};
use crate::controllers::Drivers;
use crate::leader::tenure::{Deadline, Tenure};
use crate::metrics::Metrics;
use crate::push::Push;
use crate::push::board::{Board, EnsureObject};
use crate::reconcile::conditions::merge;
use crate::reconcile::error::{Failure, KubernetesFailure};
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::rotation::records::Subject;
use crate::sender::SenderContext;
use crate::sender::directory::SenderDirectory;
use crate::sender::testing::{Secrets, TENANT, Unpublished};
use crate::sender::validate::tests::sender as quickstart;
use crate::testing::api::FakeApi;
use crate::testing::clock::TestClock;
use crate::testing::crash::Fuse;
use crate::testing::{FakeAdmin, dependencies_with};

/// Whether the object exists; it outlives the process.
struct Object {
    exists: Arc<Mutex<bool>>,
    fuse: Fuse,
}

#[async_trait]
impl EnsureObject for Object {
    async fn ensure(&self) -> Result<(), KubernetesFailure> {
        if !std::mem::replace(&mut *self.exists.lock(), true) {
            self.fuse.burn().await;
        }
        Ok(())
    }
}

struct Process {
    context: Arc<SenderContext>,
    watched: Writer<WhatsAppSender>,
    deadline: Deadline,
}

/// A reconcile of a process that hangs while another one leads.
struct HeldUp {
    sender: WhatsAppSender,
    rest: BoxFuture<'static, Reconciled>,
}

type Reconciled = (Result<Next, Failure>, Progress<WhatsAppSenderStatus>);

pub(super) struct World {
    pub(super) admin: FakeAdmin,
    pub(super) senders: Vec<WhatsAppSender>,
    /// Whether the data plane can be reached by the provider.
    pub(super) is_reachable: bool,
    hints: Hints,
    exists: Arc<Mutex<bool>>,
    clock: Arc<TestClock>,
    public_base_url: String,
    process: Process,
    held_up: Option<HeldUp>,
    /// In how many further rounds the provider's lists do not show its last write.
    lag: usize,
    /// Whether the provider's lists lag when a process takes over from one that hangs.
    pub(super) lists_lag: bool,
    /// Whether one that hung still acts when it goes on, against what its tenure permits.
    pub(super) overstays: bool,
    /// In how many rounds another process leads before one that hung goes on, in the midst of that one's work; `None`:
    /// when all is quiet.
    pub(super) hangs_for: Option<usize>,
    /// Whether the call that a process hangs in has not reached the provider.
    is_on_the_way: bool,
    /// How many processes hung.
    pub(super) hangs: usize,
    pub(super) told: Vec<&'static str>,
    pub(super) crashes: usize,
}

fn process(admin: &FakeAdmin, exists: &Arc<Mutex<bool>>, clock: &Arc<TestClock>, base: &str) -> Process {
    let client = Arc::<FakeApi>::default().client();
    let deadline = Deadline::new(Instant::now() + Duration::from_secs(3600));
    let tenure = Tenure::Elected {
        leases: Box::new(kube::Api::default_namespaced(client.clone())),
        lease: "operator".to_owned(),
        me: "first".to_owned(),
        deadline: deadline.clone(),
    };
    let Drivers { senders: (driver, watched), watched: all, .. } =
        Drivers::new(dependencies_with(client, Arc::new(admin.clone())));
    let mut context = driver.context;
    let connected = admin.clone();
    let connect: Connect = Arc::new(move |_| Arc::new(connected.clone()) as _);
    let mut accounts = Accounts::new(connect, Arc::new(Metrics::new().unwrap())).during(tenure);
    accounts.is_unlimited = true;
    context.accounts = Arc::new(accounts);
    context.directory = Arc::new(SenderDirectory {
        senders: all.senders,
        contributions: Arc::clone(&context.contributions),
        published: Arc::new(Unpublished),
        accounts: Arc::clone(&context.accounts),
    });
    context.secrets = Arc::new(Secrets::default());
    context.clock = Arc::clone(clock) as _;
    context.settings.public_base_url = base.parse().unwrap();
    context.settings.allow_private_sinks = true;
    context.push = Push {
        board: Arc::<Board>::default(),
        object: Arc::new(Object { exists: Arc::clone(exists), fuse: admin.fuse.clone() }),
    };
    *context.rotation.unrecorded.lock() =
        [Subject { tenant: TENANT.parse().unwrap(), secret: "twilio".to_owned() }].into();
    Process { context: Arc::new(context), watched, deadline }
}

impl World {
    pub(super) fn new() -> Self {
        let admin = FakeAdmin::default();
        let senders = ["support", "sales"].iter().enumerate().map(|(n, name)| {
            let mut sender = quickstart();
            sender.metadata.namespace = Some(TENANT.to_owned());
            sender.metadata.name = Some((*name).to_owned());
            sender.metadata.uid = Some(format!("uid-{name}"));
            sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(n.try_into().unwrap()).unwrap()));
            sender.spec.phone_number = format!("+1415523888{n}");
            sender.spec.provider.twilio.as_mut().unwrap().template_events = true;
            admin.add_sender(&sender.spec.phone_number, &format!("XE{n}"));
            sender
        });
        let senders = senders.collect();
        let (exists, clock) = (Arc::<Mutex<bool>>::default(), Arc::<TestClock>::default());
        let public_base_url = "https://wa.example.com/".to_owned();
        let process = process(&admin, &exists, &clock, &public_base_url);
        let mut world = Self {
            admin,
            senders,
            is_reachable: true,
            hints: Hints::default(),
            exists,
            clock,
            public_base_url,
            process,
            held_up: None,
            lag: 0,
            lists_lag: false,
            overstays: false,
            hangs_for: None,
            is_on_the_way: false,
            hangs: 0,
            told: vec![],
            crashes: 0,
        };
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

    /// Another process begins, which knows nothing but what is written down.
    pub(super) fn restart(&mut self) {
        let tenant: TenantId = TENANT.parse().unwrap();
        let published = self.process.context.contributions.of(&tenant).senders;
        self.process = process(&self.admin, &self.exists, &self.clock, &self.public_base_url);
        for (name, config) in published {
            self.process.context.contributions.set_sender(&tenant, &name, config);
        }
        self.process.context.push.board.take(self.hints.clone());
        self.watch();
    }

    /// The platform's team gives the data plane another URL.
    pub(super) fn move_to(&mut self, base: &str) {
        self.public_base_url = base.to_owned();
        self.restart();
    }

    pub(super) fn url(&self, sender: &str) -> String {
        format!("{}webhooks/{TENANT}/{sender}/twilio/events", self.public_base_url)
    }

    pub(super) fn wait(&self, seconds: i64) {
        *self.clock.0.lock() += SignedDuration::from_secs(seconds);
    }

    /// The data plane passes on what reached it.
    fn pass_on(&mut self) {
        if !self.is_reachable || !*self.exists.lock() {
            return;
        }
        for sender in self.senders.clone() {
            for id in self.admin.tests_to(&self.url(&sender.name_any())) {
                let about = About::Test(id);
                if !self.hints.iter().any(|hint| hint.about == about) {
                    self.hints.add(Hint {
                        tenant: TENANT.parse().unwrap(),
                        sender: name_of(&sender).unwrap(),
                        about,
                        at: self.clock.now(),
                    });
                }
            }
        }
        self.process.context.push.board.take(self.hints.clone());
    }

    /// One test event arrives, and its hint is passed on.
    pub(super) fn arrives(&mut self, sender: &str, test: &str) {
        self.hints.add(Hint {
            tenant: TENANT.parse().unwrap(),
            sender: sender.parse().unwrap(),
            about: About::Test(test.to_owned()),
            at: self.clock.now(),
        });
        self.process.context.push.board.take(self.hints.clone());
    }

    /// Reconciles every sender once, and cleans those up that are being deleted. A crash ends the process, and another
    /// one begins. Returns when they want to be looked at again.
    pub(super) async fn round(&mut self) -> Vec<Option<Next>> {
        let mut ends = Vec::new();
        self.admin.let_stream_lists_lag(self.lag > 0);
        self.lag = self.lag.saturating_sub(1);
        for sender in self.senders.clone() {
            let fuse = self.admin.fuse.clone();
            let admin = self.admin.clone();
            let mut reconcile = reconcile(Arc::clone(&self.process.context), sender.clone()).boxed();
            let done = fuse.until_crash(async {
                tokio::select! {
                    biased;
                    done = &mut reconcile => Some(self.finish(&sender, done).await),
                    () = admin.is_held_up() => None,
                }
            });
            match done.await {
                Some(Some(ended)) => ends.push(ended.ok()),
                Some(None) => self.take_over(HeldUp { sender, rest: reconcile }),
                None => {
                    self.crashes += 1;
                    self.restart();
                }
            }
            self.pass_on();
            self.wait(1);
        }
        ends
    }

    /// Writes what a reconcile ended with.
    async fn finish(&mut self, sender: &WhatsAppSender, (ended, progress): Reconciled) -> Result<Next, Failure> {
        let is_gone = sender.metadata.deletion_timestamp.is_some() && ended.is_ok();
        let status = status_of(sender, &progress);
        // The last write is the status, or the finalizer.
        if Some(&status) != sender.status.as_ref() || is_gone {
            let mut after = sender.clone();
            after.status = Some(status);
            self.write(&after, is_gone);
            self.admin.fuse.burn().await;
        }
        self.told.extend(progress.clone().take_notes().into_iter().map(|note| note.reason));
        ended
    }

    /// Lets a process hang: before its `nth`/2 write about streams reaches the provider, or, if `nth` is odd, before
    /// the answer reaches it.
    pub(super) fn hang(&mut self, nth: usize) {
        self.is_on_the_way = nth.is_multiple_of(2);
        self.admin.hold_up_on_the_way(nth);
    }

    /// Another process leads from now on.
    fn take_over(&mut self, held_up: HeldUp) {
        if !self.overstays {
            self.process.deadline.set(Instant::now());
        }
        self.lag = if self.lists_lag { 2 } else { 0 };
        self.held_up = Some(held_up);
        self.hangs += 1;
        self.restart();
    }

    /// The process that hung goes on, and ends.
    async fn go_on(&mut self, HeldUp { sender, rest }: HeldUp) {
        let before = self.arrived();
        self.admin.go_on();
        let done = rest.await;
        let begun = self.arrived() - before - usize::from(self.is_on_the_way);
        assert!(self.overstays || begun == 0, "{begun} writes begin after the tenure");
        // It is written over what this process saw, and over nothing else.
        if self.senders.contains(&sender) {
            drop(self.finish(&sender, done).await);
        }
    }

    /// How many writes about streams the provider had.
    fn arrived(&self) -> usize {
        let writes = ["create_stream", "test_stream", "confirm_stream", "subscribe", "unsubscribe", "delete_stream"];
        writes.iter().map(|operation| self.admin.calls(operation)).sum()
    }

    fn write(&mut self, sender: &WhatsAppSender, is_gone: bool) {
        if is_gone {
            self.senders.retain(|other| other.uid() != sender.uid());
            self.process.watched.apply_watcher_event(&Event::Delete(sender.clone()));
            sender.forget(&self.process.context);
        } else {
            let known = self.senders.iter_mut().find(|other| other.uid() == sender.uid());
            known.unwrap().status.clone_from(&sender.status);
            self.watch();
        }
    }

    /// Reconciles until nothing is written in two rounds, also after a process that hangs goes on.
    pub(super) async fn settle(&mut self) {
        Box::pin(self.be_quiet()).await;
        if let Some(held_up) = self.held_up.take() {
            self.go_on(held_up).await;
            Box::pin(self.be_quiet()).await;
        }
    }

    /// Reconciles until nothing is written in two rounds.
    pub(super) async fn be_quiet(&mut self) {
        let (mut quiet, mut led) = (0, 0);
        for _ in 0..60 {
            let before = self.admin.fuse.burnt();
            if let Some(held_up) = self.held_up.take_if(|_| self.hangs_for == Some(led)) {
                self.go_on(held_up).await;
            }
            self.round().await;
            led += usize::from(self.held_up.is_some());
            quiet = if self.admin.fuse.burnt() == before { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
        panic!("it never stops writing: {:#?}", self.senders.iter().map(|sender| &sender.status).collect::<Vec<_>>());
    }

    pub(super) fn condition(&self, name: &str) -> Option<Condition> {
        let sender = self.senders.iter().find(|sender| sender.name_any() == name)?;
        let conditions = &sender.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == TEMPLATE_EVENTS_CONFIGURED).cloned()
    }

    /// State and reason of the condition.
    pub(super) fn shows(&self, name: &str) -> Option<(String, String)> {
        self.condition(name).map(|condition| (condition.status, condition.reason))
    }

    /// One stream to this sender's URL, with one subscription, and it carries events.
    pub(super) fn is_in_place(&self, sender: &str) {
        let (streams, subscriptions) = (self.admin.all_streams(), self.admin.all_subscriptions());
        assert_eq!((streams.len(), subscriptions.len()), (1, 1), "{streams:?} {subscriptions:?}");
        assert_eq!(streams[0].url, self.url(sender));
        assert_eq!(streams[0].name, format!("whatsapp-operator/uid-{sender}"));
        assert_eq!(streams[0].state, messaging::provider::admin::StreamState::Active);
        assert!(subscriptions[0].0 == streams[0].id && subscriptions[0].1.has_approvals, "{subscriptions:?}");
    }
}

async fn reconcile(context: Arc<SenderContext>, sender: WhatsAppSender) -> Reconciled {
    let id = Id { tenant: tenant_of(&sender).unwrap(), name: name_of(&sender).unwrap() };
    let paused = sender.annotations().contains_key(crds::annotation::PAUSED);
    let mut progress = Progress::new(sender.status.clone().unwrap_or_default(), paused);
    let ended = if sender.metadata.deletion_timestamp.is_some() {
        match sender.needs_cleanup() {
            true => sender.cleanup(&id, &context, &mut progress).await.map(|()| Next::Poll),
            false => Ok(Next::Poll),
        }
    } else {
        sender.reconcile(&id, &context, &mut progress).await
    };
    (ended, progress)
}

/// The status as the driver writes it.
fn status_of(sender: &WhatsAppSender, progress: &Progress<WhatsAppSenderStatus>) -> WhatsAppSenderStatus {
    let mut status = progress.status.clone();
    let before = sender.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let assessed = progress.assess(Ok(()), WhatsAppSender::CONDITIONS);
    status.conditions = merge(WhatsAppSender::CONDITIONS, &before, &assessed, 1, Timestamp::UNIX_EPOCH);
    status
}
