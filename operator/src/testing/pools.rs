//! The pools of the account in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use messaging::id::PoolId;
use messaging::provider::ProviderError;
use messaging::provider::admin::{FoundPool, Joined, Listed, PoolAdmin, PoolMember, PoolObservation, WebhookTargets};

use super::{FakeAdmin, State, provider_error};

impl State {
    fn shown_services(&self) -> &BTreeMap<String, PoolObservation> {
        self.seen_services.as_ref().unwrap_or(&self.services)
    }
}

impl FakeAdmin {
    /// A pool that decides where the messages of its senders go.
    pub(crate) fn add_pool(&self, id: &str, senders: &[&str]) {
        let pool = PoolObservation {
            id: PoolId::new(id),
            senders: senders.iter().map(|&handle| PoolMember { handle: handle.into(), number: None }).collect(),
            defers_to_sender: false,
            webhooks: WebhookTargets::default(),
        };
        self.state().services.insert(id.into(), pool);
    }

    /// The pools that hold this sender.
    pub(crate) fn pools_with(&self, sender: &str) -> Vec<String> {
        let state = self.state();
        state.services.iter().filter(|(_, pool)| pool.holds(sender)).map(|(id, _)| id.clone()).collect()
    }

    /// Somebody else changes which senders are in a pool.
    pub(crate) fn set_members(&self, id: &str, senders: &[&str]) {
        let members = senders.iter().map(|&handle| PoolMember { handle: handle.into(), number: None }).collect();
        self.state().services.get_mut(id).expect("the pool exists").senders = members;
    }

    /// Somebody else has a pool leave its senders' messages to their own webhooks.
    pub(crate) fn defer_to_senders(&self, id: &str) {
        self.state().services.get_mut(id).expect("the pool exists").defers_to_sender = true;
    }

    pub(crate) fn webhooks_of_pool(&self, id: &str) -> WebhookTargets {
        self.state().services[id].webhooks.clone()
    }

    /// From now on, or no longer, reads show the pools as they are now.
    pub(crate) fn hold_back_pools(&self, hold_back: bool) {
        let mut state = self.state();
        state.seen_services = hold_back.then(|| state.services.clone());
    }

    /// How many senders a pool takes.
    pub(crate) fn limit_members(&self, most: usize) {
        self.state().most_members = Some(most);
    }
}

#[async_trait]
impl PoolAdmin for FakeAdmin {
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError> {
        let state = self.begin("find_messaging_service")?;
        Ok(FoundPool { pool: state.shown_services().get(id.as_str()).cloned(), requests: state.requests() })
    }

    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError> {
        let state = self.begin("list_messaging_services")?;
        Ok(state.listed(state.shown_services().values().cloned().collect()))
    }

    async fn add_member(&self, pool: &PoolId, sender: &str) -> Result<Joined, ProviderError> {
        let joined = {
            let mut state = self.begin("add_to_messaging_service")?;
            let places = state.most_members.unwrap_or(usize::MAX);
            let within = state.services.iter().find(|(_, pool)| pool.holds(sender)).map(|(id, _)| id.clone());
            let Some(into) = state.services.get_mut(pool.as_str()) else { return Err(provider_error(Some(404), None)) };
            match within {
                Some(id) if id == pool.as_str() => Joined::WasIn,
                Some(_) => Joined::IsElsewhere,
                None if into.senders.len() >= places => Joined::IsFull,
                None => {
                    into.senders.push(PoolMember { handle: sender.to_owned(), number: None });
                    Joined::Added
                }
            }
        };
        self.end("add_to_messaging_service", joined).await
    }

    async fn remove_member(&self, pool: &PoolId, sender: &str) -> Result<(), ProviderError> {
        if let Some(pool) = self.begin("remove_from_messaging_service")?.services.get_mut(pool.as_str()) {
            pool.senders.retain(|member| member.handle != sender);
        }
        self.end("remove_from_messaging_service", ()).await
    }
}
