//! Puts configs together that are in parts: what the watch has shown of each so far. Pure.
//!
//! An index is used once every part that it names is here, in whatever order they came. Until then nothing changes.

use std::collections::{BTreeMap, BTreeSet};

use messaging::config::parts::{ContentId, MOST_PARTS, PartIndex, check_part};
use messaging::id::TenantId;

/// How many parts of one tenant are held: of the config that runs, of the next one, and of those before that the
/// operator has not removed yet.
const MOST_HELD: usize = 3 * MOST_PARTS;

/// The configs in parts of all tenants.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    tenants: BTreeMap<TenantId, Pieces>,
    /// What a list that has begun has shown so far.
    listed: Option<BTreeSet<(TenantId, ContentId)>>,
}

#[derive(Debug, Default)]
struct Pieces {
    index: Option<Index>,
    /// Each as it is packed, or what is wrong with it.
    parts: BTreeMap<ContentId, Result<Vec<u8>, String>>,
}

/// The newest index of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) names: PartIndex,
    /// The `resourceVersion` of its Secret.
    pub(super) version: Option<String>,
}

/// Why an index is not used yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotWhole {
    #[error(transparent)]
    Missing(#[from] messaging::config::parts::MissingPart),
    #[error("part {0} of the tenant config is damaged: {1}")]
    Damaged(ContentId, String),
}

impl Assembly {
    /// A complete list begins.
    pub(super) fn begin_list(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// The list is complete: what it did not show is gone.
    pub(super) fn end_list(&mut self) {
        let Some(listed) = self.listed.take() else { return };
        for (tenant, pieces) in &mut self.tenants {
            pieces.parts.retain(|id, _| listed.contains(&(tenant.clone(), id.clone())));
        }
        self.forget_empty();
    }

    /// Takes a part. Returns whether the tenant's newest index names it.
    pub(super) fn take_part(&mut self, tenant: &TenantId, id: ContentId, value: Vec<u8>) -> bool {
        if let Some(listed) = &mut self.listed {
            listed.insert((tenant.clone(), id.clone()));
        }
        let pieces = self.tenants.entry(tenant.clone()).or_default();
        if pieces.parts.len() >= MOST_HELD && !pieces.parts.contains_key(&id) {
            tracing::warn!(%tenant, %id, held = MOST_HELD, "part ignored: the tenant has too many");
            return false;
        }
        let is_named = pieces.index.as_ref().is_some_and(|index| index.names.parts().contains(&id));
        let checked = check_part(&id, &value).map(|()| value).map_err(|error| error.to_string());
        pieces.parts.insert(id, checked);
        is_named
    }

    pub(super) fn drop_part(&mut self, tenant: &TenantId, id: &ContentId) {
        if let Some(pieces) = self.tenants.get_mut(tenant) {
            pieces.parts.remove(id);
            self.forget_empty();
        }
    }

    /// Replaces the tenant's index; `None` when its config is not in parts, or gone.
    pub(super) fn set_index(&mut self, tenant: &TenantId, index: Option<Index>) {
        match index {
            Some(index) => self.tenants.entry(tenant.clone()).or_default().index = Some(index),
            None => {
                if let Some(pieces) = self.tenants.get_mut(tenant) {
                    pieces.index = None;
                    self.forget_empty();
                }
            }
        }
    }

    /// The tenants whose config is in parts.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.tenants.iter().filter(|(_, pieces)| pieces.index.is_some()).map(|(tenant, _)| tenant.clone()).collect()
    }

    /// The config that the tenant's index names, packed; `None` when its config is not in parts.
    pub(super) fn whole(&self, tenant: &TenantId) -> Option<(Index, Result<Vec<u8>, NotWhole>)> {
        let Pieces { index, parts } = self.tenants.get(tenant)?;
        let index = index.clone()?;
        let damaged = index.names.parts().iter().find_map(|id| {
            let why = parts.get(id)?.as_ref().err()?;
            Some(NotWhole::Damaged(id.clone(), why.clone()))
        });
        let part = |id: &ContentId| parts.get(id)?.as_ref().ok().map(Vec::as_slice);
        let whole = damaged.map_or_else(|| index.names.whole(part).map_err(NotWhole::from), Err);
        Some((index, whole))
    }

