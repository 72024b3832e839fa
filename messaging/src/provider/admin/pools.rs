//! Pools of senders that the provider picks from, such as Twilio's Messaging Services.

use async_trait::async_trait;

use super::Listed;
use super::webhook_targets::WebhookTargets;
use crate::address::PhoneNumber;
use crate::id::PoolId;
use crate::provider::ProviderError;

/// The pools of one account.
#[async_trait]
pub trait PoolAdmin: Send + Sync {
    /// The pool with its senders.
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError>;

    /// Puts a sender into a pool. A sender is in one pool at most.
    async fn add_member(&self, pool: &PoolId, sender: &str) -> Result<Joined, ProviderError>;

    /// Takes a sender out of a pool. Succeeds if it is not there.
    async fn remove_member(&self, pool: &PoolId, sender: &str) -> Result<(), ProviderError>;

    /// Every pool of the account with its senders: one call and one more for each pool.
    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError>;
}

/// What came of adding a sender to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    Added,
    /// It was there already.
    WasIn,
    /// It is in another pool, and stays there.
    IsElsewhere,
    /// The pool takes no more senders.
    IsFull,
}

/// A pool that was looked up, and how many requests it took: one for the pool, and one for each page of its senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPool {
    /// `None` when the account has no such pool.
    pub pool: Option<PoolObservation>,
    pub requests: u32,
}

/// A pool as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolObservation {
    pub id: PoolId,
    pub senders: Vec<PoolMember>,
    /// Inbound messages go to each sender's own webhook, not to the pool's.
    pub defers_to_sender: bool,
    pub webhooks: WebhookTargets,
}

/// A sender in a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolMember {
    pub handle: String,
    /// Absent where it is not a WhatsApp number.
    pub number: Option<PhoneNumber>,
}

impl PoolObservation {
    /// Whether the sender with this handle is in the pool.
    pub fn holds(&self, sender: &str) -> bool {
        self.senders.iter().any(|member| member.handle == sender)
    }

    /// Whether the pool, rather than the sender with this handle, decides where inbound messages to it go.
    pub fn decides_webhooks_of(&self, sender: &str) -> bool {
        !self.defers_to_sender && self.holds(sender)
    }

    /// The numbers of the senders in the pool.
    pub fn numbers(&self) -> impl Iterator<Item = &PhoneNumber> {
        self.senders.iter().filter_map(|member| member.number.as_ref())
    }
}
