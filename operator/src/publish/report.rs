//! Reports on every object what the data plane makes of it: `status.dataPlane`, and whether it is ready.

use std::collections::BTreeSet;
use std::time::Duration;

use messaging::id::TenantId;

use super::Publisher;
use crate::reconcile::drive::report_again;
use crate::reconcile::kind::{Kind, tenant_of};
use crate::reconcile::machinery::Machinery;
use crate::reconcile::redact;
use crate::watch::stores::Stores;

/// Replicas acknowledge one after another; a short pause reports them together.
const GATHER: Duration = Duration::from_millis(100);
/// How long writing one status may take.
const WITHIN: Duration = Duration::from_secs(10);
/// When a status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Reports on a tenant's objects whenever replicas follow or fall behind. Calls no provider.
pub async fn report_forever(publisher: &Publisher, machinery: &Machinery) {
    let mut due = BTreeSet::new();
    loop {
        tokio::select! {
            touched = publisher.data_plane.changed() => due.extend(touched),
            () = tokio::time::sleep(AGAIN), if !due.is_empty() => {}
        }
        tokio::time::sleep(GATHER).await;
        let mut failed = report(machinery, &publisher.watched.senders.stores, &due).await;
        failed.extend(report(machinery, &publisher.watched.templates.stores, &due).await);
        failed.extend(report(machinery, &publisher.watched.policies.stores, &due).await);
        due = failed;
    }
}

/// Returns the tenants with an object that could not be reported on.
async fn report<K: Kind>(machinery: &Machinery, stores: &Stores<K>, due: &BTreeSet<TenantId>) -> BTreeSet<TenantId> {
    let mut failed = BTreeSet::new();
    for object in stores.all() {
        let Some(tenant) = tenant_of(&*object).filter(|tenant| due.contains(tenant)) else { continue };
        let error = match tokio::time::timeout(WITHIN, report_again(&*object, machinery)).await {
            Ok(Ok(true)) => continue,
            // Something else wrote meanwhile, and the watch will show it.
            Ok(Ok(false)) => None,
            Ok(Err(kube::Error::Api(refused))) if refused.code == 409 => None,
            Ok(Err(error)) => Some(redact::chain(&error)),
            Err(_) => Some(format!("no answer within {WITHIN:?}")),
        };
        failed.insert(tenant);
        if let Some(error) = error {
            tracing::warn!(kind = K::PLURAL, error, "the status can't be written; trying again");
        }
    }
    failed
}
