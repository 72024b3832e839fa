//! Compiles one tenant's config from what was contributed: pure, and the same bytes for the same input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messaging::config::{ApiKeyConfig, FORMAT, PoolConfig, SenderConfig, TenantConfig};
use messaging::id::{PolicyName, PoolId, SenderName, TemplateName, TenantId};
use messaging::routing::RoutingConfig;
use messaging::template::TemplateConfig;
use url::Url;

use super::contributions::{Observer, TenantContributions};
use crate::sender::sandbox::canned;

/// The objects that a tenant has, whatever their state, including those that are being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    pub senders: BTreeSet<SenderName>,
    /// Those of them that are their provider's sandbox, which has templates of its own.
    pub sandboxes: BTreeSet<SenderName>,
    /// Each with the senders that it names.
    pub templates: BTreeMap<TemplateName, BTreeSet<SenderName>>,
    /// In order of precedence.
    pub policies: Vec<PolicyName>,
}

impl Present {
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty() && self.templates.is_empty() && self.policies.is_empty()
    }

    /// An object of which nothing was contributed, not even that it has nothing to publish.
    pub fn not_in(&self, contributed: &TenantContributions) -> Option<String> {
        let sender = self.senders.iter().find(|name| !contributed.senders.contains_key(*name));
        let template = || self.templates.keys().find(|name| !contributed.templates.contains_key(*name));
        let policy = || self.policies.iter().find(|name| !contributed.policies.contains_key(*name));
        sender
            .map(|name| format!("the WhatsAppSender {name}"))
            .or_else(|| template().map(|name| format!("the MessageTemplate {name}")))
            .or_else(|| policy().map(|name| format!("the RoutingPolicy {name}")))
    }
}

/// What the operator knows of a tenant when it publishes.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    pub tenant: &'a TenantId,
    pub public_base_url: &'a Url,
    pub present: &'a Present,
    pub contributed: &'a TenantContributions,
    pub api_keys: Vec<ApiKeyConfig>,
    /// What is published now.
    pub previous: Option<&'a TenantConfig>,
}

/// The config to publish; `None` when there is nothing to publish, and then the Secret must not exist.
pub fn compile(input: Input<'_>) -> Option<TenantConfig> {
    let Input { tenant, public_base_url, present, contributed, api_keys, previous } = input;
    let senders = senders(present, contributed, previous);
    let mut templates: BTreeMap<_, _> = present
        .templates
        .keys()
        .filter_map(|name| {
            let contribution = match contributed.templates.get(name) {
                Some(known) => known.clone(),
                None => previous.and_then(|previous| previous.templates.get(name).cloned()),
            };
            Some((name.clone(), contribution?))
        })
        .collect();
    for account in present.sandboxes.iter().filter_map(|name| Some(senders.get(name)?.provider.account_key())) {
        // An object of the same name comes first.
        add_canned(&mut templates, canned(account), |name| present.templates.contains_key(name));
    }
    let policies: BTreeMap<_, _> = present
        .policies
        .iter()
        .filter_map(|name| {
            let contribution = match contributed.policies.get(name) {
                Some(known) => known.clone(),
                None => previous.and_then(|previous| previous.policies.get(name).cloned()),
            };
            Some((name.clone(), contribution?))
        })
        .collect();
    if senders.is_empty() && templates.is_empty() && policies.is_empty() {
        return None;
    }
    let pools = pools(present, contributed, previous, &senders, &policies);
    let default_policy = present.policies.iter().find(|name| policies.contains_key(*name)).cloned();
    Some(TenantConfig {
        format: FORMAT,
        tenant: tenant.clone(),
        cell: previous.and_then(|previous| previous.cell.clone()),
        public_base_url: public_base_url.clone(),
        senders,
        templates,
        policies,
        default_policy,
        pools,
        api_keys,
    })
}

/// Adds templates that no object declares. Two sandboxes are of two accounts, and have the same ones.
fn add_canned(
    templates: &mut BTreeMap<TemplateName, TemplateConfig>,
    canned: BTreeMap<TemplateName, TemplateConfig>,
    is_taken: impl Fn(&TemplateName) -> bool,
) {
    for (name, template) in canned.into_iter().filter(|(name, _)| !is_taken(name)) {
        match templates.get_mut(&name) {
            None => drop(templates.insert(name, template)),
            Some(known) => {
                let known = Arc::make_mut(&mut known.localizations);
                for (language, localization) in Arc::unwrap_or_clone(template.localizations) {
                    known.entry(language).and_modify(|known| known.accounts.extend(localization.accounts));
                }
            }
        }
    }
}

