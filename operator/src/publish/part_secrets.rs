//! The Secrets that hold the parts of one tenant's config. They are created before the index that names them, never
//! changed, and removed when no index names them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use messaging::config::kubernetes::{CONFIG_KEY, PART_TYPE, TENANT_LABEL, part_name, part_of};
use messaging::config::parts::{ContentId, MissingPart, PartIndex, check_part, packed_part};
use messaging::id::TenantId;

use super::known_parts::KnownParts;
use super::publisher::only_as_read;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::KubernetesFailure;

/// How many parts of a tenant are read or written at once.
const AT_ONCE: usize = 4;

/// The parts that exist, by what they are known by.
pub(super) type Listed = BTreeMap<ContentId, PartialObjectMeta<Secret>>;

/// One tenant's parts.
pub(super) struct PartSecrets<'a> {
    pub(super) secrets: &'a Api<Secret>,
    pub(super) tenant: &'a TenantId,
    pub(super) known: &'a KnownParts,
}

/// What was made sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// Every piece is there.
    Done,
    /// Something else wrote parts at the same time: look again.
    Overtaken,
}

impl PartSecrets<'_> {
    pub(super) async fn list(&self) -> Result<Listed, KubernetesFailure> {
        let selection = ListParams::default()
            .labels(&format!("{TENANT_LABEL}={}", self.tenant))
            .fields(&format!("type={PART_TYPE}"));
        let listed = self.secrets.list_metadata(&selection).await;
        let listed = listed.map_err(KubernetesFailure::new("the parts of the published config cannot be listed"))?;
        Ok(listed.items.into_iter().filter_map(|part| Some((part_of(self.tenant, &part.name_any())?, part))).collect())
    }

    /// Makes sure that there is a good part for every piece.
    pub(super) async fn put(&self, pieces: &[&[u8]], listed: &Listed) -> Result<Put, KubernetesFailure> {
        let pieces: BTreeMap<ContentId, &[u8]> = pieces.iter().map(|piece| (ContentId::of(piece), *piece)).collect();
        let wanting: Vec<(&ContentId, &[u8])> = pieces
            .iter()
            .filter(|(id, _)| {
                let version = listed.get(*id).and_then(|part| part.metadata.resource_version.as_deref());
                !self.known.is_good(self.tenant, id, version)
            })
            .map(|(id, piece)| (id, *piece))
            .collect();
        for some in wanting.chunks(AT_ONCE) {
            let puts = try_join_all(some.iter().map(|(id, piece)| self.put_one(id, piece, listed.get(*id)))).await?;
            if puts.contains(&Put::Overtaken) {
                return Ok(Put::Overtaken);
            }
        }
        Ok(Put::Done)
    }

    async fn put_one(
        &self,
        id: &ContentId,
        piece: &[u8],
        listed: Option<&PartialObjectMeta<Secret>>,
    ) -> Result<Put, KubernetesFailure> {
        if let Some(part) = listed {
            if self.read_one(id).await?.is_some() {
                return Ok(Put::Done);
            }
            // It can't be changed, so a good one takes its place.
            tracing::warn!(tenant = %self.tenant, %id, "a part of the published config is damaged; writing it again");
            self.remove_one(id, part).await?;
        }
        let mut secret = Secret {
            type_: Some(PART_TYPE.to_owned()),
            immutable: Some(true),
            data: Some([(CONFIG_KEY.to_owned(), ByteString(packed_part(piece)))].into()),
            ..Secret::default()
        };
        secret.metadata.name = Some(part_name(self.tenant, id));
        secret.metadata.labels = Some([(TENANT_LABEL.to_owned(), self.tenant.to_string())].into());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.secrets.create(&params, &secret).await {
            Ok(written) => {
                self.known.vouch(self.tenant, id, written.metadata.resource_version);
                Ok(Put::Done)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Put::Overtaken),
            Err(error) => Err(KubernetesFailure::new("a part of the tenant's config cannot be written")(error)),
        }
    }

    /// The config that an index names, packed, unless a part of it is missing or damaged.
    pub(super) async fn read(&self, index: &PartIndex) -> Result<Result<Vec<u8>, MissingPart>, KubernetesFailure> {
        let ids: Vec<&ContentId> = index.parts().iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut parts = BTreeMap::new();
        for some in ids.chunks(AT_ONCE) {
            let values = try_join_all(some.iter().map(|id| self.read_one(id))).await?;
            parts.extend(some.iter().copied().zip(values).filter_map(|(id, value)| Some((id, value?))));
        }
        Ok(index.whole(|id| parts.get(id).map(Vec::as_slice)))
    }

    /// A part's value; `None` when it is missing or damaged.
    async fn read_one(&self, id: &ContentId) -> Result<Option<Vec<u8>>, KubernetesFailure> {
        let read = self.secrets.get_opt(&part_name(self.tenant, id)).await;
        let read = read.map_err(KubernetesFailure::new("a part of the published config cannot be read"))?;
        let Some(secret) = read.filter(|secret| secret.type_.as_deref() == Some(PART_TYPE)) else { return Ok(None) };
        let version = secret.resource_version();
        let Some(value) = secret.data.and_then(|mut data| data.remove(CONFIG_KEY)) else { return Ok(None) };
        if check_part(id, &value.0).is_err() {
            return Ok(None);
        }
        self.known.vouch(self.tenant, id, version);
        Ok(Some(value.0))
    }

    /// Removes parts, each only as it was listed.
    pub(super) async fn remove(
        &self,
        parts: &[(&ContentId, &PartialObjectMeta<Secret>)],
    ) -> Result<(), KubernetesFailure> {
        for some in parts.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|(id, part)| self.remove_one(id, part))).await?;
        }
        Ok(())
    }

    async fn remove_one(&self, id: &ContentId, part: &PartialObjectMeta<Secret>) -> Result<(), KubernetesFailure> {
        match self.secrets.delete(&part_name(self.tenant, id), &only_as_read(part)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            // Somebody made it anew. The watch tells, and it is looked at again.
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
            Err(error) => return Err(KubernetesFailure::new("an old part of a config cannot be removed")(error)),
        }
        self.known.forget(self.tenant, id);
        Ok(())
    }
}

/// The parts that no index names, oldest first.
pub(super) fn leftovers<'l>(
    listed: &'l Listed,
    index: Option<&PartIndex>,
) -> Vec<(&'l ContentId, &'l PartialObjectMeta<Secret>)> {
    let named: BTreeSet<&ContentId> = index.iter().flat_map(|index| index.parts()).collect();
    let mut left: Vec<_> = listed.iter().filter(|(id, _)| !named.contains(id)).collect();
    left.sort_by_key(|(_, part)| part.meta().creation_timestamp.clone());
    left
}
