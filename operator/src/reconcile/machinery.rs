//! What the driver uses around a kind's own steps. Kinds do not see it: each has its own context.

use std::sync::Arc;
use std::time::Duration;

use crds::DataPlaneStatus;
use kube::Client;
use messaging::clock::Clock;
use messaging::id::TenantId;
use tokio::sync::Semaphore;

use super::backoff::Attempts;
use super::events::Events;
use super::freshness::Freshness;
use super::kind::Kind;
use super::listings::Listings;
use crate::metrics::{KindName, Metrics};
use crate::watch::Watched;

/// One per term of leadership, shared by all kinds.
pub struct Machinery {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub attempts: Attempts,
    pub freshness: Arc<Freshness>,
    pub listings: Arc<Listings>,
    /// One for each reconcile that may run at once, over all kinds and namespaces.
    pub permits: Semaphore,
    /// How often an object is reconciled although nothing changed.
    pub poll_interval: Duration,
    pub publication: Arc<dyn Publication>,
    pub watched: Watched,
}

/// What the machinery needs from the publisher of tenant configs.
pub trait Publication: Send + Sync {
    /// How many replicas run an object's newest config; `None` while that is unknown, right after a restart.
    fn status_of(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<DataPlaneStatus>;

    /// Requests that the tenant's config is published again, because its objects changed.
    fn touch(&self, tenant: &TenantId);
}

/// The machinery with the context of one kind.
pub struct Driver<K: Kind> {
    pub machinery: Arc<Machinery>,
    pub context: K::Context,
}
