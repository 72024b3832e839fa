//! Which replicas of the data plane run the newest config of an object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crds::DataPlaneStatus;
use messaging::config::{Part, TenantConfig};
use messaging::id::{TemplateName, TenantId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::contributions::TenantContributions;
use super::sound::LeftOut;
use crate::metrics::KindName;
use crate::publish::replicas::{Acknowledged, behind, count};
use crate::reconcile::live::Live;
use crate::rotation::Acknowledgements;
use crate::rotation::proof::Proof;

/// A tenant's config as it was last published.
#[derive(Debug, Clone)]
struct Published {
    version: u128,
    /// Absent: nothing is published for the tenant.
    config: Option<TenantConfig>,
}

/// Why a tenant's newest config could not be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpublished {
    /// A person must act.
    pub stalled: bool,
    pub message: String,
}

/// What is published, and what the live replicas acknowledged.
#[derive(Debug, Default)]
pub struct DataPlane {
    published: Mutex<HashMap<TenantId, Published>>,
    /// The tenants whose newest config could not be published.
    unpublished: Mutex<HashMap<TenantId, Unpublished>>,
    /// What could not be published of each tenant, because it is faulty.
    left_out: Mutex<HashMap<TenantId, LeftOut>>,
    /// Absent until the Leases have been listed.
    alive: Mutex<Option<BTreeMap<String, Acknowledged>>>,
    /// Replicas that stopped renewing their Leases and did not remove them, by their Leases.
    silent: Mutex<BTreeSet<String>>,
    changed: Notify,
}

impl DataPlane {
    pub fn set_published(&self, tenant: &TenantId, version: u128, config: Option<TenantConfig>) {
        self.published().insert(tenant.clone(), Published { version, config });
        self.unpublished.lock().remove(tenant);
        self.changed.notify_one();
    }

    pub fn set_unpublished(&self, tenant: &TenantId, why: Unpublished) {
        if self.unpublished.lock().insert(tenant.clone(), why.clone()) != Some(why) {
            self.changed.notify_one();
        }
    }

    pub(super) fn set_left_out(&self, tenant: &TenantId, parts: LeftOut) {
        let mut left_out = self.left_out.lock();
        if left_out.get(tenant).is_some_and(|before| *before == parts) {
            return;
        }
        left_out.insert(tenant.clone(), parts);
        self.changed.notify_one();
    }

    /// Why an object was left out of its tenant's config.
    fn why_left_out(&self, kind: KindName, tenant: &TenantId, name: &str) -> Option<String> {
        let part = match kind {
            KindName::Sender => Part::Sender(name.parse().ok()?),
            KindName::Template => Part::Template(name.parse().ok()?),
            KindName::Policy => Part::Policy(name.parse().ok()?),
        };
        self.left_out.lock().get(tenant)?.get(&part).cloned()
    }

    /// Returns whether anything changed.
    pub fn set_alive(&self, now_alive: BTreeMap<String, Acknowledged>) -> bool {
        let mut alive = self.alive.lock();
        if alive.as_ref() == Some(&now_alive) {
            return false;
        }
        *alive = Some(now_alive);
        self.changed.notify_one();
        true
    }

    pub fn set_silent(&self, silent: BTreeSet<String>) {
        *self.silent.lock() = silent;
    }

    /// Lets [`DataPlane::changed`] return although nothing changed.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }

    /// Returns after a change that may change what [`DataPlane::status_of`] answers.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How many replicas run the newest config of an object. `None` while that is unknown, right after a restart.
    pub fn status_of(
        &self,
        kind: KindName,
        tenant: &TenantId,
        name: &str,
        contributed: &TenantContributions,
    ) -> Option<DataPlaneStatus> {
        let alive = self.alive.lock().clone()?;
        let published = self.published();
        let published = published.get(tenant)?;
        let up_to_date = published.config.as_ref().is_some_and(|config| holds(config, kind, name, contributed));
        let (ready, total) = count(&alive, tenant, published.version);
        let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Some(DataPlaneStatus::new(if up_to_date { int(ready) } else { 0 }, int(total)))
    }

