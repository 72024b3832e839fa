//! The tenants by name, and their API keys by digest. A change of one tenant touches what is that tenant's, however
//! many tenants there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use messaging::id::TenantId;

use super::Tenant;

/// What is known of every tenant that a config was offered for.
#[derive(Default)]
pub(super) struct Index {
    entries: BTreeMap<TenantId, Entry>,
    api_keys: HashMap<[u8; 32], Vec<ApiKeyHolder>>,
    counts: Counts,
}

/// What is known of one tenant.
#[derive(Clone, Default)]
pub(super) struct Entry {
    /// What runs; `None` when no config of it could be run.
    pub(super) running: Option<Arc<Tenant>>,
    /// Why the newest config was refused; `None` when it runs.
    pub(super) refused: Option<String>,
    /// SHA-256 of the newest config as it was offered.
    pub(super) offered: [u8; 32],
}

/// The tenant that an API key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyHolder {
    pub tenant: TenantId,
    /// The name of the Secret that the key came from.
    pub name: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) running: usize,
    pub(super) refused: usize,
}

impl Index {
    pub(super) fn get(&self, tenant: &TenantId) -> Option<&Entry> {
        self.entries.get(tenant)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&TenantId, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The holder of an API key. One that several tenants hold authenticates none of them, because the caller could be
    /// any.
    pub(super) fn api_key_holder(&self, digest: &[u8; 32]) -> Option<&ApiKeyHolder> {
        let holders = self.api_keys.get(digest)?;
        let first = holders.first()?;
        holders.iter().all(|holder| holder.tenant == first.tenant).then_some(first)
    }

    /// Replaces what is known of a tenant; `None` forgets it. Returns how many API keys it touched.
    pub(super) fn set(&mut self, tenant: &TenantId, entry: Option<Entry>) -> usize {
        let runs = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.running.clone());
        let new = runs(&entry);
        if let Some(entry) = &entry {
            self.counts.running += usize::from(entry.running.is_some());
            self.counts.refused += usize::from(entry.refused.is_some());
        }
        let before = match entry {
            Some(entry) => self.entries.insert(tenant.clone(), entry),
            None => self.entries.remove(tenant),
        };
        if let Some(before) = &before {
            self.counts.running -= usize::from(before.running.is_some());
            self.counts.refused -= usize::from(before.refused.is_some());
        }
        let old = runs(&before);
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if is_same { 0 } else { self.exchange_keys(tenant, old.as_deref(), new.as_deref()) }
    }

    fn exchange_keys(&mut self, tenant: &TenantId, old: Option<&Tenant>, new: Option<&Tenant>) -> usize {
        let (old, new) = (old.map_or(&[][..], |old| &old.api_keys), new.map_or(&[][..], |new| &new.api_keys));
        for (digest, _) in old {
            if let Some(holders) = self.api_keys.get_mut(digest) {
                holders.retain(|holder| holder.tenant != *tenant);
                if holders.is_empty() {
                    self.api_keys.remove(digest);
                }
            }
        }
        for (digest, name) in new {
            let holders = self.api_keys.entry(*digest).or_default();
            if holders.iter().any(|holder| holder.tenant != *tenant) {
                tracing::warn!(%tenant, key = %name, "two tenants hold the same API key; it is refused for both");
            }
            holders.push(ApiKeyHolder { tenant: tenant.clone(), name: name.clone() });
        }
        old.len() + new.len()
    }
}
