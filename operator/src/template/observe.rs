//! Observes what the provider accounts hold. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::condition::CREDENTIALS_VALID;
use crds::{MessageTemplate, MessageTemplateStatus, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::id::{TemplateName, TenantId};
use messaging::provider::admin::{TemplateHandle, TemplateObservation};

use super::adopt::is_equal;
use super::claims::{self, Claims, Objects};
use super::compile::compile;
use super::dereference::Dereferenced;
use super::plan::{AccountView, Observation, SHOWN_WITHIN};
use super::report::is_under_way;
use super::trouble::ProviderTrouble;
use super::validate::Validated;
use super::{LOOK_AGAIN, TemplateContext};
use crate::accounts::Account;
use crate::metrics::KindName;
use crate::publish::TenantContributions;
use crate::reconcile::error::Failure;
use crate::sender::provider::SpecProvider;
use crate::sender::rival;

/// Lists the templates of every account. An account that can't be listed is reported, and the others are still
/// observed.
pub(super) async fn observe(
    context: &TemplateContext,
    tenant: &TenantId,
    name: &TemplateName,
    template: &MessageTemplate,
    desired: &Validated,
    found: &Dereferenced,
) -> (Observation, Option<Failure>) {
    let status = template.status.clone().unwrap_or_default();
    let recorded = recorded(&status);
    let max_age = max_age(context, template, &status);
    // The provider told of a change, which no older list has.
    let max_age = context.board.since_hint(tenant, name).map_or(max_age, |since_hint| since_hint.min(max_age));
    // Nothing is said to be missing on the word of an old list.
    let ages = [max_age, max_age.min(LOOK_AGAIN)];
    let (mut accounts, trouble) = look(&*context.clock, desired, &recorded, found, ages).await;
    let known = status.locations.iter().map(|location| &location.account);
    for key in known.filter(|key| !found.accounts.contains_key(*key)) {
        let view = if found.unresolved.is_some() { AccountView::Unavailable } else { AccountView::Lost };
        accounts.insert(key.clone(), view);
    }
    let data_plane_follows = data_plane_follows(context, tenant, name, template, &status);
    let observation = Observation {
        wanted: found.wanted.clone(),
        elsewhere: elsewhere(context, tenant, desired, found, &accounts, max_age).await,
        claims: claims(context, template, desired, &accounts),
        accounts,
        knows_senders: found.unresolved.is_none(),
        data_plane_follows,
        now: context.clock.now(),
    };
    (observation, trouble)
}

/// Lists the accounts, as they were at most `ages[0]` ago. If none of the wanted ones has a template that the spec
/// names, which may be new, they are listed once more.
async fn look(
    clock: &dyn Clock,
    desired: &Validated,
    recorded: &BTreeSet<TemplateHandle>,
    found: &Dereferenced,
    ages: [Duration; 2],
) -> (BTreeMap<String, AccountView>, Option<Failure>) {
    let [usual, newer] = ages;
    let (accounts, trouble) = list_all(clock, desired, recorded, found, usual).await;
    if newer < usual && !missing(desired, found, &accounts).is_empty() {
        return list_all(clock, desired, recorded, found, newer).await;
    }
    (accounts, trouble)
}

async fn list_all(
    clock: &dyn Clock,
    desired: &Validated,
    recorded: &BTreeSet<TemplateHandle>,
    found: &Dereferenced,
    max_age: Duration,
) -> (BTreeMap<String, AccountView>, Option<Failure>) {
    let mut trouble = None;
    let mut accounts = BTreeMap::new();
    for (key, account) in &found.accounts {
        let asked_at = clock.now();
        let concerns = |name: &str| desired.names.alike(name);
        let view = match list(account, max_age, concerns, |listed| is_of_interest(desired, recorded, listed)).await {
            // The list may have been fetched for another template, before we asked.
            Ok(templates) => AccountView::Listed { at: earlier(asked_at, max_age), templates },
            Err(error) => {
                trouble.get_or_insert(error.into());
                AccountView::Unavailable
            }
        };
        accounts.insert(key.clone(), view);
    }
    (accounts, trouble)
}

/// The templates that the spec names and no wanted account has.
fn missing<'a>(
    desired: &'a Validated,
    found: &Dereferenced,
    accounts: &BTreeMap<String, AccountView>,
) -> BTreeSet<&'a TemplateHandle> {
    let wanted = accounts.iter().filter(|(key, _)| found.wanted.contains(*key));
    let here: BTreeSet<_> = wanted.flat_map(|(_, view)| view.templates()).map(|listed| &listed.handle).collect();
    let named = desired.adopt.values().flatten().map(|named| &named.handle);
    named.filter(|handle| !here.contains(handle)).collect()
}