    fn forget_empty(&mut self) {
        self.tenants.retain(|_, pieces| pieces.index.is_some() || !pieces.parts.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use messaging::config::parts::packed_part;
    use proptest::prelude::*;

    use super::*;

    fn shop() -> TenantId {
        "shop".parse().unwrap()
    }

    fn index(pieces: &[&[u8]]) -> Index {
        Index { names: PartIndex::of(&shop(), pieces), version: None }
    }

    fn give(assembly: &mut Assembly, piece: &[u8]) -> bool {
        assembly.take_part(&shop(), ContentId::of(piece), packed_part(piece))
    }

    fn whole(assembly: &Assembly) -> Result<Vec<u8>, String> {
        let (_, whole) = assembly.whole(&shop()).expect("it is in parts");
        whole.map_err(|error| error.to_string())
    }

    fn packed(pieces: &[&[u8]]) -> Vec<u8> {
        pieces.iter().flat_map(|piece| packed_part(piece)).collect()
    }

    #[test]
    fn nothing_is_whole_while_a_part_is_missing_stale_or_damaged() {
        let mut assembly = Assembly::default();
        assert!(assembly.whole(&shop()).is_none());
        assembly.set_index(&shop(), Some(index(&[b"one", b"two"])));
        assert!(give(&mut assembly, b"one"));
        assert!(!give(&mut assembly, b"two of another revision"));
        assert!(whole(&assembly).unwrap_err().contains("part 2 of 2 of the tenant config is not there"));
        assembly.take_part(&shop(), ContentId::of(b"two"), packed_part(b"tow"));
        assert!(whole(&assembly).unwrap_err().contains("is damaged"), "{:?}", whole(&assembly));

        give(&mut assembly, b"two");
        assert_eq!(whole(&assembly).unwrap(), packed(&[b"one", b"two"]));
        assembly.drop_part(&shop(), &ContentId::of(b"one"));
        assert!(whole(&assembly).unwrap_err().contains("part 1 of 2"));
    }

    #[test]
    fn what_a_fresh_list_does_not_show_is_gone() {
        let mut assembly = Assembly::default();
        assembly.set_index(&shop(), Some(index(&[b"one"])));
        for piece in [&b"one"[..], b"before"] {
            give(&mut assembly, piece);
        }
        assembly.begin_list();
        give(&mut assembly, b"one");
        assembly.end_list();
        assert_eq!(assembly.tenants[&shop()].parts.len(), 1);
        assert!(whole(&assembly).is_ok());

        assembly.set_index(&shop(), None);
        assembly.begin_list();
        assembly.end_list();
        assert!(assembly.tenants.is_empty() && assembly.tenants().is_empty());
    }

    #[test]
    fn a_tenant_with_too_many_parts_uses_up_no_memory() {
        let mut assembly = Assembly::default();
        for n in 0..MOST_HELD + 10 {
            give(&mut assembly, n.to_string().as_bytes());
        }
        assert_eq!(assembly.tenants[&shop()].parts.len(), MOST_HELD);
    }

    proptest! {
        #[test]
        fn parts_in_any_order_give_the_whole_and_never_another(
            order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(), at in 0..7_usize,
        ) {
            let pieces: Vec<Vec<u8>> = (0..6_u8).map(|n| vec![n; 100]).collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut assembly = Assembly::default();
            for (step, n) in order.iter().enumerate() {
                if step == at {
                    assembly.set_index(&shop(), Some(index(&pieces)));
                }
                prop_assert!(step < at || whole(&assembly).is_err());
                give(&mut assembly, pieces[*n]);
            }
            if at == 6 {
                assembly.set_index(&shop(), Some(index(&pieces)));
            }
            prop_assert_eq!(whole(&assembly).unwrap(), packed(&pieces));
        }
    }
}
