//! The Secrets that hold the parts of one tenant's config. They are created before the index that names them, their
//! content never changes, and they are removed when no index names them.
//!
//! A leader that is held up may remove what was left over when it looked, long after another leads: but only in the
//! version that it saw. So an index that names such a part again waits until the part has another version.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use messaging::config::kubernetes::{CONFIG_KEY, PART_TYPE, TENANT_LABEL, part_name, part_of};
use messaging::config::parts::{ContentId, MissingPart, PartIndex, check_part, packed_part};
use messaging::id::TenantId;

use super::known_parts::KnownParts;
use super::publisher::only_as_read;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::KubernetesFailure;

/// Says in which version a part was before it was written again, so that each such write is a change.
const RENEWED_ANNOTATION: &str = "whatsapp-operator.dev/renewed-from";

/// How many parts of a tenant are read or written at once.
const AT_ONCE: usize = 4;

/// A part's Secret, without what it holds.
pub(super) type Part = PartialObjectMeta<Secret>;

/// The parts that exist, by what they are known by.
pub(super) type Listed = BTreeMap<ContentId, Part>;

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

/// What has to be done so that an index may name a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// There is none.
    Creation,
    /// Nobody has looked into it.
    Check,
    /// It was left over, so a leader that was held up may be about to remove it in the version that it has.
    Renewal,
}

impl Wants {
    /// `is_named`: by the index that is published now.
    pub(super) fn of(exists: bool, is_good: bool, is_named: bool) -> Self {
        match (exists, is_named) {
            (false, _) => Self::Creation,
            (true, false) => Self::Renewal,
            (true, true) if is_good => Self::Nothing,
            (true, true) => Self::Check,
        }
    }
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

    /// Makes sure that there is a good part for every piece, and that it stays. `before` is the index that is
    /// published.
    pub(super) async fn put(
        &self,
        pieces: &[&[u8]],
        listed: &Listed,
        before: Option<&PartIndex>,
    ) -> Result<Put, KubernetesFailure> {
        let pieces: BTreeMap<ContentId, &[u8]> = pieces.iter().map(|piece| (ContentId::of(piece), *piece)).collect();
        let named: BTreeSet<&ContentId> = before.iter().flat_map(|index| index.parts()).collect();
        let wants = |id: &ContentId| {
            let part = listed.get(id);
            let version = part.and_then(|part| part.metadata.resource_version.as_deref());
            Wants::of(part.is_some(), self.known.is_good(self.tenant, id, version), named.contains(id))
        };
        let wanting: Vec<(&ContentId, &[u8], Wants)> = (pieces.iter().map(|(id, piece)| (id, *piece, wants(id))))
            .filter(|(.., wants)| *wants != Wants::Nothing)
            .collect();
        for some in wanting.chunks(AT_ONCE) {
            let puts = some.iter().map(|(id, piece, wants)| self.put_one(id, piece, listed.get(*id), *wants));
            if try_join_all(puts).await?.contains(&Put::Overtaken) {
                return Ok(Put::Overtaken);
            }
        }
        Ok(Put::Done)
    }

    async fn put_one(
        &self,
        id: &ContentId,
        piece: &[u8],
        listed: Option<&Part>,
        wants: Wants,
    ) -> Result<Put, KubernetesFailure> {
        if let Some(part) = listed {
            let version = part.metadata.resource_version.as_deref();
            let is_good = self.known.is_good(self.tenant, id, version) || self.read_one(id).await?.is_some();
            match wants {
                Wants::Renewal if is_good => return self.renew_one(id, piece, part).await,
                _ if is_good => return Ok(Put::Done),
                _ => {}
            }
            // It can't be changed, so a good one takes its place.
            tracing::warn!(tenant = %self.tenant, %id, "a part of the published config is damaged; writing it again");
            self.remove_one(id, part).await?;
        }
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.written(id, self.secrets.create(&params, &self.secret(id, piece)).await)
    }

    /// Writes a part again as it is, so that whoever saw it in the version before can't remove it.
    async fn renew_one(&self, id: &ContentId, piece: &[u8], part: &Part) -> Result<Put, KubernetesFailure> {
        let mut secret = self.secret(id, piece);
        secret.metadata.resource_version.clone_from(&part.metadata.resource_version);
        secret.metadata.uid.clone_from(&part.metadata.uid);
        let from = part.metadata.resource_version.clone().unwrap_or_default();
        secret.metadata.annotations = Some([(RENEWED_ANNOTATION.to_owned(), from)].into());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.written(id, self.secrets.patch(&part_name(self.tenant, id), &params, &Patch::Apply(&secret)).await)
    }

    fn secret(&self, id: &ContentId, piece: &[u8]) -> Secret {
        let mut secret = Secret {
            type_: Some(PART_TYPE.to_owned()),
            immutable: Some(true),
            data: Some([(CONFIG_KEY.to_owned(), ByteString(packed_part(piece)))].into()),
            ..Secret::default()
        };
        secret.metadata.name = Some(part_name(self.tenant, id));
        secret.metadata.labels = Some([(TENANT_LABEL.to_owned(), self.tenant.to_string())].into());
        secret
    }

    fn written(&self, id: &ContentId, written: kube::Result<Secret>) -> Result<Put, KubernetesFailure> {
        match written {
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
    pub(super) async fn remove(&self, parts: &[(&ContentId, &Part)]) -> Result<(), KubernetesFailure> {
        for some in parts.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|(id, part)| self.remove_one(id, part))).await?;
        }
        Ok(())
    }

    async fn remove_one(&self, id: &ContentId, part: &Part) -> Result<(), KubernetesFailure> {
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
