//! Secrets that something depends on. Only their metadata is watched: contents are read when they are needed, so the
//! operator never holds all the secrets of a cluster.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, ResourceExt};
use messaging::config::kubernetes::{API_KEY_SECRET_TYPE, SECRET_TYPE, TENANT_LABEL};
use messaging::id::TenantId;

use super::endless;
use crate::context::Context;
use crate::sender::names_secret;
use crate::watch::stores::Scope;

/// Types that are many, change often, and are never a tenant's credentials.
const NEVER_OURS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

fn touched(event: Event<PartialObjectMeta<Secret>>) -> Option<PartialObjectMeta<Secret>> {
    match event {
        Event::Apply(secret) | Event::InitApply(secret) | Event::Delete(secret) => Some(secret),
        Event::Init | Event::InitDone => None,
    }
}

/// Has the senders looked at again that name a Secret which changed.
pub async fn follow_credentials(context: &Context, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(&context.client);
    let mut events = endless(api, Config::default().fields(NEVER_OURS), "secrets", &context.metrics).boxed();
    while let Some(event) = events.next().await {
        let Some(secret) = touched(event) else { continue };
        let Some(tenant) = secret.namespace().and_then(|namespace| TenantId::new(namespace).ok()) else { continue };
        let name = secret.name_any();
        let senders = context.senders.of(&tenant);
        senders
            .iter()
            .filter(|sender| names_secret(sender, &name))
            .for_each(|sender| context.sender_trigger.ask(sender));
    }
}

/// Has the tenants published again whose API keys changed.
pub async fn follow_api_keys(context: &Context, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(&context.client);
    let selection = Config::default().fields(&format!("type={API_KEY_SECRET_TYPE}"));
    let mut events = endless(api, selection, "secrets", &context.metrics).boxed();
    while let Some(event) = events.next().await {
        if let Some(tenant) = touched(event).and_then(|secret| TenantId::new(secret.namespace()?).ok()) {
            context.contributions.touch(&tenant);
        }
    }
}

/// Has the tenants published again whose compiled Secret changed behind our back, and those that left one behind.
pub async fn follow_published(context: &Context) {
    let namespace = &context.settings.config_namespace;
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(context.client.clone(), namespace);
    let selection = Config::default().labels(TENANT_LABEL).fields(&format!("type={SECRET_TYPE}"));
    let mut events = endless(api, selection, "secrets", &context.metrics).boxed();
    while let Some(event) = events.next().await {
        let Some(secret) = touched(event) else { continue };
        let tenant = secret.labels().get(TENANT_LABEL).and_then(|tenant| TenantId::new(tenant.as_str()).ok());
        // A tenant that is no longer watched may be somebody else's: its config is left as it is.
        if let Some(tenant) = tenant.filter(|tenant| context.settings.watches(tenant.as_str())) {
            context.contributions.touch(&tenant);
        }
    }
}