/// Every template that the status names.
pub(super) fn recorded(status: &MessageTemplateStatus) -> BTreeSet<TemplateHandle> {
    let of = |location: &TemplateLocationStatus| {
        let revisions = [location.serving.clone(), location.newest.clone()].into_iter().flatten();
        let handles: Vec<_> = revisions.filter_map(|revision| revision.handle).collect();
        handles.into_iter().chain(location.retiring.clone())
    };
    status.locations.iter().flat_map(of).collect()
}

/// Whether the plan may depend on a template: this object's own, those of earlier objects of its namespace and name,
/// and those that it has adopted, names or may use.
pub(super) fn is_of_interest(
    desired: &Validated,
    recorded: &BTreeSet<TemplateHandle>,
    listed: &TemplateObservation,
) -> bool {
    let equals_one = || desired.languages.get(&listed.language).is_some_and(|(_, revision)| is_equal(revision, listed));
    desired.names.alike(&listed.name)
        || recorded.contains(&listed.handle)
        || desired.adopt.values().flatten().any(|named| named.handle == listed.handle)
        || equals_one()
}

/// The other accounts of this tenant that have the templates which the spec names and no wanted account has. What can't
/// be asked has none, because this only explains a fault.
async fn elsewhere(
    context: &TemplateContext,
    tenant: &TenantId,
    desired: &Validated,
    found: &Dereferenced,
    accounts: &BTreeMap<String, AccountView>,
    max_age: Duration,
) -> BTreeMap<TemplateHandle, String> {
    let missing = missing(desired, found, accounts);
    let mut elsewhere = BTreeMap::new();
    if missing.is_empty() {
        return elsewhere;
    }
    let others = context.directory.accounts(tenant).await.unwrap_or_default();
    for (key, account) in others.into_iter().filter(|(key, _)| !found.wanted.contains(key)) {
        let listed = list(&account, max_age, |_| true, |listed| missing.contains(&listed.handle)).await;
        let listed = listed.unwrap_or_default();
        elsewhere.extend(listed.into_iter().map(|listed| (listed.handle, key.clone())));
    }
    elsewhere
}

/// What other objects have of the templates that this one did not create.
fn claims(
    context: &TemplateContext,
    template: &MessageTemplate,
    desired: &Validated,
    accounts: &BTreeMap<String, AccountView>,
) -> Claims {
    let listed: Vec<(&str, &TemplateObservation)> = accounts
        .iter()
        .flat_map(|(key, view)| view.templates().iter().map(move |listed| (key.as_str(), listed)))
        .filter(|(_, listed)| !desired.names.own(&listed.name))
        .collect();
    if listed.is_empty() {
        return Claims::default();
    }
    let senders = &context.directory.senders.stores;
    let account_of = |namespace: &str, sender: &str| {
        let sender = senders.get(&TenantId::new(namespace).ok()?, sender)?;
        let accepted = rival::is_true(&sender, CREDENTIALS_VALID);
        SpecProvider::of(&sender).filter(|_| accepted).map(|provider| provider.account().1.to_owned())
    };
    claims::claims(template, listed.into_iter(), context, &account_of)
}

impl Objects for TemplateContext {
    fn all(&self) -> Vec<Arc<MessageTemplate>> {
        self.templates.stores.all()
    }

    fn holding(&self, handle: &TemplateHandle) -> Vec<Arc<MessageTemplate>> {
        let keys = self.holders.of(handle).into_iter();
        keys.filter_map(|(tenant, name)| self.templates.stores.get(&TenantId::new(tenant).ok()?, &name)).collect()
    }
}