/// The pools that the objects saw. What an object saw before this process started stays until it has looked again.
fn pools(
    present: &Present,
    contributed: &TenantContributions,
    previous: Option<&TenantConfig>,
    senders: &BTreeMap<SenderName, SenderConfig>,
    policies: &BTreeMap<PolicyName, RoutingConfig>,
) -> BTreeMap<PoolId, PoolConfig> {
    let has_looked = |observer| contributed.pools.contains_key(&observer);
    let awaited_senders: Vec<_> =
        senders.iter().filter(|(name, _)| !has_looked(Observer::Sender((*name).clone()))).map(|(_, s)| s).collect();
    let awaited_routes: Vec<_> = policies
        .iter()
        .filter(|(name, _)| !has_looked(Observer::Policy((*name).clone())))
        .flat_map(|(_, policy)| std::iter::once(&policy.default).chain(policy.by_country.values()))
        .collect();
    let stays = |id: &PoolId, pool: &PoolConfig| {
        awaited_senders
            .iter()
            .any(|sender| sender.provider.pool().as_ref() == Some(id) || pool.numbers.contains(&sender.phone_number))
            || awaited_routes.iter().any(|route| route.via.as_ref() == Some(id))
    };
    let known = previous.iter().flat_map(|previous| &previous.pools).filter(|(id, pool)| stays(id, pool));
    let is_present = |observer: &Observer| match observer {
        Observer::Sender(name) => present.senders.contains(name),
        Observer::Policy(name) => present.policies.contains(name),
    };
    let observed = contributed.pools.iter().filter(|(observer, _)| is_present(observer)).flat_map(|(_, pools)| pools);
    let mut pools: BTreeMap<PoolId, PoolConfig> = BTreeMap::new();
    // Two objects may have seen a pool at different times. A number that one of them saw counts.
    for (id, pool) in known.chain(observed) {
        pools.entry(id.clone()).or_default().numbers.extend(pool.numbers.iter().cloned());
    }
    pools
}

fn senders(
    present: &Present,
    contributed: &TenantContributions,
    previous: Option<&TenantConfig>,
) -> BTreeMap<SenderName, SenderConfig> {
    let published = |name: &SenderName| previous.and_then(|previous| previous.senders.get(name).cloned());
    let mut senders: BTreeMap<_, _> = present
        .senders
        .iter()
        .filter_map(|name| Some((name.clone(), contributed.senders.get(name).cloned().or_else(|| published(name))?)))
        .collect();
    // A deleted sender stays while its credentials are needed to remove templates from the provider. Nothing is sent
    // through it.
    for name in present.templates.values().flatten().filter(|name| !present.senders.contains(*name)) {
        if let Some(gone) = published(name) {
            senders.insert(name.clone(), SenderConfig { paused: true, ..gone });
        }
    }
    senders
}

#[cfg(test)]
pub(crate) mod tests {
    use messaging::config::{ProviderAccount, TwilioAccount};
    use messaging::routing::Route;
    use messaging::secret::Secret;
    use messaging::template::TemplateCategory;

    use super::*;

    pub(crate) fn sender(token: &str) -> SenderConfig {
        SenderConfig {
            phone_number: "+14155238886".parse().unwrap(),
            provider: ProviderAccount::Twilio(TwilioAccount {
                account_sid: "AC0123456789abcdef0123456789abcdef".into(),
                username: "AC0123456789abcdef0123456789abcdef".into(),
                password: Secret::new(token),
                webhook_keys: vec![Secret::new(token)],
                messaging_service_sid: None,
                base_url: None,
            }),
            limits: Default::default(),
            opt_out: Default::default(),
            consent: Default::default(),
            retention: Default::default(),
            validity: Default::default(),
            events: vec![],
            paused: false,
        }
    }

    fn template() -> TemplateConfig {
        TemplateConfig {
            category: TemplateCategory::Utility,
            variables: vec![],
            fallback_language: "de".into(),
            localizations: Default::default(),
        }
    }

    struct World {
        tenant: TenantId,
        base: Url,
        present: Present,
        contributed: TenantContributions,
        published: Option<TenantConfig>,
    }

    impl World {
        /// One of each kind, all known.
        fn whole() -> Self {
            let support: SenderName = "support".parse().unwrap();
            let policy = RoutingConfig { default: Route::direct(support.clone()), by_country: BTreeMap::new() };
            Self {
                tenant: "shop".parse().unwrap(),
                base: "https://wa.example.com".parse().unwrap(),
                present: Present {
                    senders: [support.clone()].into(),
                    sandboxes: BTreeSet::new(),
                    templates: [("hello".parse().unwrap(), [support.clone()].into())].into(),
                    policies: ["default".parse().unwrap()].into(),
                },
                contributed: TenantContributions {
                    senders: [(support, sender("good"))].into(),
                    templates: [("hello".parse().unwrap(), Some(template()))].into(),
                    policies: [("default".parse().unwrap(), Some(policy))].into(),
                    pools: BTreeMap::new(),
                },
                published: None,
            }
        }

        fn publish(&mut self) -> Option<TenantConfig> {
            let api_keys = vec![];
            let input = Input {
                tenant: &self.tenant,
                public_base_url: &self.base,
                present: &self.present,
                contributed: &self.contributed,
                api_keys,
                previous: self.published.as_ref(),
            };
            self.published = compile(input);
            self.published.clone()
        }
    }

