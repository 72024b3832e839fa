//! An account without the number, a person who reads codes and writes them down, and processes that may crash after any
//! write.

use crds::condition::{ONLINE, READY};
use crds::{
    BusinessProfile, CodeSecretRef, Registration, RegistrationStatus, VerificationMethod, WhatsAppSender,
    WhatsAppSenderStatus,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use messaging::secret::Secret;

use crate::reconcile::error::Advice;
use crate::reconcile::kind::Kind as _;
use crate::sender::testing::{Outside, Process, object, status_of};
use crate::sender::validate::tests::sender as quickstart;
use crate::testing::FakeAdmin;

pub(super) const REGISTER: &str = "register_sender";
pub(super) const VERIFY: &str = "verify_sender";

pub(super) struct World {
    pub(super) admin: FakeAdmin,
    outside: Outside,
    process: Process,
    pub(super) number: String,
    /// How the last reconcile of the last object ended, where it failed.
    pub(super) failed: Option<(Advice, &'static str, String)>,
    pub(super) crashes: usize,
    /// The reasons of the Events about it.
    pub(super) told: Vec<&'static str>,
    /// When each of these calls was made.
    pub(super) calls: Vec<(Timestamp, &'static str)>,
    /// Everything that anybody may read of it.
    pub(super) shown: String,
}

/// What the spec says.
pub(super) fn registration() -> Registration {
    Registration {
        profile: BusinessProfile { name: "Shop".into(), ..BusinessProfile::default() },
        waba_id: None,
        verification_method: VerificationMethod::Sms,
        verification_code_secret_ref: Some(CodeSecretRef { name: "code".into(), key: "sms".into() }),
    }
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self::without_registration();
        world.ask(Some(registration()));
        world
    }

    pub(super) fn without_registration() -> Self {
        let admin = FakeAdmin::default();
        let outside = Outside::new(admin.clone(), vec![object("support", 1)]);
        let process = Process::new(&outside);
        let number = quickstart().spec.phone_number;
        let told = Vec::new();
        Self { admin, outside, process, number, failed: None, crashes: 0, told, calls: vec![], shown: String::new() }
    }

    pub(super) fn change(&mut self, change: impl Fn(&mut WhatsAppSender)) {
        self.outside.objects.lock().iter_mut().for_each(change);
        self.process.watch(&self.outside.objects);
    }

    /// Changes the spec.
    pub(super) fn ask(&mut self, asked: Option<Registration>) {
        let asked = asked.map(Box::new);
        self.change(|sender| {
            sender.metadata.generation = sender.metadata.generation.map(|generation| generation + 1);
            sender.spec.provider.twilio.as_mut().unwrap().registration = asked.clone();
        });
    }

    /// Another object names the same number.
    pub(super) fn add(&mut self, name: &str) {
        let mut other = object(name, 2);
        other.spec.provider.twilio.as_mut().unwrap().registration = Some(Box::new(registration()));
        self.outside.objects.lock().push(other);
        self.process.watch(&self.outside.objects);
    }

    pub(super) fn delete(&mut self) {
        self.change(|sender| {
            sender.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        });
    }

    /// WhatsApp sends this code to the number.
    pub(super) fn sends(&self, code: &str) {
        self.admin.set_code(&self.number, code);
    }

    /// A person writes this down.
    pub(super) fn write_down(&self, code: &str) {
        let contents = [("sms".to_owned(), Secret::new(code))].into();
        self.outside.secrets.0.lock().insert("code".to_owned(), contents);
    }

    pub(super) fn restart(&mut self) {
        self.process = self.process.after(&self.outside);
    }

    pub(super) fn another_process(&self) -> Process {
        self.process.after(&self.outside)
    }

    /// The first object, as it is written.
    pub(super) fn object(&self) -> WhatsAppSender {
        self.outside.objects.lock()[0].clone()
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn wait(&self, seconds: i64) {
        *self.outside.clock.0.lock() += SignedDuration::from_secs(seconds);
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.outside.clock.0.lock()
    }

    /// Reconciles every object once. A crash ends the process, and another one begins. Then WhatsApp goes on.
    pub(super) async fn round(&mut self) {
        let all = self.outside.objects.lock().clone();
        for sender in all {
            let fuse = self.admin.fuse.clone();
            let is_leaving = sender.metadata.deletion_timestamp.is_some();
            let made = [REGISTER, VERIFY].map(|operation| (operation, self.admin.calls(operation)));
            let done = fuse.until_crash(async {
                let (ended, mut progress) = self.process.reconcile(&sender).await;
                let status = status_of(&sender, &progress, ended.as_ref().map(drop));
                let is_gone = is_leaving && ended.is_ok();
                let recorded = self.registration_of(&sender.name_any());
                if Some(&status) != sender.status.as_ref() || recorded != status.registration || is_gone {
                    self.write(&sender, status, is_gone);
                    fuse.burn().await;
                }
                let notes = progress.take_notes();
                self.shown.extend(notes.iter().map(|note| note.text.as_str()));
                self.told.extend(notes.iter().map(|note| note.reason));
                self.failed = ended.err().map(|error| (error.advice(), error.reason(), error.message()));
                self.shown.extend(self.failed.iter().map(|(_, _, message)| message.as_str()));
            });
            let is_over = done.await.is_none();
            for (operation, before) in made {
                for _ in before..self.admin.calls(operation) {
                    self.calls.push((self.now(), operation));
                }
            }
            if is_over {
                self.crashes += 1;
                self.restart();
            }
        }
        self.shown += &serde_json::to_string(&*self.outside.objects.lock()).unwrap();
        self.admin.whatsapp_goes_on();
        self.wait(60);
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
        for _ in 0..500 {
            let before = self.admin.fuse.burnt();
            self.round().await;
            quiet = if self.admin.fuse.burnt() == before { quiet + 1 } else { 0 };
            if quiet == 12 {
                return;
            }
        }
        panic!("it never stops writing: {:#?}", self.outside.objects.lock());
    }

    /// Reconciles until the object is gone.
    pub(super) async fn settle_gone(&mut self) {
        while !self.outside.objects.lock().is_empty() {
            self.round().await;
        }
    }

    fn registration_of(&self, name: &str) -> Option<RegistrationStatus> {
        let objects = self.outside.objects.lock();
        objects.iter().find(|sender| sender.name_any() == name)?.status.as_ref()?.registration.clone()
    }

    /// What the status of the first object remembers.
    pub(super) fn registration(&self) -> RegistrationStatus {
        self.object().status.and_then(|status| status.registration).unwrap_or_default()
    }

    pub(super) fn condition(&self, name: &str) -> Option<(String, String, String)> {
        let status = self.object().status?;
        let found = status.conditions.iter().find(|condition| condition.type_ == name)?;
        Some((found.status.clone(), found.reason.clone(), found.message.clone()))
    }

    /// Reason and message of `Online`, while it is not.
    pub(super) fn offline(&self) -> (String, String) {
        let (status, reason, message) = self.condition(ONLINE).expect("it is known whether it is online");
        assert_eq!(status, "False", "{message}");
        (reason, message)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.condition(READY).is_some_and(|(status, ..)| status == "True")
    }

    /// The most calls of this kind in any 72 hours.
    pub(super) fn most_in_72_hours(&self, operation: &str) -> usize {
        let times: Vec<_> = self.calls.iter().filter(|(_, made)| *made == operation).map(|(at, _)| *at).collect();
        let until = |from: Timestamp| from + SignedDuration::from_hours(72);
        times.iter().map(|from| times.iter().filter(|at| *at >= from && **at < until(*from)).count()).max().unwrap_or(0)
    }
}
