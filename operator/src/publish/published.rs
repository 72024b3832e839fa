//! Reads the config that is published for a tenant.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use messaging::config::TenantConfig;
use messaging::config::kubernetes::{CONFIG_KEY, secret_name};
use messaging::id::TenantId;

use crate::reconcile::error::KubernetesFailure;

/// The configs as the data plane sees them.
#[async_trait]
pub trait PublishedConfigs: Send + Sync {
    /// `None` when nothing readable is published for the tenant.
    async fn of(&self, tenant: &TenantId) -> Result<Option<TenantConfig>, KubernetesFailure>;
}

/// The Secrets in the data plane's namespace.
pub struct ConfigSecrets(Api<Secret>);

impl ConfigSecrets {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }
}

#[async_trait]
impl PublishedConfigs for ConfigSecrets {
    async fn of(&self, tenant: &TenantId) -> Result<Option<TenantConfig>, KubernetesFailure> {
        let secret = self
            .0
            .get_opt(&secret_name(tenant))
            .await
            .map_err(KubernetesFailure::new("the published config cannot be read"))?;
        Ok(secret.as_ref().and_then(|secret| read_config(tenant, secret)))
    }
}

/// The config in a compiled Secret. An unreadable one counts as absent, and is compiled anew.
pub(super) fn read_config(tenant: &TenantId, secret: &Secret) -> Option<TenantConfig> {
    let bytes = &secret.data.as_ref()?.get(CONFIG_KEY)?.0;
    TenantConfig::from_json(tenant, bytes)
        .inspect_err(
            |error| tracing::warn!(%tenant, %error, "the published config cannot be read; it is compiled anew"),
        )
        .ok()
}
