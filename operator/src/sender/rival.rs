//! Two senders that claim the same number would take the provider's webhooks from each other for ever, so one takes
//! precedence.

use std::sync::Arc;

use crds::WhatsAppSender;
use crds::condition::{CREDENTIALS_VALID, WEBHOOKS_CONFIGURED};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use messaging::id::{PoolId, TenantId};

use super::provider::SpecProvider;
use crate::reconcile::kind::tenant_of;

/// The order of rivals: the sender that already has the webhooks, then the older one, then the first by name.
type Rank = (bool, Option<Timestamp>, String, String);

fn rank(sender: &WhatsAppSender) -> Rank {
    (
        !is_true(sender, WEBHOOKS_CONFIGURED),
        sender.metadata.creation_timestamp.as_ref().map(|created| created.0),
        sender.namespace().unwrap_or_default(),
        sender.name_any(),
    )
}

/// Whether the last reconcile found a condition of a sender to be true.
pub fn is_true(sender: &WhatsAppSender, condition: &str) -> bool {
    let conditions = sender.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == condition && c.status == "True")
}

fn is_same_account(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    SpecProvider::of(one).map(SpecProvider::account) == SpecProvider::of(other).map(SpecProvider::account)
}

fn is_same_number(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    one.spec.phone_number == other.spec.phone_number && is_same_account(one, other)
}

fn is_same_pool(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    let pool = |sender: &WhatsAppSender| SpecProvider::of(sender).and_then(SpecProvider::pool);
    pool(one).is_some() && pool(one) == pool(other) && is_same_account(one, other)
}

/// Whether two senders may claim the same thing at the provider: a number, or the webhooks of a pool.
pub fn compete(one: &WhatsAppSender, other: &WhatsAppSender) -> bool {
    is_same_number(one, other) || is_same_pool(one, other)
}

