//! The publisher's other triggers, besides the kinds' contributions: API keys, compiled Secrets that something else
//! changed, and the Leases of the data plane's replicas.

use std::collections::BTreeSet;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, ResourceExt};
use messaging::config::kubernetes::{API_KEY_SECRET_TYPE, REPLICA_LABEL, TENANT_LABEL, part_of};
use messaging::id::TenantId;
use tokio::time::Instant;

use super::Publisher;
use super::replicas::Replicas;
use crate::clock::sleep_until;
use crate::reconcile::freshness::number;
use crate::watch::stores::Scope;
use crate::watch::{endless, touched};

/// Publishes tenants again whose API keys changed.
pub async fn follow_api_keys(publisher: &Publisher, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(&publisher.client);
    let selection = Config::default().fields(&format!("type={API_KEY_SECRET_TYPE}"));
    let mut events = endless(api, selection, "secrets", &publisher.metrics).boxed();
    while let Some(event) = events.next().await {
        if let Some(tenant) = touched(event).and_then(|secret| TenantId::new(secret.namespace()?).ok()) {
            publisher.contributions.touch(&tenant);
        }
    }
}

/// Publishes tenants again whose compiled Secret, or a part of it, something else changed. That also removes what is
/// there of a tenant that is gone.
pub async fn follow_published(publisher: &Publisher) {
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(publisher.client.clone(), &publisher.namespace);
    let mut events = endless(api, Config::default().labels(TENANT_LABEL), "secrets", &publisher.metrics).boxed();
    while let Some(event) = events.next().await {
        let is_gone = matches!(event, Event::Delete(_));
        let Some(secret) = touched(event) else { continue };
        let tenant = secret.labels().get(TENANT_LABEL).and_then(|tenant| TenantId::new(tenant.as_str()).ok());
        // A tenant that this operator does not watch may belong to another operator, so its config is left alone.
        let Some(tenant) = tenant.filter(|tenant| publisher.watches(tenant)) else { continue };
        if is_news(publisher, &tenant, &secret, is_gone) {
            publisher.contributions.touch(&tenant);
        }
    }
}

/// Whether something else than this process wrote or removed a Secret.
fn is_news(publisher: &Publisher, tenant: &TenantId, secret: &PartialObjectMeta<Secret>, is_gone: bool) -> bool {
    let version = secret.metadata.resource_version.as_deref();
    match part_of(tenant, &secret.name_any()) {
        Some(part) if is_gone => publisher.known_parts.forget(tenant, &part),
        Some(part) => publisher.known_parts.see(tenant, &part, version),
        None => is_gone || version.and_then(number).is_none_or(|version| !publisher.data_plane.is_at(tenant, version)),
    }
}

/// Keeps track of which replicas live and what they acknowledged.
pub async fn follow_replicas(publisher: &Publisher) {
    let api: Api<Lease> = Api::namespaced(publisher.client.clone(), &publisher.namespace);
    let mut events = endless(api, Config::default().labels(REPLICA_LABEL), "leases", &publisher.metrics).boxed();
    let mut replicas = Replicas::default();
    let mut listing = BTreeSet::new();
    let (mut listed, mut all_known) = (false, false);
    loop {
        let death = replicas.next_death(Instant::now());
        tokio::select! {
            event = events.next() => match event {
                None => return,
                Some(Event::Init) => listing.clear(),
                Some(Event::InitApply(lease)) => {
                    listing.insert(lease.name_any());
                    replicas.observe(&lease, Instant::now());
                }
                Some(Event::InitDone) => {
                    replicas.retain(&std::mem::take(&mut listing));
                    listed = true;
                }
                Some(Event::Apply(lease)) => replicas.observe(&lease, Instant::now()),
                Some(Event::Delete(lease)) => replicas.forget(&lease.name_any()),
            },
            () = sleep_until(death) => {}
        }
        // The last leader's report stays until every replica is known to be alive or dead.
        all_known = all_known || (listed && replicas.all_known(Instant::now()));
        if all_known {
            let alive = replicas.alive(Instant::now());
            publisher.metrics.replicas(alive.len());
            publisher.data_plane.set_silent(replicas.silent(Instant::now()));
            publisher.data_plane.set_alive(alive);
            for tenant in publisher.data_plane.ripe() {
                publisher.contributions.touch(&tenant);
            }
        }
    }
}
