//! Reports on every object what the data plane makes of it: `status.dataPlane`, and whether it is ready.

use std::time::Duration;

use super::Publisher;
use crate::reconcile::drive::report_again;
use crate::reconcile::kind::Kind;
use crate::reconcile::machinery::Machinery;
use crate::reconcile::redact;
use crate::watch::stores::Stores;

/// Replicas acknowledge one after another; a short pause reports them together.
const GATHER: Duration = Duration::from_millis(100);
/// How long writing one status may take.
const WITHIN: Duration = Duration::from_secs(10);
/// When a status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Reports on each object whenever replicas follow or fall behind. Calls no provider.
pub async fn report_forever(publisher: &Publisher, machinery: &Machinery) {
    let mut failed = false;
    loop {
        tokio::select! {
            () = publisher.data_plane.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        tokio::time::sleep(GATHER).await;
        let reports = [
            report(machinery, &publisher.watched.senders.stores).await,
            report(machinery, &publisher.watched.templates.stores).await,
            report(machinery, &publisher.watched.policies.stores).await,
        ];
        failed = reports.contains(&false);
    }
}

/// Returns whether everything could be reported.
async fn report<K: Kind>(machinery: &Machinery, stores: &Stores<K>) -> bool {
    let mut all = true;
    for object in stores.all() {
        let error = match tokio::time::timeout(WITHIN, report_again(&*object, machinery)).await {
            Ok(Ok(true)) => continue,
            // Something else wrote meanwhile, and the watch will show it.
            Ok(Err(kube::Error::Api(refused))) if refused.code == 409 => {
                all = false;
                continue;
            }
            Ok(Ok(false)) => {
                all = false;
                continue;
            }
            Ok(Err(error)) => redact::chain(&error),
            Err(_) => format!("no answer within {WITHIN:?}"),
        };
        all = false;
        tracing::warn!(kind = K::PLURAL, error, "the status can't be written; trying again");
    }
    all
}
