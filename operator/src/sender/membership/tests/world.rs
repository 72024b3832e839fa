//! An account with two Messaging Services, senders of it, and a process that may crash after any write.

use std::sync::Arc;

use crds::condition::READY;
use crds::{DeletionPolicy, MembershipStatus, ServiceMembership, WhatsAppSender, WhatsAppSenderStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

use crate::reconcile::error::Advice;
use crate::reconcile::kind::Kind as _;
use crate::sender::testing::{self, Outside, Owners, Process, status_of};
use crate::sender::validate::tests::sender as quickstart;
use crate::testing::FakeAdmin;

pub(super) const HANDLE: &str = "XE1";

/// What the spec says about the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    Without,
    Names(&'static str),
    Manages(&'static str),
}

pub(super) struct World {
    pub(super) admin: FakeAdmin,
    pub(super) owners: Arc<Owners>,
    outside: Outside,
    process: Process,
    /// How the last reconcile of the last object ended, where it failed.
    pub(super) failed: Option<(Advice, &'static str, String)>,
    pub(super) crashes: usize,
}

/// A sender of the account's number.
fn object(name: &str, created: i64, spec: Spec) -> WhatsAppSender {
    let mut sender = testing::object(name, created);
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
        let outside = Outside::new(admin.clone(), vec![object("support", 1, spec)]);
        let process = Process::new(&outside);
        Self { admin, owners: Arc::clone(&outside.owners), outside, process, failed: None, crashes: 0 }
    }

    pub(super) fn change(&mut self, change: impl Fn(&mut WhatsAppSender)) {
        self.outside.objects.lock().iter_mut().for_each(change);
        self.process.watch(&self.outside.objects);
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
        self.outside.objects.lock().push(object(name, 2, spec));
        self.process.watch(&self.outside.objects);
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
        self.process = self.process.after(&self.outside);
    }

    pub(super) fn wait(&self, seconds: i64) {
        *self.outside.clock.0.lock() += SignedDuration::from_secs(seconds);
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.outside.clock.0.lock()
    }

    /// Reconciles every object once, and cleans those up that are being deleted. A crash ends the process, and another one
    /// begins.
    pub(super) async fn round(&mut self) {
        let all = self.outside.objects.lock().clone();
        for sender in all {
            let fuse = self.admin.fuse.clone();
            let is_leaving = sender.metadata.deletion_timestamp.is_some();
            let done = fuse.until_crash(async {
                let (ended, progress) = self.process.reconcile(&sender).await;
                let status = status_of(&sender, &progress, ended.as_ref().map(drop));
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
            self.outside.objects.lock().retain(|other| other.uid() != sender.uid());
            self.process.watched.apply_watcher_event(&Event::Delete(sender.clone()));
            sender.forget(&self.process.context);
            return;
        }
        if let Some(known) = self.outside.objects.lock().iter_mut().find(|known| known.uid() == sender.uid()) {
            known.status = Some(status);
        }
        self.process.watch(&self.outside.objects);
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
        panic!("it never stops writing: {:#?}", self.outside.objects.lock());
    }

    pub(super) fn within(&self) -> Vec<String> {
        self.admin.pools_with(HANDLE)
    }

    pub(super) fn membership(&self, name: &str) -> Option<MembershipStatus> {
        let objects = self.outside.objects.lock();
        objects.iter().find(|sender| sender.name_any() == name)?.status.as_ref()?.membership.clone()
    }

    pub(super) fn objects(&self) -> usize {
        self.outside.objects.lock().len()
    }

    /// Status and message of the condition.
    pub(super) fn condition(&self, name: &str) -> Option<(String, String)> {
        let objects = self.outside.objects.lock();
        let conditions = &objects.first()?.status.as_ref()?.conditions;
        let found = conditions.iter().find(|condition| condition.type_ == name)?;
        Some((found.status.clone(), found.message.clone()))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.condition(READY).is_some_and(|(status, _)| status == "True")
    }
}
