//! This replica's Lease: it shows that the replica is alive, the newest config that it runs, the ones it refused, and
//! that it reads configs in parts.
//!
//! The operator waits for every live replica's acknowledgement before it revokes a credential. So the Lease is written
//! as soon as something newer is applied, and deleted when the replica leaves.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use messaging::clock::Clock;
use messaging::config::kubernetes::REPLICA_LABEL;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Configs;
use super::annotations::annotations;
use super::kubernetes::Acknowledgement;
use crate::metrics::Metrics;
use crate::progress::Task;

const RENEW_EVERY: Duration = Duration::from_secs(10);
/// After this long without a renewal the replica counts as dead: three missed renewals and some slack.
const LEASE_SECONDS: i32 = 35;
/// A failed write is retried soon, because a rotation may be waiting for it.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long deleting the Lease may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
const FIELD_MANAGER: &str = "whatsapp-dataplane";

/// The replica's name and uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The pod's name.
    pub pod: String,
    /// The pod's uid, so that the Lease is garbage collected with a pod that died without deleting it.
    pub pod_uid: Option<String>,
}

impl Identity {
    pub fn lease_name(&self) -> String {
        format!("whatsapp-dataplane-{}", self.pod)
    }
}

/// Keeps the Lease.
pub struct Replica {
    identity: Identity,
    configs: Arc<Configs>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    acknowledged: watch::Receiver<Acknowledgement>,
}

impl Replica {
    pub fn new(
        identity: Identity,
        configs: Arc<Configs>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        acknowledged: watch::Receiver<Acknowledgement>,
    ) -> Self {
        Self { identity, configs, clock, metrics, acknowledged }
    }

    /// Renews the Lease until `stop`, then deletes it. There is no Lease before the first list was applied: a replica
    /// that runs from the copy on disk has not acknowledged anything to this API server.
    pub async fn keep(mut self, client: Client, namespace: &str, stop: CancellationToken) {
        let leases: Api<Lease> = Api::namespaced(client, namespace);
        let acquired = self.clock.now();
        let mut wait = RENEW_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.acknowledged.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(wait) => {}
            }
            let acknowledged = self.acknowledged.borrow_and_update().clone();
            if acknowledged.resource_version.is_none() {
                continue;
            }
            wait = match self.renew(&leases, &acknowledged, acquired).await {
                Ok(()) => {
                    self.metrics.task_succeeded(Task::Lease, self.clock.now());
                    RENEW_EVERY
                }
                Err(error) => {
                    self.metrics.config_source_error("lease");
                    tracing::warn!(%error, lease = self.identity.lease_name(), "the replica's lease cannot be renewed");
                    RETRY_AFTER
                }
            };
        }
        self.leave(&leases).await;
    }

    async fn renew(
        &self,
        leases: &Api<Lease>,
        acknowledged: &Acknowledgement,
        acquired: jiff::Timestamp,
    ) -> Result<(), kube::Error> {
        let lease = self.lease(acknowledged, acquired);
        // Server-side apply: creates it, or takes over the one of an earlier container of this pod.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        leases.patch(&self.identity.lease_name(), &params, &Patch::Apply(&lease)).await.map(drop)
    }

    fn lease(&self, acknowledged: &Acknowledgement, acquired: jiff::Timestamp) -> Lease {
        let annotations = annotations(acknowledged, &self.configs.refused());
        let owner = self.identity.pod_uid.as_ref().map(|uid| OwnerReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: self.identity.pod.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        });
        Lease {
            metadata: ObjectMeta {
                name: Some(self.identity.lease_name()),
                labels: Some([(REPLICA_LABEL.to_owned(), "true".to_owned())].into()),
                annotations: Some(annotations.map(|(name, value)| (name.to_owned(), value)).into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.pod.clone()),
                lease_duration_seconds: Some(LEASE_SECONDS),
                acquire_time: Some(MicroTime(acquired)),
                renew_time: Some(MicroTime(self.clock.now())),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn leave(&self, leases: &Api<Lease>) {
        let name = self.identity.lease_name();
        let deleted = tokio::time::timeout(LEAVE_WITHIN, leases.delete(&name, &DeleteParams::default())).await;
        match deleted {
            Ok(Ok(_)) => tracing::info!(lease = name, "lease deleted"),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => tracing::warn!(lease = name, %error, "the lease could not be deleted; it will expire"),
            Err(_) => tracing::warn!(lease = name, "the lease could not be deleted in time; it will expire"),
        }
    }
}
