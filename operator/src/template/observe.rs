//! Observes what the provider accounts hold. Only reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{MessageTemplate, MessageTemplateStatus, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::id::{TemplateName, TenantId};
use messaging::provider::admin::TemplateObservation;

use super::TemplateContext;
use super::compile::compile;
use super::dereference::Dereferenced;
use super::naming::Names;
use super::plan::{AccountView, LIST_LAG, Observation};
use super::report::is_under_way;
use super::trouble::ProviderTrouble;
use crate::accounts::Account;
use crate::metrics::KindName;
use crate::publish::TenantContributions;
use crate::reconcile::error::Failure;

/// Lists the templates of every account. An account that can't be listed is reported, and the others are still
/// observed.
pub(super) async fn observe(
    context: &TemplateContext,
    tenant: &TenantId,
    name: &TemplateName,
    template: &MessageTemplate,
    names: &Names,
    found: &Dereferenced,
) -> (Observation, Option<Failure>) {
    let status = template.status.clone().unwrap_or_default();
    let max_age = max_age(context, template, &status);
    let mut trouble = None;
    let mut accounts = BTreeMap::new();
    for (key, account) in &found.accounts {
        let asked_at = context.clock.now();
        let view = match list(account, names, max_age).await {
            // The list may have been fetched for another template, before we asked.
            Ok(templates) => AccountView::Listed { at: earlier(asked_at, max_age), templates },
            Err(error) => {
                trouble.get_or_insert(error.into());
                AccountView::Unavailable
            }
        };
        accounts.insert(key.clone(), view);
    }
    let known = status.locations.iter().map(|location| &location.account);
    for key in known.filter(|key| !found.accounts.contains_key(*key)) {
        let view = if found.unresolved.is_some() { AccountView::Unavailable } else { AccountView::Lost };
        accounts.insert(key.clone(), view);
    }
    let data_plane_follows = data_plane_follows(context, tenant, name, template, &status);
    let wanted = found.wanted.clone();
    (Observation { wanted, accounts, data_plane_follows, now: context.clock.now() }, trouble)
}

/// The templates of this object at an account, and those of earlier objects of its namespace and name.
pub(super) async fn list(
    account: &Arc<Account>,
    names: &Names,
    max_age: Duration,
) -> Result<Vec<TemplateObservation>, ProviderTrouble> {
    let all = account.templates(max_age).await.map_err(|source| ProviderTrouble {
        what: format!("the templates of {} can't be listed", account.key()),
        source,
    })?;
    Ok(all.iter().filter(|template| names.alike(&template.name)).cloned().collect())
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
        newest.handle.is_none() && newest.last_action_at.as_ref().is_none_or(|at| at.0 + LIST_LAG <= now)
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
