//! Which replicas of the data plane run the newest config of an object.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crds::DataPlaneStatus;
use messaging::config::parts::ContentId;
use messaging::config::{Part, TenantConfig};
use messaging::id::{TemplateName, TenantId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::contributions::TenantContributions;
use super::sound::LeftOut;
use crate::metrics::KindName;
use crate::publish::publisher::Readers;
use crate::publish::replicas::{self, Acknowledged, behind, count};
use crate::reconcile::live::Live;
use crate::rotation::Acknowledgements;
use crate::rotation::proof::Proof;

/// A tenant's config as it was last published.
#[derive(Debug, Clone)]
struct Published {
    version: u128,
    /// What the index of its parts is known by; absent where one Secret holds it.
    index: Option<ContentId>,
    /// Absent: nothing is published for the tenant.
    config: Option<Arc<TenantConfig>>,
}

/// What has to happen before a tenant is published again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Awaited {
    /// That every live replica reads configs in parts.
    Readers,
    /// That every live replica runs what is published.
    Acknowledgement,
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
    /// Configs that were read back because this process had not published them, each with its version.
    read_back: Mutex<HashMap<TenantId, (u128, Arc<TenantConfig>)>>,
    awaited: Mutex<HashMap<TenantId, Awaited>>,
    /// The tenants whose newest config could not be published.
    unpublished: Mutex<HashMap<TenantId, Unpublished>>,
    /// What could not be published of each tenant, because it is faulty.
    left_out: Mutex<HashMap<TenantId, LeftOut>>,
    /// Absent until the Leases have been listed.
    alive: Mutex<Option<BTreeMap<String, Acknowledged>>>,
    /// Replicas that stopped renewing their Leases and did not remove them, by their Leases.
    silent: Mutex<BTreeSet<String>>,
    /// The tenants whose objects must be reported on.
    touched: Mutex<BTreeSet<TenantId>>,
    changed: Notify,
}

impl DataPlane {
    pub fn set_published(
        &self,
        tenant: &TenantId,
        version: u128,
        index: Option<ContentId>,
        config: Option<Arc<TenantConfig>>,
    ) {
        self.published().insert(tenant.clone(), Published { version, index, config });
        self.read_back.lock().remove(tenant);
        self.unpublished.lock().remove(tenant);
        self.look_again([tenant.clone()]);
    }

    /// Whether this process published a tenant's config in this version, or found it to be the newest.
    pub(super) fn is_at(&self, tenant: &TenantId, version: u128) -> bool {
        self.published().get(tenant).is_some_and(|published| published.version == version)
    }

    /// The config that is published for a tenant in this version, if it was published or read by this process.
    pub(super) fn config_at(&self, tenant: &TenantId, version: u128) -> Option<Arc<TenantConfig>> {
        if let Some(published) = self.published().get(tenant).filter(|published| published.version == version) {
            return published.config.clone();
        }
        self.read_back.lock().get(tenant).filter(|(at, _)| *at == version).map(|(_, config)| Arc::clone(config))
    }

    /// The config that this process published last for a tenant.
    pub(super) fn last_published(&self, tenant: &TenantId) -> Option<Arc<TenantConfig>> {
        self.published().get(tenant)?.config.clone()
    }

    pub(super) fn set_read_back(&self, tenant: &TenantId, version: u128, config: Arc<TenantConfig>) {
        self.read_back.lock().insert(tenant.clone(), (version, config));
    }

    /// Has the tenant named by [`DataPlane::ripe`] once this happens; `None` for nothing.
    pub(super) fn wait_for(&self, tenant: &TenantId, awaited: Option<Awaited>) {
        match awaited {
            Some(awaited) => drop(self.awaited.lock().insert(tenant.clone(), awaited)),
            None => drop(self.awaited.lock().remove(tenant)),
        }
    }

    /// The tenants for which happened what they wait for.
    pub(super) fn ripe(&self) -> Vec<TenantId> {
        let mut awaited = self.awaited.lock();
        let happened = |tenant: &TenantId, awaited: &Awaited| match awaited {
            Awaited::Readers => self.readers() == Readers::All,
            Awaited::Acknowledgement => self.is_run_by_all(tenant),
        };
        awaited.extract_if(|tenant, awaited| happened(tenant, awaited)).map(|(tenant, _)| tenant).collect()
    }

