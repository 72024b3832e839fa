//! Records in an object's status what is about to be done at the provider, so that a crash, or another leader, does not
//! do it again.

use std::sync::Arc;

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::drive::FIELD_MANAGER;
use super::error::{Advice, Explain, Failure, KubernetesFailure};
use super::freshness::Freshness;
use super::kind::Kind;
use crate::metrics::KindName;

/// Records at the API server.
pub struct Recorder {
    pub client: Client,
    pub freshness: Arc<Freshness>,
}

/// The object changed during the reconcile.
#[derive(Debug, thiserror::Error)]
#[error("the {} changed during the reconcile; trying again", .0.as_str())]
struct ChangedMeanwhile(KindName);

impl Explain for ChangedMeanwhile {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::PROGRESSING
    }
}

impl Recorder {
    /// Writes fields of the status. Fails if the object was changed since it was `read`, or its status is not as it was
    /// `seen`, which also stops a leader that was replaced. `refused` says what could not be done.
    pub async fn write<K: Kind>(
        &self,
        read: &K,
        seen: impl Fn(&K::Status) -> bool + Send,
        fields: &Value,
        refused: &str,
    ) -> Result<(), Failure> {
        let api: Api<K> = Api::namespaced(self.client.clone(), &read.namespace().unwrap_or_default());
        let name = read.name_any();
        let what = format!("the {} can't be read", K::NAME.as_str());
        let newest = api.get(&name).await.map_err(KubernetesFailure::new(what))?;
        let is_as_read = newest.uid() == read.uid()
            && newest.meta().generation == read.meta().generation
            && newest.meta().deletion_timestamp == read.meta().deletion_timestamp
            && seen(&newest.status().cloned().unwrap_or_default());
        if !is_as_read {
            return Err(ChangedMeanwhile(K::NAME).into());
        }
        let patch = json!({ "metadata": { "resourceVersion": newest.resource_version() }, "status": fields });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch_status(&name, &params, &Patch::Merge(&patch)).await;
        let written = written.map_err(KubernetesFailure::new(refused))?;
        self.freshness.wrote(&read.uid().unwrap_or_default(), written.resource_version().as_deref());
        Ok(())
    }
}
