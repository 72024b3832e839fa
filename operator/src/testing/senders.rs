//! The senders of the account in memory, and where their messages go.

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::provider::ProviderError;
use messaging::provider::admin::{
    Listed, ListedSender, PoolObservation, SenderAdmin, SenderObservation, Stage, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;

use super::FakeAdmin;

/// A sender whose webhooks point nowhere.
pub(crate) fn online_sender(handle: &str) -> SenderObservation {
    SenderObservation {
        handle: handle.into(),
        online: true,
        status: "ONLINE".into(),
        stage: Stage::Settled,
        quality: None,
        messaging_limit: None,
        offline_reasons: vec![],
        webhooks: WebhookTargets::default(),
    }
}

impl FakeAdmin {
    pub(crate) fn add_sender(&self, number: &str, handle: &str) {
        self.state().senders.insert(number.parse().unwrap(), online_sender(handle));
    }

    /// Somebody else unsets a sender's own webhooks.
    pub(crate) fn break_webhooks(&self, handle: &str) {
        let mut state = self.state();
        let sender = state.senders.values_mut().find(|sender| sender.handle == handle).expect("the sender exists");
        sender.webhooks = WebhookTargets::default();
    }

    pub(crate) fn set_quality(&self, handle: &str, quality: &str) {
        let mut state = self.state();
        let sender = state.senders.values_mut().find(|sender| sender.handle == handle).expect("the sender exists");
        sender.quality = Some(quality.to_owned());
    }

    /// Somebody deletes the sender in the provider's console.
    pub(crate) fn remove_sender(&self, number: &str) {
        self.state().senders.remove(&number.parse().unwrap());
    }

    pub(crate) fn has_sender(&self, number: &str) -> bool {
        self.state().senders.contains_key(&number.parse().unwrap())
    }

    /// From now on, or no longer, reads show the senders as they are now.
    pub(crate) fn hold_back_senders(&self, hold_back: bool) {
        let mut state = self.state();
        state.seen_senders = hold_back.then(|| state.senders.clone());
    }
}

#[async_trait]
impl SenderAdmin for FakeAdmin {
    async fn list_senders(&self) -> Result<Listed<ListedSender>, ProviderError> {
        let state = self.begin("list_senders")?;
        let listed = |(number, seen): (&PhoneNumber, &SenderObservation)| ListedSender {
            number: number.clone(),
            seen: Ok(seen.clone()),
        };
        Ok(state.listed(state.seen_senders.as_ref().unwrap_or(&state.senders).iter().map(listed).collect()))
    }

    fn webhook_targets(&self, home: &WebhookHome<'_>) -> WebhookTargets {
        let WebhookHome { public_base_url, tenant, sender } = home;
        let url = |rest: &str| Some(format!("{public_base_url}webhooks/{tenant}/{sender}/{rest}#rc=5"));
        WebhookTargets { inbound: url("inbound"), status: url("status") }
    }

    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        service: Option<&PoolObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError> {
        {
            let mut state = self.begin("configure_webhooks")?;
            match service.filter(|service| service.decides_webhooks_of(&sender.handle)) {
                Some(service) => {
                    if let Some(service) = state.services.get_mut(service.id.as_str()) {
                        service.webhooks = targets.clone();
                    }
                }
                None => {
                    if let Some(sender) = state.senders.values_mut().find(|known| known.handle == sender.handle) {
                        sender.webhooks = targets.clone();
                    }
                }
            }
        }
        self.end("configure_webhooks", ()).await
    }
}