    /// Which live replicas read configs in parts.
    pub(super) fn readers(&self) -> Readers {
        match &*self.alive.lock() {
            None => Readers::Unknown,
            Some(alive) if alive.is_empty() => Readers::Nobody,
            Some(alive) => match replicas::not_reading_parts(alive) {
                none if none.is_empty() => Readers::All,
                some => Readers::AllBut(some),
            },
        }
    }

    pub fn set_unpublished(&self, tenant: &TenantId, why: Unpublished) {
        if self.unpublished.lock().insert(tenant.clone(), why.clone()) != Some(why) {
            self.look_again([tenant.clone()]);
        }
    }

    pub(super) fn set_left_out(&self, tenant: &TenantId, parts: LeftOut) {
        let mut left_out = self.left_out.lock();
        if left_out.get(tenant).is_some_and(|before| *before == parts) {
            return;
        }
        left_out.insert(tenant.clone(), parts);
        self.look_again([tenant.clone()]);
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
        let before = alive.replace(now_alive);
        let published = self.published();
        let other = published.iter().filter(|(tenant, published)| {
            acknowledged(before.as_ref(), tenant, published) != acknowledged(alive.as_ref(), tenant, published)
        });
        self.look_again(other.map(|(tenant, _)| tenant.clone()));
        true
    }

    pub fn set_silent(&self, silent: BTreeSet<String>) {
        *self.silent.lock() = silent;
    }

    /// Has [`DataPlane::changed`] return these tenants.
    pub fn look_again(&self, tenants: impl IntoIterator<Item = TenantId>) {
        self.touched.lock().extend(tenants);
        self.changed.notify_one();
    }

    /// The tenants for which [`DataPlane::status_of`] and [`DataPlane::live`] may answer something else than when they
    /// were returned last. Waits until there is one.
    pub async fn changed(&self) -> BTreeSet<TenantId> {
        loop {
            let touched = std::mem::take(&mut *self.touched.lock());
            if !touched.is_empty() {
                return touched;
            }
            self.changed.notified().await;
        }
    }

    /// How many replicas run the newest config of an object. `None` while that is unknown, right after a restart.
    pub fn status_of(
        &self,
        kind: KindName,
        tenant: &TenantId,
        name: &str,
        contributed: &TenantContributions,
    ) -> Option<DataPlaneStatus> {
        let alive = self.alive.lock();
        let alive = alive.as_ref()?;
        let published = self.published();
        let published = published.get(tenant)?;
        let up_to_date = published.config.as_ref().is_some_and(|config| holds(config, kind, name, contributed));
        let (ready, total) = count(alive, tenant, published.version, published.index.as_ref());
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
        let config = published.as_ref().and_then(|published| published.config.as_deref());
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
        let alive = self.alive.lock();
        let alive = alive.as_ref()?;
        let (Published { version, index, .. }, total) = (published.as_ref()?, alive.len());
        if !runs(config, kind, name, contributed) {
            return Some(Live::On { ready: 0, total });
        }
        let (ready, _) = count(alive, tenant, *version, index.as_ref());
        let refusals: Vec<_> = alive
            .iter()
            .filter_map(|(lease, replica)| Some((replicas::pod(lease), replica.refused.get(tenant.as_str())?.clone())))
            .collect();
        let refused_by = refusals.len();
        match refusals.into_iter().next() {
            Some((_, why)) if refused_by == total => return Some(Live::Refused(why)),
            Some((pod, why)) => return Some(Live::RefusedBySome { pod, why, ready, total }),
            None => {}
        }
        match (ready, total) {
            (ready, total) if ready == total && total > 0 => Some(Live::Everywhere),
            (ready, total) => Some(Live::On { ready, total }),
        }
    }

    /// Whether every live replica runs what is published for a tenant. `false` while that is unknown, and while none is
    /// alive.
    pub(super) fn is_run_by_all(&self, tenant: &TenantId) -> bool {
        let alive = self.alive.lock();
        let published = self.published();
        let (Some(alive), Some(Published { version, index, .. })) = (alive.as_ref(), published.get(tenant)) else {
            return false;
        };
        !alive.is_empty() && behind(alive, tenant, *version, index.as_ref()).is_empty()
    }

