//! What the controllers contribute to the tenants' configs: for each object, its last good contribution.
//!
//! A contribution that was not made since the process started is *unknown*, and the published one stays. So neither a
//! restart nor broken credentials take anything away from the data plane.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::LazyLock;

use messaging::config::{PoolConfig, SenderConfig};
use messaging::id::{PolicyName, PoolId, SenderName, TemplateName, TenantId};
use messaging::routing::RoutingConfig;
use messaging::template::TemplateConfig;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// What was contributed for one tenant. `None` as a value means that the object has nothing to publish (yet).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantContributions {
    pub senders: BTreeMap<SenderName, SenderConfig>,
    pub templates: BTreeMap<TemplateName, Option<TemplateConfig>>,
    pub policies: BTreeMap<PolicyName, Option<RoutingConfig>>,
    /// The pools that each object saw at the provider.
    pub pools: BTreeMap<Observer, BTreeMap<PoolId, PoolConfig>>,
}

/// An object that looks pools up at the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observer {
    Sender(SenderName),
    Policy(PolicyName),
}

/// What was contributed for every tenant, and which tenants must be published again.
#[derive(Debug, Default)]
pub struct Contributions {
    tenants: Mutex<HashMap<TenantId, TenantContributions>>,
    dirty: Mutex<Dirty>,
    woken: Notify,
}

/// The tenants to publish, in turn.
#[derive(Debug, Default)]
struct Dirty {
    tenants: BTreeSet<TenantId>,
    /// The tenant that was served last.
    last: Option<TenantId>,
}

impl Dirty {
    /// The next tenant after the one served last, so that a tenant which is never clean does not keep the others
    /// waiting. A busy one waits until it is no longer.
    fn pop(&mut self, busy: &BTreeSet<TenantId>) -> Option<TenantId> {
        let is_free = |tenant: &&TenantId| !busy.contains(*tenant);
        let after = self
            .last
            .as_ref()
            .and_then(|last| self.tenants.range::<TenantId, _>((Excluded(last), Unbounded)).find(is_free));
        let next = after.or_else(|| self.tenants.iter().find(is_free))?.clone();
        self.tenants.remove(&next);
        self.last = Some(next.clone());
        Some(next)
    }
}

impl Contributions {
    /// A sender's contribution, with accepted credentials. Returns whether it changed.
    pub fn set_sender(&self, tenant: &TenantId, name: &SenderName, contribution: SenderConfig) -> bool {
        self.change(tenant, |contributed| replace(&mut contributed.senders, name, contribution))
    }

    /// A template's contribution; `None` while no revision can be sent. Returns whether it changed.
    pub fn set_template(&self, tenant: &TenantId, name: &TemplateName, contribution: Option<TemplateConfig>) -> bool {
        self.change(tenant, |contributed| replace(&mut contributed.templates, name, contribution))
    }

    /// A policy's contribution; `None` when it must not be published. Returns whether it changed.
    pub fn set_policy(&self, tenant: &TenantId, name: &PolicyName, contribution: Option<RoutingConfig>) -> bool {
        self.change(tenant, |contributed| replace(&mut contributed.policies, name, contribution))
    }

    /// The pools that an object depends on, as they were observed. Returns whether they changed.
    pub fn set_pools(&self, tenant: &TenantId, observer: &Observer, pools: BTreeMap<PoolId, PoolConfig>) -> bool {
        self.change(tenant, |contributed| replace(&mut contributed.pools, observer, pools))
    }

    pub fn forget_sender(&self, tenant: &TenantId, name: &SenderName) {
        self.change(tenant, |contributed| {
            let pools = contributed.pools.remove(&Observer::Sender(name.clone()));
            contributed.senders.remove(name).is_some() || pools.is_some()
        });
    }
    pub fn forget_template(&self, tenant: &TenantId, name: &TemplateName) {
        self.change(tenant, |contributed| contributed.templates.remove(name).is_some());
    }
    pub fn forget_policy(&self, tenant: &TenantId, name: &PolicyName) {
        self.change(tenant, |contributed| {
            let pools = contributed.pools.remove(&Observer::Policy(name.clone()));
            contributed.policies.remove(name).is_some() || pools.is_some()
        });
    }

    pub fn sender(&self, tenant: &TenantId, name: &SenderName) -> Option<SenderConfig> {
        self.tenants().get(tenant)?.senders.get(name).cloned()
    }

    pub fn senders(&self, tenant: &TenantId) -> BTreeMap<SenderName, SenderConfig> {
        self.tenants().get(tenant).map(|contributed| contributed.senders.clone()).unwrap_or_default()
    }