/// The namespace of the oldest sender elsewhere that names the same pool, if that is older than this sender.
pub fn older_elsewhere(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> Option<TenantId> {
    let age = |sender: &WhatsAppSender| {
        (sender.metadata.creation_timestamp.as_ref().map(|created| created.0), sender.namespace(), sender.name_any())
    };
    all.iter()
        .filter(|other| other.namespace() != sender.namespace() && other.metadata.deletion_timestamp.is_none())
        .filter(|other| is_same_pool(other, sender) && is_true(other, CREDENTIALS_VALID))
        .filter(|other| age(other) < age(sender))
        .min_by_key(|other| age(other))
        .and_then(|other| tenant_of(&**other))
}

/// Whether another sender with this number remains when this one is deleted, and may use it.
pub fn has_successor(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> bool {
    all.iter()
        .filter(|other| other.uid() != sender.uid() && other.metadata.deletion_timestamp.is_none())
        .any(|other| is_same_number(other, sender) && is_true(other, CREDENTIALS_VALID))
}

/// Whether another sender of this number, which may use it, names the pool.
pub fn is_named_by_another(sender: &WhatsAppSender, pool: &PoolId, all: &[Arc<WhatsAppSender>]) -> bool {
    let names = |other: &WhatsAppSender| SpecProvider::of(other).and_then(SpecProvider::pool).as_ref() == Some(pool);
    all.iter()
        .filter(|other| other.uid() != sender.uid() && other.metadata.deletion_timestamp.is_none())
        .any(|other| is_same_number(other, sender) && names(other) && is_true(other, CREDENTIALS_VALID))
}

/// The other sender that takes precedence over this one, if any.
///
/// Only senders with accepted credentials count, so a tenant cannot keep a number from its owner by claiming it.
pub fn first(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> Option<Arc<WhatsAppSender>> {
    all.iter()
        .filter(|other| other.uid() != sender.uid() && other.metadata.deletion_timestamp.is_none())
        .filter(|other| is_same_number(other, sender))
        .filter(|other| is_true(other, CREDENTIALS_VALID))
        .filter(|other| rank(other) < rank(sender))
        .min_by_key(|other| rank(other))
        .cloned()
}

/// The sender whose URLs a pool carries when the pool decides the webhooks of all its senders: the oldest of this
/// tenant's senders whose spec names the pool.
pub fn bearer(sender: &WhatsAppSender, all: &[Arc<WhatsAppSender>]) -> String {
    let age = |sender: &WhatsAppSender| {
        (sender.metadata.creation_timestamp.as_ref().map(|created| created.0), sender.name_any())
    };
    let others = all
        .iter()
        .map(|other| &**other)
        .filter(|other| other.namespace() == sender.namespace() && other.metadata.deletion_timestamp.is_none())
        .filter(|other| is_same_pool(other, sender))
        .filter(|other| is_true(other, CREDENTIALS_VALID));
    others.chain([sender]).min_by_key(|sender| age(sender)).map_or_else(|| sender.name_any(), |first| first.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::sender::validate::tests::sender as quickstart;

    fn sender(name: &str, created: i64, conditions: &[&str]) -> Arc<WhatsAppSender> {
        let mut sender = quickstart();
        let at = Time(Timestamp::from_second(created).unwrap());
        sender.metadata.name = Some(name.to_owned());
        sender.metadata.uid = Some(name.to_owned());
        sender.metadata.creation_timestamp = Some(at.clone());
        let conditions = conditions.iter().map(|name| Condition {
            type_: (*name).to_owned(),
            status: "True".into(),
            reason: "Test".into(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: at.clone(),
        });
        sender.status = Some(crds::WhatsAppSenderStatus { conditions: conditions.collect(), ..Default::default() });
        Arc::new(sender)
    }

    #[test]
    fn the_older_takes_precedence_unless_the_younger_has_the_webhooks() {
        let (old, young) = (sender("a", 1, &[CREDENTIALS_VALID]), sender("b", 2, &[CREDENTIALS_VALID]));
        let all = [Arc::clone(&old), Arc::clone(&young)];
        assert!(first(&old, &all).is_none());
        assert_eq!(first(&young, &all).map(|first| first.name_any()).as_deref(), Some("a"));

        let younger = sender("b", 2, &[CREDENTIALS_VALID, WEBHOOKS_CONFIGURED]);
        let all = [old, Arc::clone(&younger)];
        assert!(first(&younger, &all).is_none());
        assert!(first(&all[0], &all).is_some());
    }

    #[test]
    fn a_number_cannot_be_kept_from_its_owner_by_claiming_it() {
        let (squatter, owner) = (sender("a", 1, &[]), sender("b", 2, &[CREDENTIALS_VALID]));
        assert!(first(&owner, &[squatter, Arc::clone(&owner)]).is_none());
    }

    #[test]
    fn the_older_sender_of_another_namespace_comes_first_for_a_pool() {
        let of = |namespace: &str, created, conditions| {
            let mut sender = (*sender(namespace, created, conditions)).clone();
            sender.metadata.namespace = Some(namespace.into());
            sender.spec.provider.twilio.as_mut().unwrap().messaging_service_sid = Some("MG1".into());
            Arc::new(sender)
        };
        let (bank, shop) = (of("bank", 1, &[CREDENTIALS_VALID]), of("shop", 2, &[CREDENTIALS_VALID]));
        let all = [Arc::clone(&bank), Arc::clone(&shop), of("squatter", 0, &[])];
        assert_eq!(older_elsewhere(&shop, &all), Some("bank".parse().unwrap()));
        assert_eq!(older_elsewhere(&bank, &all), None);
    }

    #[test]
    fn webhooks_are_left_to_another_sender_of_the_number_that_may_use_it() {
        let (old, new) = (sender("a", 1, &[CREDENTIALS_VALID]), sender("b", 2, &[CREDENTIALS_VALID]));
        assert!(has_successor(&old, &[Arc::clone(&old), new]));
        assert!(!has_successor(&old, &[Arc::clone(&old), sender("b", 2, &[])]));
    }

    #[test]
    fn the_senders_of_one_service_agree_on_whose_urls_it_carries() {
        let in_service = |name, created| {
            let mut sender = (*sender(name, created, &[CREDENTIALS_VALID])).clone();
            sender.spec.provider.twilio.as_mut().unwrap().messaging_service_sid = Some("MG1".into());
            Arc::new(sender)
        };
        let all = [in_service("b", 1), in_service("a", 2), sender("alone", 0, &[CREDENTIALS_VALID])];
        assert_eq!(all.each_ref().map(|sender| bearer(sender, &all)), ["b", "b", "alone"]);
    }
}
