//! An account without the number, and a person who reads codes and writes them down.

use std::ops::{Deref, DerefMut};

use crds::condition::ONLINE;
use crds::{BusinessProfile, CodeSecretRef, Registration, RegistrationStatus, VerificationMethod, WhatsAppSender};
use jiff::{SignedDuration, Timestamp};
use messaging::secret::Secret;

use crate::sender::testing::{Play, Process, object};
use crate::sender::validate::tests::sender as quickstart;
use crate::testing::FakeAdmin;

pub(super) const REGISTER: &str = "register_sender";
pub(super) const VERIFY: &str = "verify_sender";

pub(super) struct World {
    play: Play,
    pub(super) number: String,
    /// The reasons of the Events about it.
    pub(super) told: Vec<&'static str>,
    /// When each of these calls was made.
    pub(super) calls: Vec<(Timestamp, &'static str)>,
    /// Everything that anybody may read of it.
    pub(super) shown: String,
}

impl Deref for World {
    type Target = Play;
    fn deref(&self) -> &Play {
        &self.play
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Play {
        &mut self.play
    }
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
        let play = Play::new(FakeAdmin::default(), vec![object("support", 1)]);
        let number = quickstart().spec.phone_number;
        Self { play, number, told: vec![], calls: vec![], shown: String::new() }
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
        self.put(other);
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

    pub(super) fn another_process(&self) -> Process {
        self.process.after(&self.outside)
    }

    /// The first object, as it is written.
    pub(super) fn object(&self) -> WhatsAppSender {
        self.written().swap_remove(0)
    }

    /// Reconciles every object once. Then WhatsApp goes on.
    pub(super) async fn round(&mut self) {
        for sender in self.written() {
            let made = [REGISTER, VERIFY].map(|operation| (operation, self.admin.calls(operation)));
            if let Some(notes) = self.reconcile(&sender).await {
                self.shown.extend(notes.iter().map(|note| note.text.as_str()));
                self.told.extend(notes.iter().map(|note| note.reason));
                self.shown.extend(self.play.failed.iter().map(|(_, _, message)| message.as_str()));
            }
            for (operation, before) in made {
                for _ in before..self.admin.calls(operation) {
                    self.calls.push((self.now(), operation));
                }
            }
        }
        self.shown += &serde_json::to_string(&self.written()).unwrap();
        self.admin.whatsapp_goes_on();
        self.wait(60);
    }

    /// Reconciles until nothing is written for longer than a lost call may take.
    pub(super) async fn settle(&mut self) {
        self.outside.clone().until_quiet(12, 500, async || self.round().await).await;
    }

    /// Reconciles until the object is gone.
    pub(super) async fn settle_gone(&mut self) {
        while !self.written().is_empty() {
            self.round().await;
        }
    }

    /// What the status of the first object remembers.
    pub(super) fn registration(&self) -> RegistrationStatus {
        self.object().status.and_then(|status| status.registration).unwrap_or_default()
    }

    /// Reason and message of `Online`, while it is not.
    pub(super) fn offline(&self) -> (String, String) {
        let online = self.condition(ONLINE).expect("it is known whether it is online");
        assert_eq!(online.status, "False", "{}", online.message);
        (online.reason, online.message)
    }

    /// The most calls of this kind in any 72 hours.
    pub(super) fn most_in_72_hours(&self, operation: &str) -> usize {
        let times: Vec<_> = self.calls.iter().filter(|(_, made)| *made == operation).map(|(at, _)| *at).collect();
        let until = |from: Timestamp| from + SignedDuration::from_hours(72);
        times.iter().map(|from| times.iter().filter(|at| *at >= from && **at < until(*from)).count()).max().unwrap_or(0)
    }
}