    /// What a policy contributed; the outer `None` when that is unknown.
    pub fn policy(&self, tenant: &TenantId, name: &PolicyName) -> Option<Option<RoutingConfig>> {
        self.tenants().get(tenant)?.policies.get(name).cloned()
    }

    /// Looks at everything that was contributed for one tenant.
    pub fn with<T>(&self, tenant: &TenantId, look: impl FnOnce(&TenantContributions) -> T) -> T {
        static NOTHING: LazyLock<TenantContributions> = LazyLock::new(TenantContributions::default);
        look(self.tenants().get(tenant).unwrap_or(&NOTHING))
    }

    pub fn of(&self, tenant: &TenantId) -> TenantContributions {
        self.tenants().get(tenant).cloned().unwrap_or_default()
    }

    /// Has the tenant published again although no contribution changed: its objects, its API keys or its Secret did.
    pub fn touch(&self, tenant: &TenantId) {
        self.dirty().tenants.insert(tenant.clone());
        self.woken.notify_one();
    }

    /// Waits for a tenant to publish that is not busy, and takes it off the list.
    pub async fn next_dirty(&self, busy: &BTreeSet<TenantId>) -> TenantId {
        loop {
            if let Some(tenant) = self.dirty().pop(busy) {
                return tenant;
            }
            self.woken.notified().await;
        }
    }

    /// Takes a tenant off the list, because everything contributed so far is about to be published.
    pub fn settle(&self, tenant: &TenantId) {
        self.dirty().tenants.remove(tenant);
    }

    fn change(&self, tenant: &TenantId, change: impl FnOnce(&mut TenantContributions) -> bool) -> bool {
        let changed = {
            let mut tenants = self.tenants();
            let contributed = tenants.entry(tenant.clone()).or_default();
            let changed = change(contributed);
            if *contributed == TenantContributions::default() {
                tenants.remove(tenant);
            }
            changed
        };
        if changed {
            self.touch(tenant);
        }
        changed
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, TenantContributions>> {
        self.tenants.lock()
    }
    fn dirty(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock()
    }
}

fn replace<K: Ord + Clone, V: PartialEq>(objects: &mut BTreeMap<K, V>, name: &K, contribution: V) -> bool {
    if objects.get(name) == Some(&contribution) {
        return false;
    }
    objects.insert(name.clone(), contribution);
    true
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use messaging::routing::Route;

    use super::*;

    #[test]
    fn a_tenant_is_published_again_once_and_only_after_a_change() {
        let contributions = Contributions::default();
        let (shop, clinic): (TenantId, TenantId) = ("shop".parse().unwrap(), "clinic".parse().unwrap());
        let name: PolicyName = "default".parse().unwrap();
        let policy = RoutingConfig { default: Route::direct("support".parse().unwrap()), by_country: BTreeMap::new() };
        let idle = BTreeSet::new();
        let next = || contributions.next_dirty(&idle).now_or_never();
        assert!(contributions.set_policy(&shop, &name, Some(policy.clone())));
        contributions.touch(&shop);
        contributions.touch(&clinic);
        assert_eq!([next(), next(), next()], [Some(clinic), Some(shop.clone()), None]);

        assert!(!contributions.set_policy(&shop, &name, Some(policy)));
        assert_eq!(next(), None);
        contributions.forget_policy(&shop, &name);
        assert_eq!((next(), contributions.of(&shop)), (Some(shop), TenantContributions::default()));
    }

    #[test]
    fn a_tenant_that_is_never_clean_does_not_keep_the_others_waiting() {
        let contributions = Contributions::default();
        let tenants: Vec<TenantId> = ["aaa", "shop"].iter().map(|name| name.parse().unwrap()).collect();
        tenants.iter().for_each(|tenant| contributions.touch(tenant));
        let idle = BTreeSet::new();
        let next = || contributions.next_dirty(&idle).now_or_never().unwrap();
        assert_eq!(next(), tenants[0]);
        contributions.touch(&tenants[0]);
        assert_eq!(next(), tenants[1]);
    }

    #[test]
    fn a_tenant_that_is_being_published_waits_and_the_others_do_not_wait_for_it() {
        let contributions = Contributions::default();
        let (clinic, shop): (TenantId, TenantId) = ("clinic".parse().unwrap(), "shop".parse().unwrap());
        contributions.touch(&clinic);
        contributions.touch(&shop);
        let busy = BTreeSet::from([clinic.clone()]);
        assert_eq!(contributions.next_dirty(&busy).now_or_never(), Some(shop));
        assert_eq!(contributions.next_dirty(&busy).now_or_never(), None);
        assert_eq!(contributions.next_dirty(&BTreeSet::new()).now_or_never(), Some(clinic));
    }
}
