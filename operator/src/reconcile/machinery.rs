//! What the driver uses around a kind's own steps. Kinds do not see it: each has its own context.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use crds::DataPlaneStatus;
use kube::Client;
use messaging::clock::Clock;
use messaging::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::backoff::Attempts;
use super::conditions::{Assessment, Assessments};
use super::events::Events;
use super::freshness::Freshness;
use super::kind::Kind;
use super::listings::Listings;
use super::live::Live;
use crate::metrics::{KindName, Metrics};
use crate::watch::Watched;

/// One per term of leadership, shared by all kinds.
pub struct Machinery {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub attempts: Attempts,
    pub found: LastFound,
    pub freshness: Arc<Freshness>,
    pub listings: Arc<Listings>,
    /// One for each reconcile that may run at once, over all kinds and namespaces.
    pub permits: Semaphore,
    /// How often an object is reconciled although nothing changed.
    pub poll_interval: Duration,
    pub publication: Arc<dyn Publication>,
    pub watched: Watched,
}

/// What the last reconcile of each object found, by uid: it is reported again when the data plane follows or falls
/// behind.
#[derive(Debug, Default)]
pub struct LastFound(Mutex<HashMap<String, Kept>>);

/// What one reconcile found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub generation: i64,
    pub paused: bool,
    pub failed: bool,
    pub assessed: Assessments,
}

/// What was found, with a list in place of the map: a map of five has room for eleven, and there are thousands.
#[derive(Debug)]
struct Kept {
    generation: i64,
    paused: bool,
    failed: bool,
    assessed: Box<[(&'static str, Assessment)]>,
    /// What the data plane made of it when that was reported last, by its hash.
    reported: Option<u64>,
}

/// What the data plane makes of an object; nothing is known right after a restart.
#[derive(Debug)]
pub struct DataPlaneView {
    pub data_plane: Option<DataPlaneStatus>,
    pub live: Option<Live>,
}

impl DataPlaneView {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.data_plane.as_ref().map(|status| (status.ready, status.total)).hash(&mut hasher);
        self.live.hash(&mut hasher);
        hasher.finish()
    }
}

impl LastFound {
    pub fn set(&self, uid: &str, found: Found) {
        let Found { generation, paused, failed, assessed } = found;
        let kept = Kept { generation, paused, failed, assessed: assessed.into_iter().collect(), reported: None };
        self.0.lock().insert(uid.to_owned(), kept);
    }

    pub fn get(&self, uid: &str) -> Option<Found> {
        let all = self.0.lock();
        let Kept { generation, paused, failed, assessed, reported: _ } = all.get(uid)?;
        let assessed = assessed.iter().cloned().collect();
        Some(Found { generation: *generation, paused: *paused, failed: *failed, assessed })
    }

    /// What was found is reported, with what the data plane made of it.
    pub fn reported(&self, uid: &str, view: &DataPlaneView) {
        if let Some(kept) = self.0.lock().get_mut(uid) {
            kept.reported = Some(view.hash());
        }
    }

    /// Whether what was found last is reported, and with this.
    pub fn is_reported(&self, uid: &str, view: &DataPlaneView) -> bool {
        self.0.lock().get(uid).is_some_and(|kept| kept.reported == Some(view.hash()))
    }

    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

/// What the machinery needs from the publisher of tenant configs.
pub trait Publication: Send + Sync {
    /// How many replicas run an object's newest config; `None` while that is unknown, right after a restart.
    fn status_of(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<DataPlaneStatus>;

    /// Whether the data plane runs an object as it was last contributed; `None` while that is unknown.
    fn live(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<Live>;

    /// Requests that the tenant's objects are reported on again.
    fn report_again(&self, tenant: &TenantId);

    /// Requests that the tenant's config is published again, because its objects changed.
    fn touch(&self, tenant: &TenantId);
}

/// The machinery with the context of one kind.
pub struct Driver<K: Kind> {
    pub machinery: Arc<Machinery>,
    pub context: K::Context,
}
