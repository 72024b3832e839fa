//! Webhook endpoints: from the URL that a provider calls to the senders that it may speak for, over all tenants.
//!
//! An endpoint may serve several tenants, as a provider's app does. So each tenant contributes its senders to the
//! endpoints at which they hear, and an endpoint is built from all contributions to it. A change of one tenant rebuilds
//! only the endpoints that it contributed to before or contributes to now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use messaging::address::PhoneNumber;
use messaging::config::TenantConfig;
use messaging::id::{SenderName, TenantId};
use messaging::provider::WebhookAdapter;
use messaging::provider::webhook::{self, Addressee, Ear, EndpointId};
use messaging::secret::Secret;
use parking_lot::RwLock;
use url::Url;

/// The webhook adapter of every provider.
pub type Adapters = Arc<[Arc<dyn WebhookAdapter>]>;

/// An endpoint, ready to verify what is sent to it.
pub struct Endpoint {
    pub adapter: Arc<dyn WebhookAdapter>,
    pub verifier: Arc<dyn webhook::Endpoint>,
    /// The internet's view of the webhook listener, without a trailing slash.
    pub base_url: String,
    /// Every key that may have signed, in the verifier's order.
    keys: Vec<Secret>,
    /// The sender that the endpoint belongs to; `None` for an endpoint that several share.
    own: Option<(TenantId, SenderName)>,
    /// The senders that it may speak for, by tenant.
    speakers: Vec<Arc<[Speaker]>>,
    /// The numbers of the pools that the owner's tenant uses, as they were observed at the provider.
    pooled: Arc<BTreeSet<PhoneNumber>>,
}

/// A sender that an endpoint may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// In its canonical spelling.
    number: PhoneNumber,
    handle: Option<String>,
    /// The provider's id of its account.
    pub account: String,
    /// The keys that the sender's own config holds.
    keys: Vec<Secret>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, verifier: _, base_url, keys: _, own, speakers, pooled } = self;
        let mut endpoint = f.debug_struct("Endpoint");
        endpoint.field("provider", &adapter.provider()).field("base_url", base_url).field("own", own);
        endpoint.field("speakers", speakers).field("pooled", pooled).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The senders that a part is for. `key` is the index of the key that signed it, and `is_anothers` tells whether a
    /// sender of another tenant has a number at the same account.
    ///
    /// Failure policy: fail closed. A part counts only for senders whose own config holds the key. A tenant that names
    /// another tenant's app together with a secret of its own can sign nothing for the other. A part for a number that
    /// no sender here has is for nobody, because the customer who wrote may be another tenant's.
    fn addressees(
        &self,
        addressee: &Addressee,
        key: usize,
        is_anothers: impl Fn(&Speaker, &[PhoneNumber], &Secret) -> bool,
    ) -> Vec<&Speaker> {
        let Some(key) = self.keys.get(key) else { return Vec::new() };
        let mut holders = self.speakers.iter().flat_map(|of_tenant| of_tenant.iter()).filter(|s| s.keys.contains(key));
        let is_own = |s: &Speaker| self.own.as_ref().is_some_and(|own| own.0 == s.tenant && own.1 == s.sender);
        let mut one =
            |is_meant: &dyn Fn(&Speaker) -> bool| holders.find(|speaker| is_meant(speaker)).into_iter().collect();
        match addressee {
            Addressee::Endpoint => one(&is_own),
            Addressee::Number(number) => {
                let spellings = number.spellings();
                let (mut own, mut meant) = (None, None);
                for speaker in holders {
                    let (belongs, is_meant) = (is_own(speaker), spellings.contains(&speaker.number));
                    if belongs && is_meant {
                        return vec![speaker];
                    }
                    own = own.or(belongs.then_some(speaker));
                    meant = meant.or(is_meant.then_some(speaker));
                }
                // A number of the owner's pool that nobody declares: a stop to it counts for the pool, which the sender
                // whose URL was called stands for.
                let is_pooled = || spellings.iter().any(|number| self.pooled.contains(number));
                let for_the_pool = |own: &&Speaker| is_pooled() && !is_anothers(own, &spellings, key);
                meant.or_else(|| own.filter(for_the_pool)).into_iter().collect()
            }
            Addressee::Handle(handle) => one(&|speaker| speaker.handle.as_ref() == Some(handle)),
            Addressee::Account(account) => {
                // Each tenant gets it once.
                let mut tenants = BTreeSet::new();
                holders.filter(|speaker| speaker.account == *account && tenants.insert(&speaker.tenant)).collect()
            }
        }
    }
}

