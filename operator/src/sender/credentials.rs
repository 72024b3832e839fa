//! Watches the Secrets that senders name. Only metadata is watched. A reconcile reads the contents that it needs, so
//! the operator never holds all the Secrets of a cluster.

use crds::WhatsAppSender;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, ResourceExt};
use messaging::id::TenantId;

use super::dereference::secret_names;
use crate::publish::api_keys;
use crate::reconcile::events::{Note, reason};
use crate::reconcile::machinery::Machinery;
use crate::watch::stores::Scope;
use crate::watch::{Objects, endless, touched};

/// Leaves out types that are numerous, change often, and never hold a tenant's credentials.
const NEVER_CREDENTIALS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// Requests a reconcile of every sender that names a changed Secret. Where a tenant seems to have meant a Secret as an API
/// key, and gave it no type, an Event says so.
pub async fn follow_credentials(machinery: &Machinery, senders: &Objects<WhatsAppSender>, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(&machinery.client);
    let selection = Config::default().fields(NEVER_CREDENTIALS);
    let mut events = endless(api, selection, "secrets", &machinery.metrics).boxed();
    while let Some(event) = events.next().await {
        let Some(secret) = touched(event) else { continue };
        let Some(tenant) = secret.namespace().and_then(|namespace| TenantId::new(namespace).ok()) else { continue };
        let name = secret.name_any();
        let of_tenant = senders.stores.of(&tenant);
        let naming = of_tenant.iter().filter(|sender| secret_names(sender).any(|named| named == name));
        // A Secret that a sender names is meant for it, and without a sender there is no tenant.
        let mut is_accounted_for = of_tenant.is_empty();
        naming.for_each(|sender| {
            is_accounted_for = true;
            senders.trigger.ask(sender);
        });
        if !is_accounted_for && api_keys::looks_like_one(&secret.metadata) {
            report_if_mistyped(machinery, &tenant, &name).await;
        }
    }
}

async fn report_if_mistyped(machinery: &Machinery, tenant: &TenantId, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(machinery.client.clone(), tenant.as_str());
    let Ok(Some(secret)) = secrets.get_opt(name).await else { return };
    if let Some((about, why)) = api_keys::mistyped(&secret) {
        let note = Note { warning: true, reason: reason::API_KEY_UNUSABLE, text: why.to_owned() };
        machinery.events.publish(&about, &note).await;
    }
}
