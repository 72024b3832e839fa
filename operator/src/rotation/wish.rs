//! What the senders that share a Secret ask for. They rotate together, and one of them acts for all.

use std::sync::Arc;
use std::time::Duration;

use crds::WhatsAppSender;
use crds::annotation::{ROTATE_IMMEDIATELY_REQUESTED_AT, ROTATE_REQUESTED_AT};
use crds::duration;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::sender::provider::SpecProvider;

/// The requests for a rotation, by annotation. A new value asks again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    pub soon: Option<String>,
    pub immediately: Option<String>,
}

/// What is to be rotated, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub every: Duration,
    pub min_overlap: Duration,
    pub keys: bool,
    pub token: bool,
    pub asked: Asked,
}

/// The senders that share a Secret.
#[derive(Debug, Clone)]
pub struct Group {
    /// In the order of their age. The first one acts.
    pub senders: Vec<Arc<WhatsAppSender>>,
    /// Senders of the same account that have their credentials from elsewhere.
    pub others: Vec<Arc<WhatsAppSender>>,
}

/// Whether the operator replaces a sender's credentials, or did and has something left to do.
pub fn rotates(sender: &WhatsAppSender) -> bool {
    sender.spec.credential_rotation.is_some() || sender.status.as_ref().is_some_and(|status| status.rotation.is_some())
}

/// Whether two senders have their credentials from one Secret.
pub fn share_a_secret(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    let secret = |sender: &WhatsAppSender| {
        SpecProvider::of(sender).map(|provider| (sender.namespace(), provider.credentials_secret().to_owned()))
    };
    secret(one).is_some() && secret(one) == secret(other)
}

impl Group {
    /// The group of a sender among all, itself included. Senders that are being deleted count last.
    pub fn of(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> Self {
        let account = |sender: &WhatsAppSender| {
            SpecProvider::of(sender).map(|provider| (provider.account().0, provider.account().1.to_owned()))
        };
        let same_account = all.iter().filter(|other| other.uid() != sender.uid() && account(other) == account(sender));
        let itself = Arc::new(sender.clone());
        let (mut senders, others): (Vec<_>, Vec<_>) =
            same_account.cloned().chain([itself]).partition(|other| share_a_secret(other, sender));
        senders.sort_by_key(|sender| {
            let created = sender.metadata.creation_timestamp.as_ref().map(|created| created.0);
            (sender.metadata.deletion_timestamp.is_some(), created, sender.name_any())
        });
        Self { senders, others }
    }

    /// The sender that acts for all.
    pub fn leader(&self) -> Option<&WhatsAppSender> {
        self.senders.first().map(|first| &**first)
    }

    pub fn is_led_by(&self, sender: &WhatsAppSender) -> bool {
        self.leader().is_some_and(|leader| leader.uid() == sender.uid())
    }

    /// The senders that stay.
    pub fn staying(&self) -> impl Iterator<Item = &Arc<WhatsAppSender>> {
        self.senders.iter().filter(|sender| sender.metadata.deletion_timestamp.is_none())
    }

    /// What the group asks for: the shortest interval, the longest overlap, and the newest request. Absent when no
    /// sender of it asks for anything.
    pub fn wish(&self) -> Option<Wish> {
        let asked = |name: &str| {
            let values = self.staying().filter_map(|sender| sender.annotations().get(name));
            // They are times by custom, so the greatest is the newest.
            values.max().cloned()
        };
        let asked = Asked { soon: asked(ROTATE_REQUESTED_AT), immediately: asked(ROTATE_IMMEDIATELY_REQUESTED_AT) };
        let wishes = self.staying().filter_map(|sender| sender.spec.credential_rotation.as_ref());
        wishes
            .filter_map(|wish| {
                let (every, min_overlap) =
                    (duration::parse(&wish.every).ok()?, duration::parse(&wish.min_overlap).ok()?);
                Some(Wish { every, min_overlap, keys: wish.api_key, token: wish.auth_token, asked: asked.clone() })
            })
            .reduce(|one, other| Wish {
                every: one.every.min(other.every),
                min_overlap: one.min_overlap.max(other.min_overlap),
                keys: one.keys || other.keys,
                token: one.token || other.token,
                asked: one.asked,
            })
    }
}
