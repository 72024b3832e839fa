//! Records in a sender's status which pool it is about to be added to.

use std::sync::Arc;

use async_trait::async_trait;
use crds::{MembershipStatus, WhatsAppSender};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::reconcile::freshness::Freshness;

/// The sender changed during the reconcile.
#[derive(Debug, thiserror::Error)]
#[error("the sender changed during the reconcile; trying again")]
struct ChangedMeanwhile;

impl Explain for ChangedMeanwhile {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::PROGRESSING
    }
}

#[async_trait]
pub trait RecordMembership: Send + Sync {
    /// Fails if the sender was changed since it was read, or its status tells of another membership, which also stops a
    /// leader that was replaced.
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure>;
}

/// Records at the API server.
pub struct ClusterMemberships {
    pub client: Client,
    pub freshness: Arc<Freshness>,
}

#[async_trait]
impl RecordMembership for ClusterMemberships {
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure> {
        let api: Api<WhatsAppSender> = Api::namespaced(self.client.clone(), &sender.namespace().unwrap_or_default());
        let name = sender.name_any();
        let newest = api.get(&name).await.map_err(KubernetesFailure::new("the sender can't be read"))?;
        let known = |sender: &WhatsAppSender| sender.status.as_ref().and_then(|status| status.membership.clone());
        let is_as_seen = newest.uid() == sender.uid()
            && newest.metadata.generation == sender.metadata.generation
            && newest.metadata.deletion_timestamp == sender.metadata.deletion_timestamp
            && known(&newest) == known(sender);
        if !is_as_seen {
            return Err(ChangedMeanwhile.into());
        }
        let patch = json!({
            "metadata": { "resourceVersion": newest.resource_version() },
            "status": { "membership": membership },
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch_status(&name, &params, &Patch::Merge(&patch)).await.map_err(KubernetesFailure::new(
            "the intent to add the sender to its Messaging Service can't be recorded",
        ))?;
        self.freshness.wrote(&sender.uid().unwrap_or_default(), written.resource_version().as_deref());
        Ok(())
    }
}