    /// Whether every live replica runs a config without this template. `false` while that is unknown.
    pub fn has_let_go_of(&self, tenant: &TenantId, template: &TemplateName) -> bool {
        let alive = self.alive.lock();
        let Some(alive) = alive.as_ref() else { return false };
        let published = self.published();
        published.get(tenant).is_some_and(|published| {
            let is_published = published.config.as_ref().is_some_and(|config| config.templates.contains_key(template));
            let (ready, total) = count(alive, tenant, published.version, published.index.as_ref());
            !is_published && ready == total
        })
    }

    /// Whether every replica that may be running runs a config of the tenant of which `is_so` is true.
    pub fn everyone_runs(&self, tenant: &TenantId, is_so: &dyn Fn(&TenantConfig) -> bool) -> Proof {
        let alive = self.alive.lock();
        let published = self.published();
        let (Some(Published { version, index, config }), Some(alive)) = (published.get(tenant), alive.as_ref()) else {
            return Proof::NotPublished;
        };
        if !config.as_deref().is_none_or(is_so) {
            return Proof::NotPublished;
        }
        let replicas = behind(alive, tenant, *version, index.as_ref());
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

/// What the live replicas acknowledged of what is published for a tenant: by the Lease, whether it runs it, and why it
/// refused.
fn acknowledged<'a>(
    alive: Option<&'a BTreeMap<String, Acknowledged>>,
    tenant: &TenantId,
    Published { version, index, .. }: &Published,
) -> Option<BTreeMap<&'a str, (bool, Option<&'a str>)>> {
    let of = |replica: &'a Acknowledged| {
        let refused = replica.refused.get(tenant.as_str()).map(String::as_str);
        (replica.runs(tenant, *version, index.as_ref()), refused)
    };
    Some(alive?.iter().map(|(lease, replica)| (lease.as_str(), of(replica))).collect())
}

