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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::sender::validate::tests::sender as quickstart;

    fn sender(namespace: &str, name: &str, created: i64, change: impl Fn(&mut WhatsAppSender)) -> Arc<WhatsAppSender> {
        let mut sender = quickstart();
        sender.metadata.namespace = Some(namespace.to_owned());
        sender.metadata.name = Some(name.to_owned());
        sender.metadata.uid = Some(format!("{namespace}/{name}"));
        sender.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
        sender.spec.provider.twilio.as_mut().unwrap().template_events = true;
        change(&mut sender);
        Arc::new(sender)
    }

    #[test]
    fn of_the_senders_of_one_account_in_one_namespace_the_oldest_that_asks_and_stays_acts() {
        let all = [
            sender("shop", "goes", 1, |sender| sender.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH))),
            sender("shop", "asks-not", 2, |sender| {
                sender.spec.provider.twilio.as_mut().unwrap().template_events = false;
            }),
            sender("bank", "of-another-namespace", 3, |_| {}),
            sender("shop", "of-another-account", 4, |sender| {
                sender.spec.provider.twilio.as_mut().unwrap().account_sid =
                    "AC00000000000000000000000000000009".to_owned();
            }),
            sender("shop", "second", 5, |_| {}),
            sender("shop", "a-later-one", 6, |_| {}),
        ];
        let acts = |name: &str| {
            let sender = all.iter().find(|sender| sender.name_any() == name).unwrap();
            leader(sender, &all).map(|leader| leader.name_any())
        };
        for (name, leader) in [
            ("goes", "second"),
            ("asks-not", "second"),
            ("second", "second"),
            ("a-later-one", "second"),
            ("of-another-namespace", "of-another-namespace"),
            ("of-another-account", "of-another-account"),
        ] {
            assert_eq!(acts(name).as_deref(), Some(leader), "{name}");
        }
        assert_eq!(leader(&all[1], &all[1..2]), None);
    }
}
