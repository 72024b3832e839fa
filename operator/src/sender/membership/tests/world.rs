//! An account with two Messaging Services, and senders of it.

use std::ops::{Deref, DerefMut};

use crds::{DeletionPolicy, MembershipStatus, ServiceMembership, WhatsAppSender};
use kube::ResourceExt;

use crate::sender::testing::{self, Play};
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

pub(super) struct World(Play);

impl Deref for World {
    type Target = Play;
    fn deref(&self) -> &Play {
        &self.0
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Play {
        &mut self.0
    }
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
        Self(Play::new(admin, vec![object("support", 1, spec)]))
    }

    pub(super) fn ask(&mut self, asked: Spec) {
        self.change(|sender| set(sender, asked));
    }

    pub(super) fn ask_of(&mut self, name: &str, asked: Spec) {
        self.change_one(name, |sender| set(sender, asked));
    }

    /// Another object names the same number.
    pub(super) fn add(&mut self, name: &str, spec: Spec) {
        self.put(object(name, 2, spec));
    }

    /// Reconciles every object once.
    pub(super) async fn round(&mut self) {
        for sender in self.written() {
            self.reconcile(&sender).await;
            self.wait(20);
        }
    }

    /// Reconciles until nothing is written for longer than a lost call may take.
    pub(super) async fn settle(&mut self) {
        self.outside.clone().until_quiet(7, 100, async || self.round().await).await;
    }

    pub(super) fn within(&self) -> Vec<String> {
        self.admin.pools_with(HANDLE)
    }

    pub(super) fn membership(&self, name: &str) -> Option<MembershipStatus> {
        self.written().into_iter().find(|sender| sender.name_any() == name)?.status?.membership
    }

    pub(super) fn objects(&self) -> usize {
        self.written().len()
    }
}
