//! The Leases of the data plane's replicas, and what they mean for the `dataPlane` of every object's status.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, ResourceExt};
use messaging::config::kubernetes::REPLICA_LABEL;
use serde_json::json;
use tokio::time::Instant;

use super::endless;
use crate::context::Context;
use crate::publish::replicas::Replicas;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::kind::{Kind, tenant_of};
use crate::reconcile::redact;
use crate::watch::stores::Stores;

/// Replicas acknowledge one after another; waiting a moment reports them together.
const SETTLE: Duration = Duration::from_millis(100);
/// How long one status may take.
const WITHIN: Duration = Duration::from_secs(10);
/// A status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps track of which replicas live and what they acknowledged.
pub async fn follow_replicas(context: &Context) {
    let api: Api<Lease> = Api::namespaced(context.client.clone(), &context.settings.config_namespace);
    let mut events = endless(api, Config::default().labels(REPLICA_LABEL), "leases", &context.metrics).boxed();
    let mut replicas = Replicas::default();
    let mut listing = BTreeSet::new();
    let (mut listed, mut settled) = (false, false);
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
        // What the last leader reported stays until we know better.
        settled = settled || (listed && replicas.settled(Instant::now()));
        if settled {
            let alive = replicas.alive(Instant::now());
            context.metrics.replicas(alive.len());
            context.data_plane.set_alive(alive);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Reports, on every object that it changes for, how many replicas run its newest config. It asks no provider.
pub async fn report_forever(context: &Context) {
    let mut failed = false;
    loop {
        tokio::select! {
            () = context.data_plane.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        tokio::time::sleep(SETTLE).await;
        let reports = [
            report(context, &context.senders).await,
            report(context, &context.templates).await,
            report(context, &context.policies).await,
        ];
        failed = reports.contains(&false);
    }
}

/// Tells whether everything could be reported.
async fn report<K: Kind>(context: &Context, stores: &Stores<K>) -> bool {
    let mut all = true;
    for object in stores.all() {
        let error = match tokio::time::timeout(WITHIN, report_one(context, &object)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => redact::chain(&error),
            Err(_) => format!("no answer within {WITHIN:?}"),
        };
        all = false;
        tracing::warn!(kind = K::PLURAL, error, "status.dataPlane can't be written; trying again");
    }
    all
}

async fn report_one<K: Kind>(context: &Context, object: &Arc<K>) -> Result<(), kube::Error> {
    let Some(tenant) = tenant_of(&**object) else { return Ok(()) };
    let name = object.name_any();
    let Some(now) = context.data_plane.status_of(K::NAME, &tenant, &name, &context.contributions.of(&tenant)) else {
        return Ok(());
    };
    let status = object.status().and_then(|status| serde_json::to_value(status).ok()).unwrap_or_default();
    // Before its first reconcile an object has nothing to report.
    let observed = status["observedGeneration"].as_i64().is_some_and(|generation| generation > 0);
    if !observed || status["dataPlane"] == json!(now) {
        return Ok(());
    }
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(context.client.clone(), tenant.as_str());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(&name, &params, &Patch::Merge(json!({ "status": { "dataPlane": now } }))).await {
        Ok(written) => {
            if let Some(uid) = written.uid() {
                context.freshness.wrote(&uid, written.resource_version().as_deref());
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