/// What one tenant contributes to one endpoint.
struct Contribution {
    adapter: Arc<dyn WebhookAdapter>,
    base_url: Url,
    keys: Vec<Secret>,
    verify_tokens: Vec<Secret>,
    own: Option<SenderName>,
    speakers: Arc<[Speaker]>,
    pooled: Arc<BTreeSet<PhoneNumber>>,
}

/// The index of all endpoints.
pub(super) struct Endpoints {
    adapters: Adapters,
    /// By provider: what verifies requests to endpoints that do not exist.
    nobodys: HashMap<&'static str, Arc<Endpoint>>,
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    contributions: HashMap<EndpointId, BTreeMap<TenantId, Contribution>>,
    of_tenant: HashMap<TenantId, Vec<EndpointId>>,
    built: HashMap<EndpointId, Arc<Endpoint>>,
}

impl Endpoints {
    pub(super) fn new(adapters: Adapters) -> Self {
        let nobodys = adapters.iter().map(|adapter| (adapter.provider(), Arc::new(nobodys(adapter)))).collect();
        Self { adapters, nobodys, index: RwLock::default() }
    }

    pub(super) fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    pub(super) fn get(&self, id: &EndpointId) -> Option<Arc<Endpoint>> {
        self.index.read().built.get(id).cloned()
    }

    /// The senders that a part of a request to an endpoint is for; see [`Endpoint::addressees`].
    pub(super) fn addressees<'e>(&self, endpoint: &'e Endpoint, addressee: &Addressee, key: usize) -> Vec<&'e Speaker> {
        endpoint.addressees(addressee, key, |own, spellings, key| {
            let index = self.index.read();
            let mut all = index.contributions.values().flat_map(BTreeMap::values).flat_map(|c| c.speakers.iter());
            // One that does not hold the key only claims to be of the account.
            all.any(|other| {
                let is_it = other.account == own.account && spellings.contains(&other.number);
                is_it && other.tenant != own.tenant && other.keys.contains(key)
            })
        })
    }

    pub(super) fn nobodys(&self, provider: &str) -> Option<Arc<Endpoint>> {
        self.nobodys.get(provider).cloned()
    }

    /// Replaces a tenant's contributions; a `config` of `None` removes them.
    pub(super) fn set(&self, tenant: &TenantId, config: Option<&TenantConfig>) {
        let contributions = config.map(|config| contributions(&self.adapters, config)).unwrap_or_default();
        let mut index = self.index.write();
        let mut changed: BTreeSet<EndpointId> = index.of_tenant.remove(tenant).into_iter().flatten().collect();
        for id in &changed {
            if let Some(of_endpoint) = index.contributions.get_mut(id) {
                of_endpoint.remove(tenant);
            }
        }
        if !contributions.is_empty() {
            index.of_tenant.insert(tenant.clone(), contributions.keys().cloned().collect());
        }
        for (id, contribution) in contributions {
            index.contributions.entry(id.clone()).or_default().insert(tenant.clone(), contribution);
            changed.insert(id);
        }
        for id in changed {
            match index.contributions.get(&id).and_then(build) {
                Some(endpoint) => drop(index.built.insert(id, Arc::new(endpoint))),
                None => {
                    index.contributions.remove(&id);
                    index.built.remove(&id);
                }
            }
        }
    }
}

