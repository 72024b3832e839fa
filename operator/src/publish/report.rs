//! Reports on every object how many replicas run its newest config: `status.dataPlane`.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::Publisher;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::kind::{Kind, tenant_of};
use crate::reconcile::machinery::Publication as _;
use crate::reconcile::redact;
use crate::watch::stores::Stores;

/// Replicas acknowledge one after another; a short pause reports them together.
const GATHER: Duration = Duration::from_millis(100);
/// How long writing one status may take.
const WITHIN: Duration = Duration::from_secs(10);
/// When a status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Reports on each object, whenever it changes, how many replicas run its newest config. Calls no provider.
pub async fn report_forever(publisher: &Publisher) {
    let mut failed = false;
    loop {
        tokio::select! {
            () = publisher.data_plane.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        tokio::time::sleep(GATHER).await;
        let reports = [
            report(publisher, &publisher.watched.senders.stores).await,
            report(publisher, &publisher.watched.templates.stores).await,
            report(publisher, &publisher.watched.policies.stores).await,
        ];
        failed = reports.contains(&false);
    }
}

/// Returns whether everything could be reported.
async fn report<K: Kind>(publisher: &Publisher, stores: &Stores<K>) -> bool {
    let mut all = true;
    for object in stores.all() {
        let error = match tokio::time::timeout(WITHIN, report_one(publisher, &object)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => redact::chain(&error),
            Err(_) => format!("no answer within {WITHIN:?}"),
        };
        all = false;
        tracing::warn!(kind = K::PLURAL, error, "status.dataPlane can't be written; trying again");
    }
    all
}

async fn report_one<K: Kind>(publisher: &Publisher, object: &Arc<K>) -> Result<(), kube::Error> {
    let Some(tenant) = tenant_of(&**object) else { return Ok(()) };
    let name = object.name_any();
    let Some(now) = publisher.status_of(K::NAME, &tenant, &name) else { return Ok(()) };
    let status = object.status().and_then(|status| serde_json::to_value(status).ok()).unwrap_or_default();
    // Before its first reconcile an object has no status to add to.
    let observed = status["observedGeneration"].as_i64().is_some_and(|generation| generation > 0);
    if !observed || status["dataPlane"] == json!(now) {
        return Ok(());
    }
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(publisher.client.clone(), tenant.as_str());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(&name, &params, &Patch::Merge(json!({ "status": { "dataPlane": now } }))).await {
        Ok(written) => {
            if let Some(uid) = written.uid() {
                publisher.freshness.wrote(&uid, written.resource_version().as_deref());
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
