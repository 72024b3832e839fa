//! Reads the config that is published for a tenant.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use messaging::config::TenantConfig;
use messaging::config::kubernetes::{CONFIG_KEY, secret_name};
use messaging::config::parts::Stored;
use messaging::id::TenantId;

use super::DataPlane;
use super::known_parts::KnownParts;
use super::part_secrets::PartSecrets;
use crate::reconcile::error::KubernetesFailure;
use crate::reconcile::freshness::number;

/// The configs as the data plane sees them.
#[async_trait]
pub trait PublishedConfigs: Send + Sync {
    /// `None` when nothing readable is published for the tenant.
    async fn of(&self, tenant: &TenantId) -> Result<Option<Arc<TenantConfig>>, KubernetesFailure>;
}

/// The Secrets in the data plane's namespace. A config is read once for each of its versions.
#[derive(Clone)]
pub struct ConfigSecrets {
    pub(super) secrets: Api<Secret>,
    known_parts: Arc<KnownParts>,
    data_plane: Arc<DataPlane>,
}

impl ConfigSecrets {
    pub fn new(client: Client, namespace: &str, known_parts: Arc<KnownParts>, data_plane: Arc<DataPlane>) -> Self {
        Self { secrets: Api::namespaced(client, namespace), known_parts, data_plane }
    }

    pub(super) fn parts<'a>(&'a self, tenant: &'a TenantId) -> PartSecrets<'a> {
        PartSecrets { secrets: &self.secrets, tenant, known: &self.known_parts }
    }

    /// The config that a tenant's Secret holds or names; why not, when that cannot be read.
    pub(super) async fn read(
        &self,
        tenant: &TenantId,
        secret: &Secret,
    ) -> Result<Result<Arc<TenantConfig>, String>, KubernetesFailure> {
        let version = secret.resource_version().as_deref().and_then(number);
        if let Some(config) = version.and_then(|version| self.data_plane.config_at(tenant, version)) {
            return Ok(Ok(config));
        }
        let value = secret.data.as_ref().and_then(|data| data.get(CONFIG_KEY)).map_or(&[][..], |value| &value.0);
        let parsed = match Stored::read(tenant, value) {
            Ok(Stored::Whole(value)) => TenantConfig::from_json(tenant, value),
            Ok(Stored::Parts(index)) => match self.parts(tenant).read(&index).await? {
                Ok(value) => TenantConfig::from_json(tenant, &value),
                Err(missing) => return Ok(Err(missing.to_string())),
            },
            Err(error) => Err(error),
        };
        Ok(match parsed {
            Ok(config) => {
                let config = Arc::new(config);
                if let Some(version) = version {
                    self.data_plane.set_read_back(tenant, version, Arc::clone(&config));
                }
                Ok(config)
            }
            Err(error) => Err(error.to_string()),
        })
    }
}

#[async_trait]
impl PublishedConfigs for ConfigSecrets {
    async fn of(&self, tenant: &TenantId) -> Result<Option<Arc<TenantConfig>>, KubernetesFailure> {
        let secret = self.secrets.get_opt(&secret_name(tenant)).await;
        let secret = secret.map_err(KubernetesFailure::new("the published config cannot be read"))?;
        let Some(secret) = secret else { return Ok(None) };
        let read = self.read(tenant, &secret).await?;
        Ok(read.inspect_err(|why| tracing::warn!(%tenant, why, "the published config cannot be read")).ok())
    }
}