    /// Whether the data plane runs an object as it was last contributed. `None` while that is unknown, right after a
    /// restart.
    pub fn live(
        &self,
        kind: KindName,
        tenant: &TenantId,
        name: &str,
        contributed: &TenantContributions,
    ) -> Option<Live> {
        let published = self.published().get(tenant).cloned();
        let config = published.as_ref().and_then(|published| published.config.as_ref());
        if !runs(config, kind, name, contributed)
            && let Some(Unpublished { stalled, message }) = self.unpublished.lock().get(tenant).cloned()
        {
            return Some(Live::Unpublished { stalled, message });
        }
        if !runs(config, kind, name, contributed)
            && let Some(why) = self.why_left_out(kind, tenant, name)
        {
            let message = format!("it can't be published, and the data plane runs what was published before: {why}");
            return Some(Live::Unpublished { stalled: true, message });
        }
        let alive = self.alive.lock().clone()?;
        let (version, total) = (published.as_ref()?.version, alive.len());
        if !runs(config, kind, name, contributed) {
            return Some(Live::On { ready: 0, total });
        }
        let refusals: Vec<&String> =
            alive.values().filter_map(|replica| replica.refused.get(tenant.as_str())).collect();
        if let Some(first) = refusals.first().filter(|_| refusals.len() == total) {
            return Some(Live::Refused((*first).clone()));
        }
        match count(&alive, tenant, version) {
            (ready, total) if ready == total && total > 0 => Some(Live::Everywhere),
            (ready, total) => Some(Live::On { ready, total }),
        }
    }

    /// Whether every live replica runs a config without this template. `false` while that is unknown.
    pub fn has_let_go_of(&self, tenant: &TenantId, template: &TemplateName) -> bool {
        let Some(alive) = self.alive.lock().clone() else { return false };
        let published = self.published();
        published.get(tenant).is_some_and(|published| {
            let is_published = published.config.as_ref().is_some_and(|config| config.templates.contains_key(template));
            let (ready, total) = count(&alive, tenant, published.version);
            !is_published && ready == total
        })
    }

    /// Whether every replica that may be running runs a config of the tenant of which `is_so` is true.
    pub fn everyone_runs(&self, tenant: &TenantId, is_so: &dyn Fn(&TenantConfig) -> bool) -> Proof {
        let published = self.published();
        let (Some(Published { version, config }), Some(alive)) = (published.get(tenant), &*self.alive.lock()) else {
            return Proof::NotPublished;
        };
        if !config.as_ref().is_none_or(is_so) {
            return Proof::NotPublished;
        }
        let replicas = behind(alive, tenant, *version);
        if !replicas.is_empty() {
            return Proof::Waiting { replicas, total: alive.len() };
        }
        match self.silent.lock().first() {
            Some(lease) => Proof::Doubtful(lease.clone()),
            None => Proof::Everyone,
        }
    }

    fn published(&self) -> MutexGuard<'_, HashMap<TenantId, Published>> {
        self.published.lock()
    }
}

impl Acknowledgements for DataPlane {
    fn everyone_runs(&self, tenant: &TenantId, is_so: &dyn Fn(&TenantConfig) -> bool) -> Proof {
        Self::everyone_runs(self, tenant, is_so)
    }
}

/// Whether a published config is all that an object asks for: it may hold nothing of an object that contributed nothing.
fn runs(config: Option<&TenantConfig>, kind: KindName, name: &str, contributed: &TenantContributions) -> bool {
    let contributes_nothing = match kind {
        KindName::Sender => false,
        KindName::Template => contributed.templates.get(name).is_some_and(Option::is_none),
        KindName::Policy => contributed.policies.get(name).is_some_and(Option::is_none),
    };
    match config {
        Some(config) if contributes_nothing => !match kind {
            KindName::Sender => config.senders.contains_key(name),
            KindName::Template => config.templates.contains_key(name),
            KindName::Policy => config.policies.contains_key(name),
        },
        Some(config) => holds(config, kind, name, contributed),
        None => contributes_nothing,
    }
}

/// Whether a published config holds an object as it was last contributed or, if that is unknown, holds it at all.
fn holds(config: &TenantConfig, kind: KindName, name: &str, contributed: &TenantContributions) -> bool {
    match kind {
        KindName::Sender => match (config.senders.get(name), contributed.senders.get(name)) {
            (Some(published), Some(contribution)) => published == contribution,
            (published, None) => published.is_some(),
            (None, Some(_)) => false,
        },
        KindName::Template => same(config.templates.get(name), contributed.templates.get(name)),
        KindName::Policy => same(config.policies.get(name), contributed.policies.get(name)),
    }
}