    #[test]
    fn everything_known_is_published_and_a_second_time_as_the_same_bytes() {
        let mut world = World::whole();
        let first = world.publish().unwrap();
        assert_eq!((first.senders.len(), first.templates.len(), first.policies.len()), (1, 1, 1));
        assert_eq!(world.publish().unwrap().to_json(), first.to_json());
    }

    #[test]
    fn the_sandboxs_own_templates_are_offered_unless_an_object_has_the_name_and_outlive_a_restart() {
        let mut world = World::whole();
        let sales: SenderName = "sales".parse().unwrap();
        let mut of_sales = sender("good");
        let ProviderAccount::Twilio(account) = &mut of_sales.provider;
        account.account_sid = "AC2".into();
        world.contributed.senders.insert(sales.clone(), of_sales);
        world.present.senders.insert(sales.clone());
        let names = |config: &TenantConfig| config.templates.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&world.publish().unwrap()), ["hello"]);

        world.present.sandboxes = [sales, "support".parse().unwrap()].into();
        let own = world.contributed.templates.remove("hello").unwrap();
        let hello = world.present.templates.remove("hello").unwrap();
        world.present.templates.insert("sandbox-code".parse().unwrap(), hello);
        world.contributed.templates.insert("sandbox-code".parse().unwrap(), own.clone());
        let published = world.publish().unwrap();
        assert_eq!(names(&published), ["sandbox-appointment", "sandbox-code", "sandbox-delivery"]);
        assert_eq!(Some(&published.templates["sandbox-code"]), own.as_ref());
        assert_eq!(published.templates["sandbox-delivery"].localizations["en"].accounts.len(), 2);

        world.contributed = TenantContributions::default();
        assert_eq!(world.publish(), Some(published));

        // An object of that name whose template is not approved yet.
        world.contributed.templates.insert("sandbox-code".parse().unwrap(), None);
        assert_eq!(names(&world.publish().unwrap()), ["sandbox-appointment", "sandbox-delivery"]);
    }

    #[test]
    fn the_default_policy_is_the_first_that_is_published() {
        let mut world = World::whole();
        world.present.policies.insert(0, "unresolved".parse().unwrap());
        assert_eq!(world.publish().unwrap().default_policy, Some("default".parse().unwrap()));
    }

    #[test]
    fn a_restarted_operator_takes_nothing_away() {
        let mut world = World::whole();
        let before = world.publish();
        world.contributed = TenantContributions::default();
        assert_eq!(world.publish(), before);
    }

    #[test]
    fn a_pool_is_published_as_every_object_that_uses_it_saw_it_and_outlives_a_restart() {
        let pool = |numbers: &[&str]| PoolConfig { numbers: numbers.iter().map(|n| n.parse().unwrap()).collect() };
        let of = |numbers: &[&str]| BTreeMap::from([(PoolId::new("MG1"), pool(numbers))]);
        let (support, default) =
            (Observer::Sender("support".parse().unwrap()), Observer::Policy("default".parse().unwrap()));
        let mut world = World::whole();
        let undeclared = "+447700900999";
        world.contributed.pools =
            [(support.clone(), of(&["+14155238886"])), (default.clone(), of(&["+14155238886", undeclared]))].into();
        let published = world.publish().unwrap();
        assert_eq!(published.pools, of(&["+14155238886", undeclared]));
        assert_eq!(published.senders_in(&PoolId::new("MG1")).map(SenderName::as_str).collect::<Vec<_>>(), ["support"]);

        let seen = std::mem::take(&mut world.contributed.pools);
        assert_eq!(world.publish().unwrap().pools, published.pools, "nothing was looked up since the restart");

        world.contributed.pools = [(support, BTreeMap::new()), (default.clone(), seen[&default].clone())].into();
        world.present.policies.clear();
        assert_eq!(world.publish().unwrap().pools, BTreeMap::new(), "the sender left it, and the policy is gone");
    }

    #[test]
    fn a_template_with_nothing_left_to_send_is_taken_away() {
        let mut world = World::whole();
        world.publish();
        world.contributed.templates.insert("hello".parse().unwrap(), None);
        assert!(world.publish().unwrap().templates.is_empty());
    }

    #[test]
    fn a_new_sender_whose_credentials_never_worked_is_not_published() {
        let mut world = World::whole();
        world.present.senders.insert("sales".parse().unwrap());
        assert_eq!(world.publish().unwrap().senders.len(), 1);
    }

    #[test]
    fn the_credentials_outlive_the_sender_until_its_templates_are_gone() {
        let mut world = World::whole();
        world.publish();
        world.present.senders.clear();
        world.present.policies.clear();
        world.contributed.senders.clear();
        let kept = world.publish().unwrap();
        let support = &kept.senders["support"];
        assert!(support.paused && support.provider == sender("good").provider, "{support:?}");
        assert_eq!(world.publish(), Some(kept));

        world.present.templates.clear();
        assert_eq!(world.publish(), None);
    }
}
