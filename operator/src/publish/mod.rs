//! Publishing: one compiled config per tenant, in one Secret in the data plane's namespace.
//!
//! Controllers add their [`contributions`], [`compose`] puts them together, [`publisher`] writes the Secret, and
//! [`follow`] has it written again when something besides the kinds changed. [`replicas`] records which replicas are
//! alive and what they acknowledged, [`data_plane`] counts those that run an object's newest config, and [`report`]
//! writes that number on the object. [`published`] reads the current config back. A config that
//! one Secret does not hold is in parts: [`part_secrets`] writes them, and [`known_parts`] records which are good.

pub mod api_keys;
pub mod compile;
mod compose;
pub mod contributions;
pub mod data_plane;
mod fit;
pub mod follow;
pub mod known_parts;
mod leftovers;
mod part_secrets;
pub mod precedence;
pub mod published;
pub mod publisher;
pub mod replicas;
pub mod report;
mod sound;
#[cfg(test)]
mod tests;

pub use contributions::{Contributions, Observer, TenantContributions};
pub use data_plane::DataPlane;
pub use publisher::publish_forever;

use std::sync::Arc;

use crds::DataPlaneStatus;
use kube::Client;
use messaging::id::TenantId;
use url::Url;

use self::known_parts::KnownParts;
use self::published::ConfigSecrets;
use crate::leader::tenure::Tenure;
use crate::metrics::{KindName, Metrics};
use crate::reconcile::events::Events;
use crate::reconcile::live::Live;
use crate::reconcile::machinery::Publication;
use crate::watch::Watched;
use crate::watch::stores::Scope;

/// What publishing needs. One per term of leadership.
pub struct Publisher {
    pub client: Client,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub watched: Watched,
    pub scopes: Vec<Scope>,
    pub tenure: Tenure,
    pub contributions: Arc<Contributions>,
    pub data_plane: Arc<DataPlane>,
    pub known_parts: Arc<KnownParts>,
    pub published: ConfigSecrets,
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
        self.contributions.with(tenant, |contributed| self.data_plane.status_of(kind, tenant, name, contributed))
    }

    fn live(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<Live> {
        self.contributions.with(tenant, |contributed| self.data_plane.live(kind, tenant, name, contributed))
    }

    fn report_again(&self, tenant: &TenantId) {
        self.data_plane.look_again([tenant.clone()]);
    }

    fn touch(&self, tenant: &TenantId) {
        self.contributions.touch(tenant);
    }
}