fn same<T: PartialEq>(published: Option<&T>, contribution: Option<&Option<T>>) -> bool {
    match (published, contribution) {
        (Some(published), Some(Some(contribution))) => published == contribution,
        (published, None) => published.is_some(),
        (_, Some(None)) | (None, Some(Some(_))) => false,
    }
}

#[cfg(test)]
mod tests {
    use messaging::config::FORMAT;
    use messaging::routing::{Route, RoutingConfig};
    use messaging::template::{TemplateCategory, TemplateConfig};

    use super::*;

    fn config(templates: &[&str], policies: &[(&str, RoutingConfig)]) -> TenantConfig {
        let template = TemplateConfig {
            category: TemplateCategory::Utility,
            variables: vec![],
            fallback_language: "de".into(),
            localizations: BTreeMap::new(),
        };
        TenantConfig {
            format: FORMAT,
            tenant: "shop".parse().unwrap(),
            cell: None,
            public_base_url: "https://wa.example.com".parse().unwrap(),
            senders: BTreeMap::new(),
            templates: templates.iter().map(|name| (name.parse().unwrap(), template.clone())).collect(),
            policies: policies.iter().map(|(name, policy)| (name.parse().unwrap(), policy.clone())).collect(),
            default_policy: None,
            pools: BTreeMap::new(),
            api_keys: vec![],
        }
    }

    fn policy(sender: &str) -> RoutingConfig {
        let default = Route::direct(sender.parse().unwrap());
        RoutingConfig { default, by_country: BTreeMap::new() }
    }

    fn replica(version: u128) -> Acknowledged {
        Acknowledged { version, refused: BTreeMap::new() }
    }

    #[test]
    fn a_template_is_let_go_of_once_every_live_replica_runs_a_config_without_it() {
        let (data_plane, tenant, name) = (DataPlane::default(), "shop".parse().unwrap(), "hello".parse().unwrap());
        assert!(!data_plane.has_let_go_of(&tenant, &name), "nothing is known");
        data_plane.set_published(&tenant, 7, Some(config(&["hello"], &[])));
        data_plane.set_alive([("a".into(), replica(7)), ("b".into(), replica(7))].into());
        assert!(!data_plane.has_let_go_of(&tenant, &name), "it is published");
        data_plane.set_published(&tenant, 9, Some(config(&["other"], &[])));
        data_plane.set_alive([("a".into(), replica(9)), ("b".into(), replica(7))].into());
        assert!(!data_plane.has_let_go_of(&tenant, &name), "one is behind");
        data_plane.set_alive([("a".into(), replica(9))].into());
        assert!(data_plane.has_let_go_of(&tenant, &name));
    }

    #[test]
    fn everyone_runs_a_config_once_each_replica_that_may_be_running_does() {
        let (data_plane, tenant) = (DataPlane::default(), "shop".parse().unwrap());
        let has =
            |name: &'static str| data_plane.everyone_runs(&tenant, &move |config| config.templates.contains_key(name));
        assert_eq!(has("hello"), Proof::NotPublished, "nothing is known");
        data_plane.set_published(&tenant, 7, Some(config(&["hello"], &[])));
        assert_eq!(has("hello"), Proof::NotPublished, "the replicas are not known");
        data_plane.set_alive(BTreeMap::new());
        assert_eq!((has("hello"), has("other")), (Proof::Everyone, Proof::NotPublished));
        let refuses = Acknowledged { version: 9, refused: [("shop".to_owned(), "wrong".to_owned())].into() };
        let lease = |pod: &str| format!("whatsapp-dataplane-{pod}");
        data_plane.set_alive([(lease("a"), replica(6)), (lease("b"), replica(9)), (lease("c"), refuses)].into());
        assert_eq!(has("hello"), Proof::Waiting { replicas: vec!["a".into(), "c".into()], total: 3 });
        data_plane.set_alive([(lease("a"), replica(7)), (lease("b"), replica(9))].into());
        assert_eq!(has("hello"), Proof::Everyone);
        data_plane.set_silent([lease("c")].into());
        assert_eq!(has("hello"), Proof::Doubtful(lease("c")), "it may be cut off, and still running");
        data_plane.set_silent(BTreeSet::new());
        data_plane.set_published(&tenant, 10, None);
        assert_eq!(has("hello"), Proof::Waiting { replicas: vec!["a".into(), "b".into()], total: 2 });
    }

