//! The Secret that a tenant's config is in. It is written and removed only as it was read: what became newer meanwhile
//! stays.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use messaging::config::kubernetes::{CONFIG_KEY, SECRET_TYPE, TENANT_LABEL, secret_name};
use messaging::config::parts::{PartIndex, Stored};
use messaging::id::TenantId;
use tokio::time::Instant;

use super::trouble::{NoLongerLeading, NotOurs};
use crate::leader::tenure::Tenure;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::{Failure, KubernetesFailure};
use crate::reconcile::freshness::number;

/// A tenant's Secret as it was read; `None` when there is none.
pub(super) struct Slot<'a> {
    secrets: &'a Api<Secret>,
    tenant: &'a TenantId,
    name: String,
    pub(super) found: Option<Secret>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// It is there now, under this version.
    Done(u128),
    /// The Secret is no longer as it was read: read it again, and decide again.
    Overtaken,
}

impl<'a> Slot<'a> {
    pub(super) async fn read(secrets: &'a Api<Secret>, tenant: &'a TenantId) -> Result<Self, Failure> {
        let name = secret_name(tenant);
        let found =
            secrets.get_opt(&name).await.map_err(KubernetesFailure::new("the published config cannot be read"))?;
        if let Some(secret) = &found
            && secret.type_.as_deref() != Some(SECRET_TYPE)
        {
            let found = secret.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
            return Err(NotOurs { name, found }.into());
        }
        Ok(Self { secrets, tenant, name, found })
    }

    /// The version that was read; 0 when there is no Secret.
    pub(super) fn version(&self) -> u128 {
        self.found.as_ref().map_or(0, version_of)
    }

    /// The index of parts that it holds.
    pub(super) fn index(&self) -> Option<PartIndex> {
        match Stored::read(self.tenant, &self.found.as_ref()?.data.as_ref()?.get(CONFIG_KEY)?.0) {
            Ok(Stored::Parts(index)) => Some(index),
            _ => None,
        }
    }

    /// Whether the Secret is as [`Slot::write`] would leave it.
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        self.found.as_ref().is_some_and(|secret| {
            secret.data.as_ref().and_then(|data| data.get(CONFIG_KEY)).is_some_and(|published| published.0 == value)
                && secret.labels().get(TENANT_LABEL).is_some_and(|label| label == self.tenant.as_str())
        })
    }

    /// Writes a value over what was read.
    pub(super) async fn write(&self, value: Vec<u8>, tenure: &Tenure) -> Result<Write, Failure> {
        confirm(tenure).await?;
        let mut secret = Secret {
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some([(CONFIG_KEY.to_owned(), k8s_openapi::ByteString(value))].into()),
            ..Secret::default()
        };
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.labels = Some([(TENANT_LABEL.to_owned(), self.tenant.to_string())].into());
        let written = if let Some(found) = &self.found {
            // With both, the API server refuses to write over a newer one, and over one that was made anew.
            secret.metadata.resource_version = found.resource_version();
            secret.metadata.uid = found.uid();
            self.secrets.patch(&self.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&secret)).await
        } else {
            let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            self.secrets.create(&params, &secret).await
        };
        match written {
            Ok(written) => Ok(Write::Done(version_of(&written))),
            Err(error) if is_conflict(&error) => Ok(Write::Overtaken),
            Err(error) => Err(KubernetesFailure::new("the tenant's config cannot be written")(error).into()),
        }
    }

    /// Removes what was read.
    pub(super) async fn remove(&self, tenure: &Tenure) -> Result<Write, Failure> {
        let Some(found) = &self.found else { return Ok(Write::Done(0)) };
        confirm(tenure).await?;
        match self.secrets.delete(&self.name, &only_as_read(found)).await {
            Ok(_) => Ok(Write::Done(0)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Write::Done(0)),
            Err(error) if is_conflict(&error) => Ok(Write::Overtaken),
            Err(error) => Err(KubernetesFailure::new("the published config cannot be removed")(error).into()),
        }
    }
}

/// Has an object deleted only in the version that was read.
pub(in crate::publish) fn only_as_read<K: kube::Resource>(read: &K) -> DeleteParams {
    let meta = read.meta();
    let preconditions = Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

/// Makes sure that what was read before is no newer than this process's tenure, and that the tenure has not ended
/// since: the next leader counts on no write beginning after that.
pub(super) async fn confirm(tenure: &Tenure) -> Result<(), Failure> {
    let lasts = tenure.lasts().await.map_err(KubernetesFailure::new("it cannot be read which replica leads"))?;
    if lasts && tenure.may_write(Instant::now()) { Ok(()) } else { Err(NoLongerLeading.into()) }
}

fn version_of(secret: &Secret) -> u128 {
    secret.resource_version().as_deref().and_then(number).unwrap_or(0)
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
