//! Watches the Secrets that senders name. Only metadata is watched. A reconcile reads the contents that it needs, so
//! the operator never holds all the Secrets of a cluster.

use crds::WhatsAppSender;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Client, ResourceExt};
use messaging::id::TenantId;

use super::dereference::secret_names;
use crate::metrics::Metrics;
use crate::watch::stores::Scope;
use crate::watch::{Objects, endless, touched};

/// Leaves out types that are numerous, change often, and never hold a tenant's credentials.
const NEVER_CREDENTIALS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// Requests a reconcile of every sender that names a changed Secret.
pub async fn follow_credentials(client: &Client, metrics: &Metrics, senders: &Objects<WhatsAppSender>, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(client);
    let mut events = endless(api, Config::default().fields(NEVER_CREDENTIALS), "secrets", metrics).boxed();
    while let Some(event) = events.next().await {
        let Some(secret) = touched(event) else { continue };
        let Some(tenant) = secret.namespace().and_then(|namespace| TenantId::new(namespace).ok()) else { continue };
        let name = secret.name_any();
        let of_tenant = senders.stores.of(&tenant);
        let naming = of_tenant.iter().filter(|sender| secret_names(sender).any(|named| named == name));
        naming.for_each(|sender| senders.trigger.ask(sender));
    }
}
