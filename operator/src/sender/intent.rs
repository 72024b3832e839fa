//! Records in a sender's status what is about to be done at the provider, so that a crash, or another leader, does not do it
//! again.

use crds::WhatsAppSender;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

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

/// Writes a field of the status. Fails if the sender was changed since it was read, or the field says something else by now.
/// `refused` says what could not be done.
pub(super) async fn record(
    client: &Client,
    freshness: &Freshness,
    sender: &WhatsAppSender,
    field: &str,
    value: Value,
    refused: &str,
) -> Result<(), Failure> {
    let api: Api<WhatsAppSender> = Api::namespaced(client.clone(), &sender.namespace().unwrap_or_default());
    let name = sender.name_any();
    let newest = api.get(&name).await.map_err(KubernetesFailure::new("the sender can't be read"))?;
    let known = |sender: &WhatsAppSender| serde_json::to_value(&sender.status).map(|status| status[field].clone()).ok();
    let is_as_seen = newest.uid() == sender.uid()
        && newest.metadata.generation == sender.metadata.generation
        && newest.metadata.deletion_timestamp == sender.metadata.deletion_timestamp
        && known(&newest) == known(sender);
    if !is_as_seen {
        return Err(ChangedMeanwhile.into());
    }
    let patch = json!({
        "metadata": { "resourceVersion": newest.resource_version() },
        "status": { field: value },
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let written = api.patch_status(&name, &params, &Patch::Merge(&patch)).await;
    let written = written.map_err(KubernetesFailure::new(refused))?;
    freshness.wrote(&sender.uid().unwrap_or_default(), written.resource_version().as_deref());
    Ok(())
}