/// Whether a published config is all that an object asks for: it may hold nothing of an object that contributed
/// nothing.
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
            localizations: Default::default(),
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
        Acknowledged { version, ..Acknowledged::default() }
    }

    #[tokio::test]
    async fn only_the_tenants_are_reported_on_again_whose_answer_may_be_another() {
        let data_plane = DataPlane::default();
        let [shop, bank]: [TenantId; 2] = ["shop", "bank"].map(|tenant| tenant.parse().unwrap());
        let touched = async || data_plane.changed().await;
        data_plane.set_published(&shop, 7, None, Some(config(&["hello"], &[]).into()));
        assert_eq!(touched().await, [shop.clone()].into());
        data_plane.set_published(&bank, 9, None, Some(config(&["hello"], &[]).into()));
        assert_eq!(touched().await, [bank.clone()].into());
        for (alive, concerned, why) in [
            (vec![("a", replica(7))], vec![&bank, &shop], "the replicas are known"),
            (vec![("a", replica(9))], vec![&bank], "it follows, and ran the shop's already"),
            (vec![("a", replica(9)), ("b", replica(9))], vec![&bank, &shop], "another replica"),
            (
                vec![
                    ("a", Acknowledged { refused: [("shop".into(), "wrong".into())].into(), ..replica(9) }),
                    ("b", replica(9)),
                ],
                vec![&shop],
                "a refusal",
            ),
        ] {
            assert!(data_plane.set_alive(alive.into_iter().map(|(lease, run)| (lease.into(), run)).collect()));
            assert_eq!(touched().await.iter().collect::<Vec<_>>(), concerned, "{why}");
        }
        data_plane.set_unpublished(&bank, Unpublished { stalled: true, message: "too large".into() });
        assert_eq!(touched().await, [bank].into());
    }

    #[test]
    fn a_template_is_let_go_of_once_every_live_replica_runs_a_config_without_it() {
        let (data_plane, tenant, name) = (DataPlane::default(), "shop".parse().unwrap(), "hello".parse().unwrap());
        assert!(!data_plane.has_let_go_of(&tenant, &name), "nothing is known");
        data_plane.set_published(&tenant, 7, None, Some(config(&["hello"], &[]).into()));
        data_plane.set_alive([("a".into(), replica(7)), ("b".into(), replica(7))].into());
        assert!(!data_plane.has_let_go_of(&tenant, &name), "it is published");
        data_plane.set_published(&tenant, 9, None, Some(config(&["other"], &[]).into()));
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
        data_plane.set_published(&tenant, 7, None, Some(config(&["hello"], &[]).into()));
        assert_eq!(has("hello"), Proof::NotPublished, "the replicas are not known");
        data_plane.set_alive(BTreeMap::new());
        assert_eq!((has("hello"), has("other")), (Proof::Everyone, Proof::NotPublished));
        let refuses =
            Acknowledged { version: 9, refused: [("shop".to_owned(), "wrong".to_owned())].into(), parts: None };
        let lease = |pod: &str| format!("whatsapp-dataplane-{pod}");
        data_plane.set_alive([(lease("a"), replica(6)), (lease("b"), replica(9)), (lease("c"), refuses)].into());
        assert_eq!(has("hello"), Proof::Waiting { replicas: vec!["a".into(), "c".into()], total: 3 });
        data_plane.set_alive([(lease("a"), replica(7)), (lease("b"), replica(9))].into());
        assert_eq!(has("hello"), Proof::Everyone);
        data_plane.set_silent([lease("c")].into());
        assert_eq!(has("hello"), Proof::Doubtful(lease("c")), "it may be cut off, and still running");
        data_plane.set_silent(BTreeSet::new());
        data_plane.set_published(&tenant, 10, None, None);
        assert_eq!(has("hello"), Proof::Waiting { replicas: vec!["a".into(), "b".into()], total: 2 });
    }

    #[test]
    fn a_config_in_parts_is_run_by_the_replicas_that_name_its_index() {
        let (data_plane, tenant) = (DataPlane::default(), "shop".parse().unwrap());
        let (old, new) = (ContentId::of(b"old"), ContentId::of(b"new"));
        let names = |index: &ContentId| Acknowledged {
            parts: Some([("shop".to_owned(), index.to_string())].into()),
            ..replica(9)
        };
        assert_eq!(data_plane.readers(), Readers::Unknown);
        data_plane.set_published(&tenant, 7, Some(new.clone()), Some(config(&["hello"], &[]).into()));
        data_plane.wait_for(&tenant, Some(Awaited::Acknowledgement));
        let lease = |pod: &str| format!("whatsapp-dataplane-{pod}");
        data_plane.set_alive([(lease("a"), names(&new)), (lease("b"), names(&old)), (lease("c"), replica(9))].into());
        let everyone = || data_plane.everyone_runs(&tenant, &|_| true);
        assert_eq!(everyone(), Proof::Waiting { replicas: vec!["b".into(), "c".into()], total: 3 });
        assert_eq!(data_plane.readers(), Readers::AllBut(vec!["c".into()]));
        let status = || data_plane.status_of(KindName::Template, &tenant, "hello", &TenantContributions::default());
        assert_eq!(status().unwrap().summary, "1/3");
        assert_eq!(data_plane.ripe(), []);

        data_plane.set_alive([(lease("a"), names(&new)), (lease("b"), names(&new))].into());
        assert_eq!((everyone(), data_plane.is_run_by_all(&tenant)), (Proof::Everyone, true));
        assert_eq!((data_plane.readers(), status().unwrap().summary.as_str()), (Readers::All, "2/2"));
        assert_eq!((data_plane.ripe(), data_plane.ripe()), (vec![tenant.clone()], vec![]), "it is told once");
        data_plane.set_alive(BTreeMap::new());
        assert!(!data_plane.is_run_by_all(&tenant));
        assert_eq!(data_plane.readers(), Readers::Nobody);
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

        data_plane.set_published(&tenant, 7, None, Some(config(&[], &[("default", policy("support"))]).into()));
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

        data_plane.set_published(&tenant, 7, None, Some(config(&[], &[("default", policy("support"))]).into()));
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

        data_plane.set_published(&tenant, 9, None, Some(config(&[], &[("default", policy("sales"))]).into()));
        let refuses =
            Acknowledged { version: 9, refused: [("shop".to_owned(), "wrong".to_owned())].into(), parts: None };
        data_plane.set_alive([("a".into(), refuses.clone()), ("b".into(), replica(9))].into());
        let by_some = Live::RefusedBySome { pod: "a".into(), why: "wrong".into(), ready: 1, total: 2 };
        assert_eq!(live(&new), Some(by_some));
        data_plane.set_alive([("a".into(), refuses)].into());
        assert_eq!(live(&new), Some(Live::Refused("wrong".into())));
    }
}