/// The picked templates of an account, where no list is used that is older than our own change of a name that concerns
/// the caller.
pub(super) async fn list(
    account: &Arc<Account>,
    max_age: Duration,
    concerns: impl Fn(&str) -> bool + Send,
    pick: impl Fn(&TemplateObservation) -> bool,
) -> Result<Vec<TemplateObservation>, ProviderTrouble> {
    let all = account.templates(max_age, concerns).await.map_err(|source| ProviderTrouble {
        what: format!("the templates of {} can't be listed", account.key()),
        source,
    })?;
    Ok(all.iter().filter(|listed| pick(listed)).cloned().collect())
}

/// How often this template's accounts are listed.
pub(super) fn interval(context: &TemplateContext, status: &MessageTemplateStatus) -> Duration {
    if is_under_way(status) { context.template_poll } else { context.poll_interval }
}

/// How old a list may be: half of the interval, so that every reconcile gets a new one although reconciles are
/// jittered.
fn max_age(context: &TemplateContext, template: &MessageTemplate, status: &MessageTemplateStatus) -> Duration {
    let requested =
        template.metadata.annotations.as_ref().and_then(|a| a.get(crds::annotation::RECONCILE_REQUESTED_AT));
    let is_requested = requested.is_some() && requested != status.last_handled_reconcile_at.as_ref();
    if is_requested || status.locations.iter().any(|location| is_overdue(location, context.clock.now())) {
        Duration::ZERO
    } else {
        interval(context, status) / 2
    }
}

/// Whether a creation with an unknown outcome should have shown up by now.
fn is_overdue(location: &TemplateLocationStatus, now: Timestamp) -> bool {
    location.newest.as_ref().is_some_and(|newest| {
        newest.handle.is_none() && newest.last_action_at.as_ref().is_none_or(|at| at.0 + SHOWN_WITHIN <= now)
    })
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}

/// Whether every live replica runs what follows from the recorded status.
fn data_plane_follows(
    context: &TemplateContext,
    tenant: &TenantId,
    name: &TemplateName,
    template: &MessageTemplate,
    status: &MessageTemplateStatus,
) -> bool {
    let contributed = TenantContributions {
        templates: [(name.clone(), compile(&template.spec, status))].into(),
        ..TenantContributions::default()
    };
    let run = context.data_plane.status_of(KindName::Template, tenant, name.as_str(), &contributed);
    run.is_some_and(|run| run.ready == run.total)
}

#[cfg(test)]
mod tests {
    use messaging::template::Approval;

    use super::super::tests::naming;
    use super::*;
    use crate::clock::SystemClock;
    use crate::metrics::Metrics;
    use crate::template::validate::validate;
    use crate::testing::FakeAdmin;

    #[tokio::test]
    async fn a_template_that_is_newer_than_the_list_is_found_when_the_spec_names_it_and_costs_nothing_otherwise() {
        let admin = Arc::new(FakeAdmin::default());
        let account = Account::new("AC1".into(), Arc::clone(&admin) as _, Arc::new(Metrics::new().unwrap()));
        let accounts = BTreeMap::from([("AC1".to_owned(), Arc::new(account))]);
        let found = Dereferenced { wanted: ["AC1".to_owned()].into(), accounts, unresolved: None };
        let (unnamed, named) = (validate(&naming(&[])).unwrap(), validate(&naming(&["HXnew"])).unwrap());
        let ages = [Duration::from_secs(3600), Duration::ZERO];
        let handles = async |desired: &Validated| {
            let (accounts, _) = look(&SystemClock, desired, &BTreeSet::new(), &found, ages).await;
            accounts["AC1"].templates().iter().map(|listed| listed.handle.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(handles(&unnamed).await, Vec::<String>::new());
        admin.add_template("HXnew", "made in a console", "en_US", Approval::Approved);
        assert_eq!(handles(&unnamed).await, Vec::<String>::new());
        assert_eq!(admin.calls("list_templates"), 1);
        assert_eq!(handles(&named).await, ["HXnew"]);
        assert_eq!(handles(&named).await, ["HXnew"]);
        assert_eq!(admin.calls("list_templates"), 2);
    }
}
