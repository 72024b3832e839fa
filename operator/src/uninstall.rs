//! After an uninstallation: removes the compiled configs, which hold the tenants' tokens.
//!
//! The operator never does so when it ends, because an end looks like a restart. What it still has to clean up at the
//! providers needs the tokens, so a config stays while an object of its tenant has our finalizer. An operator that is
//! installed again then finishes, and removes the config itself.

use std::collections::BTreeMap;

use clap::Args;
use crds::annotation::FINALIZER;
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use messaging::config::kubernetes::{PART_TYPE, SECRET_TYPE, TENANT_LABEL};
use messaging::hints::OBJECT;
use messaging::id::TenantId;

use crate::reconcile::error::KubernetesFailure;

/// What to remove.
#[derive(Debug, Clone, Args)]
pub struct RemoveConfigs {
    /// The namespace of the compiled tenant configs
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub config_namespace: String,
}

/// Removes the config of every tenant that has nothing left to clean up.
///
/// # Errors
/// When the cluster does not answer. What was not looked at stays.
pub async fn remove_configs(client: &Client, options: &RemoveConfigs) -> Result<(), KubernetesFailure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &options.config_namespace);
    let mut listed = Vec::new();
    // The configs first: parts that no index names are harmless, and an index without its parts is not.
    for kind in [SECRET_TYPE, PART_TYPE] {
        let selection = ListParams::default().labels(TENANT_LABEL).fields(&format!("type={kind}"));
        let found = secrets.list_metadata(&selection).await;
        listed.extend(found.map_err(KubernetesFailure::new("the configs cannot be listed"))?.items);
    }
    let hints: Api<ConfigMap> = Api::namespaced(client.clone(), &options.config_namespace);
    match hints.delete(OBJECT, &DeleteParams::default()).await {
        Ok(_) => tracing::info!("hints removed"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(KubernetesFailure::new("the hints cannot be removed")(error)),
    }
    let mut waits: BTreeMap<TenantId, Option<(&str, String)>> = BTreeMap::new();
    for secret in listed {
        let Some(tenant) = secret.labels().get(TENANT_LABEL).and_then(|tenant| tenant.parse::<TenantId>().ok()) else {
            continue;
        };
        // Asked once for each tenant, however many Secrets hold its config.
        if !waits.contains_key(&tenant) {
            let waiting = BTreeMap::from([
                ("whatsappsenders", waiting::<WhatsAppSender>(client, &tenant).await?),
                ("messagetemplates", waiting::<MessageTemplate>(client, &tenant).await?),
                ("routingpolicies", waiting::<RoutingPolicy>(client, &tenant).await?),
            ]);
            let first = waiting.into_iter().find_map(|(kind, names)| Some((kind, names.into_iter().next()?)));
            waits.insert(tenant.clone(), first);
        }
        if let Some(Some((kind, name))) = waits.get(&tenant) {
            tracing::warn!(%tenant, kind, name, "config kept: an object still waits for the operator to clean up at the provider");
            continue;
        }
        let preconditions = Preconditions { uid: secret.uid(), resource_version: secret.resource_version() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match secrets.delete(&secret.name_any(), &params).await {
            Ok(_) => tracing::info!(%tenant, "config removed"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(KubernetesFailure::new("a config cannot be removed")(error)),
        }
    }
    Ok(())
}

/// The names of a tenant's objects that have our finalizer. None where the kind itself is gone.
async fn waiting<K>(client: &Client, tenant: &TenantId) -> Result<Vec<String>, KubernetesFailure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug,
    K: for<'de> serde::Deserialize<'de>,
{
    let api: Api<K> = Api::namespaced(client.clone(), tenant.as_str());
    match api.list_metadata(&ListParams::default()).await {
        Ok(objects) => Ok(objects
            .items
            .iter()
            .filter(|object| object.finalizers().iter().any(|finalizer| finalizer == FINALIZER))
            .map(ResourceExt::name_any)
            .collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(KubernetesFailure::new("the objects of a tenant cannot be listed")(error)),
    }
}
