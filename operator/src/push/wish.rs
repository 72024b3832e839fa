//! Which sender acts for an account.

use std::sync::Arc;

use crds::WhatsAppSender;
use kube::ResourceExt;

use crate::sender::provider::SpecProvider;

/// Whether a sender asks for template events.
pub fn asks(sender: &WhatsAppSender) -> bool {
    SpecProvider::of(sender).is_some_and(SpecProvider::template_events)
}

/// Whether two senders are of one account in one namespace.
pub fn share_an_account(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    let account = |sender: &WhatsAppSender| {
        SpecProvider::of(sender).map(|provider| {
            let (provider, account) = provider.account();
            (sender.namespace(), provider, account.to_owned())
        })
    };
    account(one).is_some() && account(one) == account(other)
}

/// The sender that acts for the account of this one: the oldest that asks and stays.
pub fn leader(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> Option<Arc<WhatsAppSender>> {
    let others = all.iter().filter(|other| other.uid() != sender.uid() && share_an_account(other, sender)).cloned();
    let asking = others.chain([Arc::new(sender.clone())]).filter(|other| asks(other));
    let staying = asking.filter(|other| other.metadata.deletion_timestamp.is_none());
    staying.min_by_key(|other| {
        let created = other.metadata.creation_timestamp.as_ref().map(|created| created.0);
        (created, other.name_any())
    })
}
