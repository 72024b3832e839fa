//! What the controllers contribute to the tenants' configs: each object's own part, as it was last found to be good.
//!
//! A part that nobody contributed since the process started is *unknown*, and then the one that is published stays:
//! neither a restart nor broken credentials take anything away from the data plane.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use messaging::config::SenderConfig;
use messaging::id::{PolicyName, SenderName, TemplateName, TenantId};
use messaging::routing::RoutingConfig;
use messaging::template::TemplateConfig;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// The parts of one tenant. `None` as a value: it is known that there is nothing to publish (yet).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub senders: BTreeMap<SenderName, SenderConfig>,
    pub templates: BTreeMap<TemplateName, Option<TemplateConfig>>,
    pub policies: BTreeMap<PolicyName, Option<RoutingConfig>>,
}

/// The parts of every tenant, and which tenants are to be published again.
#[derive(Debug, Default)]
pub struct Contributions {
    tenants: Mutex<HashMap<TenantId, Parts>>,
    dirty: Mutex<Dirty>,
    woken: Notify,
}

/// Tenants that are to be published, in turn.
#[derive(Debug, Default)]
struct Dirty {
    tenants: BTreeSet<TenantId>,
    /// Who was served last.
    last: Option<TenantId>,
}

impl Dirty {
    /// The next after the one that was served last, so that a tenant which is never clean does not keep others waiting.
    fn pop(&mut self) -> Option<TenantId> {
        let after =
            self.last.as_ref().and_then(|last| self.tenants.range::<TenantId, _>((Excluded(last), Unbounded)).next());
        let next = after.or_else(|| self.tenants.first())?.clone();
        self.tenants.remove(&next);
        self.last = Some(next.clone());
        Some(next)
    }
}

impl Contributions {
    /// A sender's part, with credentials that were accepted. Tells whether it changed.
    pub fn set_sender(&self, tenant: &TenantId, name: &SenderName, part: SenderConfig) -> bool {
        self.change(tenant, |parts| replace(&mut parts.senders, name, part))
    }

    /// A template's part; `None` while there is no revision that could be sent. Tells whether it changed.
    pub fn set_template(&self, tenant: &TenantId, name: &TemplateName, part: Option<TemplateConfig>) -> bool {
        self.change(tenant, |parts| replace(&mut parts.templates, name, part))
    }

    /// A policy's part; `None` when it never resolved. Tells whether it changed.
    pub fn set_policy(&self, tenant: &TenantId, name: &PolicyName, part: Option<RoutingConfig>) -> bool {
        self.change(tenant, |parts| replace(&mut parts.policies, name, part))
    }

    /// Forgets the parts of objects that are gone.
    pub fn forget_sender(&self, tenant: &TenantId, name: &SenderName) {
        self.change(tenant, |parts| parts.senders.remove(name).is_some());
    }
    pub fn forget_template(&self, tenant: &TenantId, name: &TemplateName) {
        self.change(tenant, |parts| parts.templates.remove(name).is_some());
    }
    pub fn forget_policy(&self, tenant: &TenantId, name: &PolicyName) {
        self.change(tenant, |parts| parts.policies.remove(name).is_some());
    }

    pub fn sender(&self, tenant: &TenantId, name: &SenderName) -> Option<SenderConfig> {
        self.tenants().get(tenant)?.senders.get(name).cloned()
    }

    pub fn of(&self, tenant: &TenantId) -> Parts {
        self.tenants().get(tenant).cloned().unwrap_or_default()
    }

    /// Has the tenant published again although no part changed, because its objects, its API keys or its Secret did.
    pub fn touch(&self, tenant: &TenantId) {
        self.dirty().tenants.insert(tenant.clone());
        self.woken.notify_one();
    }

    /// Waits for a tenant that is to be published, and takes it off the list.
    pub async fn next_dirty(&self) -> TenantId {
        loop {
            if let Some(tenant) = self.dirty().pop() {
                return tenant;
            }
            self.woken.notified().await;
        }
    }

    fn change(&self, tenant: &TenantId, change: impl FnOnce(&mut Parts) -> bool) -> bool {
        let changed = {
            let mut tenants = self.tenants();
            let parts = tenants.entry(tenant.clone()).or_default();
            let changed = change(parts);
            if *parts == Parts::default() {
                tenants.remove(tenant);
            }
            changed
        };
        if changed {
            self.touch(tenant);
        }
        changed
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Parts>> {
        self.tenants.lock()
    }
    fn dirty(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock()
    }
}

fn replace<K: Ord + Clone, V: PartialEq>(parts: &mut BTreeMap<K, V>, name: &K, part: V) -> bool {
    if parts.get(name) == Some(&part) {
        return false;
    }
    parts.insert(name.clone(), part);
    true
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use messaging::routing::Route;

    use super::*;

    #[test]
    fn only_what_changed_is_published_again_and_a_tenant_once() {
        let contributions = Contributions::default();
        let (shop, clinic): (TenantId, TenantId) = ("shop".parse().unwrap(), "clinic".parse().unwrap());
        let name: PolicyName = "default".parse().unwrap();
        let policy = RoutingConfig { default: Route::direct("support".parse().unwrap()), by_country: BTreeMap::new() };
        let next = || contributions.next_dirty().now_or_never();
        assert!(contributions.set_policy(&shop, &name, Some(policy.clone())));
        contributions.touch(&shop);
        contributions.touch(&clinic);
        assert_eq!([next(), next(), next()], [Some(clinic), Some(shop.clone()), None]);

        assert!(!contributions.set_policy(&shop, &name, Some(policy)));
        assert_eq!(next(), None);
        contributions.forget_policy(&shop, &name);
        assert_eq!((next(), contributions.of(&shop)), (Some(shop), Parts::default()));
    }

    #[test]
    fn a_tenant_that_is_never_clean_keeps_nobody_waiting() {
        let contributions = Contributions::default();
        let tenants: Vec<TenantId> = ["aaa", "shop"].iter().map(|name| name.parse().unwrap()).collect();
        tenants.iter().for_each(|tenant| contributions.touch(tenant));
        let next = || contributions.next_dirty().now_or_never().unwrap();
        assert_eq!(next(), tenants[0]);
        contributions.touch(&tenants[0]);
        assert_eq!(next(), tenants[1]);
    }
}
