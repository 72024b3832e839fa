//! Publishing: one compiled config per tenant, in one Secret in the data plane's namespace.
//!
//! Controllers contribute parts ([`contributions`]), [`compile`] puts them together, [`publisher`] writes the Secret, and
//! [`follow`] has it written again when something outside of the kinds changed. [`replicas`] keeps which replicas live
//! and what they acknowledged, [`data_plane`] which of them run an object's newest config, and [`report`] writes that
//! on the objects. [`published`] reads what is there.

pub mod api_keys;
pub mod compile;
pub mod contributions;
pub mod data_plane;
pub mod follow;
pub mod precedence;
pub mod published;
pub mod publisher;
pub mod replicas;
pub mod report;

pub use contributions::{Contributions, Parts};
pub use data_plane::DataPlane;
pub use publisher::publish_forever;

use std::sync::Arc;

use crds::DataPlaneStatus;
use kube::Client;
use messaging::id::TenantId;
use url::Url;

use crate::metrics::{KindName, Metrics};
use crate::reconcile::freshness::Freshness;
use crate::reconcile::machinery::Publication;
use crate::watch::Watched;
use crate::watch::stores::Scope;

/// What publishing uses. One per term of leadership.
pub struct Publisher {
    pub client: Client,
    pub metrics: Arc<Metrics>,
    pub freshness: Arc<Freshness>,
    pub watched: Watched,
    pub scopes: Vec<Scope>,
    pub contributions: Arc<Contributions>,
    pub data_plane: Arc<DataPlane>,
    /// The data plane's namespace: of the compiled configs and of the replicas' Leases.
    pub namespace: String,
    pub public_base_url: Url,
}

impl Publisher {
    /// Whether a tenant's objects are this operator's to reconcile.
    fn watches(&self, tenant: &TenantId) -> bool {
        self.scopes.iter().any(|scope| scope.covers(tenant.as_str()))
    }
}

impl Publication for Publisher {
    fn status_of(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<DataPlaneStatus> {
        self.data_plane.status_of(kind, tenant, name, &self.contributions.of(tenant))
    }

    fn touch(&self, tenant: &TenantId) {
        self.contributions.touch(tenant);
    }
}