fn contributions(adapters: &Adapters, config: &TenantConfig) -> BTreeMap<EndpointId, Contribution> {
    let mut ears: Vec<(Arc<dyn WebhookAdapter>, Ear, Speaker)> = Vec::new();
    for (name, sender) in &config.senders {
        let account = &sender.provider;
        let hears = |adapter: &Arc<dyn WebhookAdapter>| {
            Some((Arc::clone(adapter), adapter.ear(account, &config.tenant, name)?))
        };
        let Some((adapter, ear)) = adapters.iter().find_map(hears) else { continue };
        let speaker = Speaker {
            tenant: config.tenant.clone(),
            sender: name.clone(),
            number: sender.phone_number.canonical(),
            handle: ear.handle.clone(),
            account: account.account_key().to_owned(),
            keys: ear.keys.clone(),
        };
        ears.push((adapter, ear, speaker));
    }
    // The endpoint of one sender may speak for all senders of its account, because a pool has one URL for its senders.
    // A shared endpoint speaks for the senders that hear at it.
    let mut of_account: BTreeMap<(&str, &str), Vec<Speaker>> = BTreeMap::new();
    let mut at_endpoint: BTreeMap<&EndpointId, Vec<Speaker>> = BTreeMap::new();
    for (adapter, ear, speaker) in &ears {
        of_account.entry((adapter.provider(), &speaker.account)).or_default().push(speaker.clone());
        if !ear.is_own {
            at_endpoint.entry(&ear.endpoint).or_default().push(speaker.clone());
        }
    }
    let of_account: BTreeMap<_, Arc<[Speaker]>> = of_account.into_iter().map(|(key, all)| (key, all.into())).collect();

    let pooled = config.pools.values().flat_map(|pool| pool.numbers.iter().cloned());
    let pooled: Arc<BTreeSet<PhoneNumber>> = Arc::new(pooled.collect());
    let mut contributions: BTreeMap<EndpointId, Contribution> = BTreeMap::new();
    for (adapter, ear, speaker) in &ears {
        let contribution = contributions.entry(ear.endpoint.clone()).or_insert_with(|| Contribution {
            adapter: Arc::clone(adapter),
            base_url: config.public_base_url.clone(),
            keys: Vec::new(),
            verify_tokens: Vec::new(),
            own: ear.is_own.then(|| speaker.sender.clone()),
            speakers: match at_endpoint.remove(&ear.endpoint) {
                Some(speakers) => speakers.into(),
                None => of_account.get(&(adapter.provider(), &*speaker.account)).cloned().unwrap_or_default(),
            },
            pooled: Arc::clone(&pooled),
        });
        contribution.keys.extend(ear.keys.iter().cloned());
        contribution.verify_tokens.extend(ear.verify_tokens.iter().cloned());
    }
    contributions
}

/// Builds an endpoint from all contributions to it; `None` without any.
fn build(contributions: &BTreeMap<TenantId, Contribution>) -> Option<Endpoint> {
    let Contribution { adapter, base_url, .. } = contributions.values().next()?;
    // Tenants that share an app hold the same keys.
    let keys = distinct(contributions.values().flat_map(|contribution| &contribution.keys));
    let verify_tokens = distinct(contributions.values().flat_map(|contribution| &contribution.verify_tokens));
    let owner = contributions.iter().find_map(|(tenant, c)| Some((tenant, c.own.as_ref()?, &c.pooled)));
    let own = owner.map(|(tenant, sender, _)| (tenant.clone(), sender.clone()));
    Some(Endpoint {
        adapter: Arc::clone(adapter),
        verifier: adapter.endpoint(&keys, &verify_tokens),
        base_url: base_url.as_str().trim_end_matches('/').to_owned(),
        keys,
        own,
        speakers: contributions.values().map(|contribution| Arc::clone(&contribution.speakers)).collect(),
        pooled: owner.map(|(_, _, pooled)| Arc::clone(pooled)).unwrap_or_default(),
    })
}

/// An endpoint that is like any other, except that nobody has its keys.
fn nobodys(adapter: &Arc<dyn WebhookAdapter>) -> Endpoint {
    let key = || vec![Secret::new(hex::encode(rand::random::<[u8; 32]>()))];
    Endpoint {
        adapter: Arc::clone(adapter),
        verifier: adapter.endpoint(&key(), &key()),
        base_url: "https://nobody.invalid".to_owned(),
        keys: Vec::new(),
        own: None,
        speakers: Vec::new(),
        pooled: Arc::default(),
    }
}

/// Removes repetitions and keeps the order.
fn distinct<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Vec<Secret> {
    let mut distinct: Vec<Secret> = Vec::new();
    for secret in secrets {
        if !distinct.contains(secret) {
            distinct.push(secret.clone());
        }
    }
    distinct
}
