//! Which parts of configs exist, and which of them are known to be good: written by this process, or read and checked.

use std::collections::{BTreeMap, HashMap};

use messaging::config::parts::ContentId;
use messaging::id::TenantId;
use parking_lot::Mutex;

/// The parts of every tenant, each with the version in which it is good; `None` for one that nobody has looked into.
#[derive(Debug, Default)]
pub struct KnownParts(Mutex<HashMap<TenantId, BTreeMap<ContentId, Option<String>>>>);

impl KnownParts {
    /// Notes what a watch shows. Returns whether it is news.
    pub(super) fn see(&self, tenant: &TenantId, part: &ContentId, version: Option<&str>) -> bool {
        if self.is_good(tenant, part, version) {
            return false;
        }
        self.0.lock().entry(tenant.clone()).or_default().insert(part.clone(), None);
        true
    }

    /// Notes that a part is good in this version.
    pub(super) fn vouch(&self, tenant: &TenantId, part: &ContentId, version: Option<String>) {
        self.0.lock().entry(tenant.clone()).or_default().insert(part.clone(), version);
    }

    /// Notes that a part is gone. Returns whether it is news.
    pub(super) fn forget(&self, tenant: &TenantId, part: &ContentId) -> bool {
        let mut known = self.0.lock();
        let Some(parts) = known.get_mut(tenant) else { return false };
        let was_known = parts.remove(part).is_some();
        if parts.is_empty() {
            known.remove(tenant);
        }
        was_known
    }

    pub(super) fn is_good(&self, tenant: &TenantId, part: &ContentId, version: Option<&str>) -> bool {
        let known = self.0.lock();
        version.is_some()
            && known.get(tenant).and_then(|parts| parts.get(part)).is_some_and(|good| good.as_deref() == version)
    }

    /// Whether the tenant has any.
    pub(super) fn has_any(&self, tenant: &TenantId) -> bool {
        self.0.lock().contains_key(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_news_until_it_was_looked_into_and_again_in_another_version() {
        let (known, shop, part) = (KnownParts::default(), "shop".parse().unwrap(), ContentId::of(b"x"));
        assert!(known.see(&shop, &part, Some("1")) && known.has_any(&shop));
        assert!(!known.is_good(&shop, &part, Some("1")));
        known.vouch(&shop, &part, Some("1".into()));
        assert!(!known.see(&shop, &part, Some("1")) && known.is_good(&shop, &part, Some("1")));
        assert!(known.see(&shop, &part, Some("2")));
        assert!(!known.is_good(&shop, &part, Some("1")));
        assert!(known.forget(&shop, &part));
        assert!(!known.forget(&shop, &part) && !known.has_any(&shop));
    }
}
