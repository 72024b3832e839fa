//! The parts of a config that its index does not name, and when they go. Pure.

use std::collections::BTreeSet;

use kube::Resource as _;
use messaging::config::parts::{ContentId, MOST_PARTS, PartIndex};

use super::part_secrets::{Listed, Part};

/// How many parts that no index names may wait for the replicas.
pub(super) const MOST_LEFTOVERS: usize = MOST_PARTS;

/// The parts that no index names, oldest first.
pub(super) fn leftovers<'l>(listed: &'l Listed, index: Option<&PartIndex>) -> Vec<(&'l ContentId, &'l Part)> {
    let named: BTreeSet<&ContentId> = index.iter().flat_map(|index| index.parts()).collect();
    let mut left: Vec<_> = listed.iter().filter(|(id, _)| !named.contains(id)).collect();
    left.sort_by_key(|(_, part)| part.meta().creation_timestamp.clone());
    left
}

/// Keeps of the leftovers those that go now. `published`: whether every live replica runs what is published; `None`
/// where nothing is.
///
/// They wait until every live replica runs what is published. That bears no wait for ever: a replica runs from its
/// memory and its copy on disk, and never reads old parts again. So those above [`MOST_LEFTOVERS`] go at once, the
/// oldest first.
pub(super) fn go_now<T>(left: &mut Vec<T>, published: Option<bool>) {
    if published == Some(false) {
        left.truncate(left.len().saturating_sub(MOST_LEFTOVERS));
    }
}