    #[test]
    fn a_replica_counts_for_an_object_only_with_that_objects_newest_config() {
        let (data_plane, tenant) = (DataPlane::default(), "shop".parse().unwrap());
        let status = |contributed: &TenantContributions, name| {
            data_plane.status_of(KindName::Policy, &tenant, name, contributed).map(|status| status.summary)
        };
        let contributed = |contribution| TenantContributions {
            policies: [("default".parse().unwrap(), contribution)].into(),
            ..TenantContributions::default()
        };
        let published = contributed(Some(policy("support")));
        assert_eq!(status(&published, "default"), None, "nothing is known yet");
        data_plane.set_alive([("a".into(), replica(7)), ("b".into(), replica(6))].into());
        assert_eq!(status(&published, "default"), None, "what is published is not known yet");

        data_plane.set_published(&tenant, 7, Some(config(&[], &[("default", policy("support"))])));
        assert_eq!(status(&published, "default").as_deref(), Some("1/2"));
        assert_eq!(status(&TenantContributions::default(), "default").as_deref(), Some("1/2"), "right after a restart");
        assert_eq!(status(&contributed(Some(policy("sales"))), "default").as_deref(), Some("0/2"), "a newer one waits");
        assert_eq!(status(&contributed(None), "default").as_deref(), Some("0/2"), "it has nothing to run");
        assert_eq!(status(&published, "other").as_deref(), Some("0/2"));
    }

    #[test]
    fn what_the_data_plane_makes_of_an_object_is_told_apart() {
        let (data_plane, tenant) = (DataPlane::default(), "shop".parse().unwrap());
        let contributed = |policy: Option<RoutingConfig>| TenantContributions {
            policies: [("default".parse().unwrap(), policy)].into(),
            ..TenantContributions::default()
        };
        let (old, new) = (contributed(Some(policy("support"))), contributed(Some(policy("sales"))));
        let live = |of: &TenantContributions| data_plane.live(KindName::Policy, &tenant, "default", of);
        assert_eq!(live(&old), None, "nothing is known yet");

        data_plane.set_published(&tenant, 7, Some(config(&[], &[("default", policy("support"))])));
        data_plane.set_alive(BTreeMap::new());
        assert_eq!(live(&old), Some(Live::On { ready: 0, total: 0 }));
        data_plane.set_alive([("a".into(), replica(7)), ("b".into(), replica(6))].into());
        assert_eq!(live(&old), Some(Live::On { ready: 1, total: 2 }));
        assert_eq!(live(&new), Some(Live::On { ready: 0, total: 2 }));
        let part = Part::Policy("default".parse().unwrap());
        data_plane.set_left_out(&tenant, [(part, "policies.default: wrong".to_owned())].into());
        let Some(Live::Unpublished { stalled: true, message }) = live(&new) else { panic!("{:?}", live(&new)) };
        assert!(message.ends_with("policies.default: wrong"), "{message}");
        data_plane.set_left_out(&tenant, LeftOut::new());
        assert_eq!(live(&contributed(None)), Some(Live::On { ready: 0, total: 2 }), "it is not taken away yet");
        data_plane.set_alive([("a".into(), replica(7)), ("b".into(), replica(8))].into());
        assert_eq!(live(&old), Some(Live::Everywhere));

        data_plane.set_unpublished(&tenant, Unpublished { stalled: true, message: "too large".into() });
        assert_eq!(live(&old), Some(Live::Everywhere), "it runs as it is");
        assert_eq!(live(&new), Some(Live::Unpublished { stalled: true, message: "too large".into() }));

        data_plane.set_published(&tenant, 9, Some(config(&[], &[("default", policy("sales"))])));
        let refuses = Acknowledged { version: 9, refused: [("shop".to_owned(), "wrong".to_owned())].into() };
        data_plane.set_alive([("a".into(), refuses.clone()), ("b".into(), replica(9))].into());
        assert_eq!(live(&new), Some(Live::On { ready: 1, total: 2 }));
        data_plane.set_alive([("a".into(), refuses)].into());
        assert_eq!(live(&new), Some(Live::Refused("wrong".into())));
    }
}
