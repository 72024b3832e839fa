//! Deletes a deleted template's revisions at the providers. Needs neither a valid spec nor the tenant's Secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::condition::reason;
use crds::{MessageTemplate, MessageTemplateStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::id::{SenderName, TemplateName, TenantId};
use messaging::provider::admin::{TemplateAdmin as _, TemplateHandle, TemplateObservation};

use super::TemplateContext;
use super::apply::event;
use super::claims;
use super::naming::Names;
use super::observe::{list, recorded};
use super::plan::SHOWN_WITHIN;
use super::trouble::ProviderTrouble;
use super::validate::{deletes_adopted, names};
use crate::accounts::Account;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::progress::Progress;

/// How soon to check again whether the data plane has let go of the template.
const LET_GO_CHECK: Duration = Duration::from_millis(500);
/// How long replicas may hold up the deletion. One that refuses every config would otherwise do so for ever.
const LET_GO_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Why the template can't be deleted yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotYet {
    #[error("data-plane replicas may still send with the template")]
    InUse,
    #[error("a revision whose creation was begun may still show up at {account}")]
    MayShowUp { account: String, after: Duration },
    #[error("{count} revisions are still listed at {account}")]
    StillListed { count: usize, account: String },
}

impl Explain for NotYet {
    fn advice(&self) -> Advice {
        match self {
            Self::InUse => Advice::Waiting { after: Some(LET_GO_CHECK) },
            Self::MayShowUp { after, .. } => Advice::Waiting { after: Some(*after) },
            Self::StillListed { .. } => Advice::Transient { not_before: None },
        }
    }
    fn reason(&self) -> &'static str {
        reason::DELETING
    }
}

/// Why one account still holds revisions, or may.
#[derive(Debug, thiserror::Error)]
enum NotCleanedUp {
    #[error(transparent)]
    Provider(#[from] ProviderTrouble),
    #[error(transparent)]
    NotYet(#[from] NotYet),
}

impl Explain for NotCleanedUp {
    fn advice(&self) -> Advice {
        match self {
            Self::Provider(trouble) => trouble.advice(),
            Self::NotYet(not_yet) => not_yet.advice(),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Provider(trouble) => trouble.reason(),
            Self::NotYet(not_yet) => not_yet.reason(),
        }
    }
}

/// Deletes every revision at every account. Succeeds only once none is listed.
pub(super) async fn cleanup(
    context: &TemplateContext,
    tenant: &TenantId,
    name: &TemplateName,
    template: &MessageTemplate,
    progress: &mut Progress<MessageTemplateStatus>,
) -> Result<(), Failure> {
    if may_be_in_use(context, tenant, name, template) {
        return Err(NotYet::InUse.into());
    }
    let accounts = accounts(context, tenant, template, progress).await?;
    let ours = Ours { names: names(template), handed_over: handed_over(context, template, &progress.status) };
    clean_up(accounts, &ours, context.clock.now(), progress).await
}

/// What may be deleted.
struct Ours {
    names: Names,
    /// What this object adopted, and an annotation hands over.
    handed_over: BTreeSet<TemplateHandle>,
}

impl Ours {
    /// What it adopted without being handed over is not ours: others may use it.
    fn holds(&self, listed: &TemplateObservation) -> bool {
        self.names.own(&listed.name) || self.handed_over.contains(&listed.handle)
    }
}

/// Except for what another object uses as well.
fn handed_over(
    context: &TemplateContext,
    template: &MessageTemplate,
    status: &MessageTemplateStatus,
) -> BTreeSet<TemplateHandle> {
    if !deletes_adopted(template) {
        return BTreeSet::new();
    }
    let recorded = recorded(status);
    let shared = claims::shared(template, &recorded, context);
    recorded.into_iter().filter(|handle| !shared.contains(handle)).collect()
}

/// Cleans up every account, even after one failed, and returns the first failure. An account that refuses the
/// credentials would do so for ever, so its revisions are left behind.
async fn clean_up(
    accounts: BTreeMap<String, Arc<Account>>,
    ours: &Ours,
    now: Timestamp,
    progress: &mut Progress<MessageTemplateStatus>,
) -> Result<(), Failure> {
    let mut first: Option<NotCleanedUp> = None;
    for (key, account) in accounts {
        match clean_up_account(&key, &account, ours, now, progress).await {
            Ok(()) => {}
            Err(NotCleanedUp::Provider(trouble)) if trouble.is_unauthorized() => {
                let text = format!("revisions may stay at {key}: it refuses the credentials");
                progress.changed(event::LEFT_BEHIND, text);
            }
            Err(not_taken_back) => {
                first.get_or_insert(not_taken_back);
            }
        }
    }
    Ok(first.map_or(Ok(()), Err)?)
}

async fn clean_up_account(
    key: &str,
    account: &Arc<Account>,
    ours: &Ours,
    now: Timestamp,
    progress: &mut Progress<MessageTemplateStatus>,
) -> Result<(), NotCleanedUp> {
    let listed = list_ours(account, ours).await?;
    for revision in &listed {
        account.delete_template(&revision.handle).await.map_err(|source| ProviderTrouble {
            what: format!("{} can't be deleted at {key}", revision.name),
            source,
        })?;
        progress.changed(event::DELETED, format!("{} at {key}, named {}", revision.handle, revision.name));
    }
    let left = if listed.is_empty() { 0 } else { list_ours(account, ours).await?.len() };
    if left > 0 {
        return Err(NotYet::StillListed { count: left, account: key.to_owned() }.into());
    }
    match may_show_up_for(&progress.status, key, now) {
        Some(after) => Err(NotYet::MayShowUp { account: key.to_owned(), after }.into()),
        None => Ok(()),
    }
}

async fn list_ours(account: &Arc<Account>, ours: &Ours) -> Result<Vec<TemplateObservation>, ProviderTrouble> {
    list(account, Duration::ZERO, |_| true, |listed| ours.holds(listed)).await
}

/// Whether replicas may still send with the template. Messages under way would fail once it is deleted at the provider.
fn may_be_in_use(
    context: &TemplateContext,
    tenant: &TenantId,
    name: &TemplateName,
    template: &MessageTemplate,
) -> bool {
    let began = template.metadata.deletion_timestamp.as_ref().map_or(Timestamp::MIN, |began| began.0);
    context.clock.now().duration_since(began) < LET_GO_WITHIN && !context.data_plane.has_let_go_of(tenant, name)
}

/// The accounts that hold revisions, or may.
async fn accounts(
    context: &TemplateContext,
    tenant: &TenantId,
    template: &MessageTemplate,
    progress: &mut Progress<MessageTemplateStatus>,
) -> Result<BTreeMap<String, Arc<Account>>, Failure> {
    let mut accounts = BTreeMap::new();
    for reference in &template.spec.sender_refs {
        let Ok(name) = reference.name.parse::<SenderName>() else { continue };
        match context.directory.find(tenant, &name).await {
            Ok(Some(sender)) => drop(accounts.insert(sender.account.key().to_owned(), sender.account)),
            // Its credentials were never accepted, or are not kept. The recorded locations are considered below.
            Ok(None) => {
                tracing::debug!(%tenant, sender = %name, "no credentials are known for a sender of the deleted template");
            }
            Err(failure) => {
                tracing::debug!(%tenant, sender = %name, %failure, "no credentials are known for a sender of the deleted template");
            }
        }
    }
    let known: Vec<String> = progress.status.locations.iter().map(|location| location.account.clone()).collect();
    if known.iter().any(|account| !accounts.contains_key(account)) {
        let others = context.directory.accounts(tenant).await?;
        accounts.extend(others.into_iter().filter(|(key, _)| known.contains(key)));
    }
    for account in known.iter().filter(|account| !accounts.contains_key(*account)) {
        let text = format!("revisions stay at {account}: no sender of this namespace has credentials for it");
        progress.changed(event::LEFT_BEHIND, text);
    }
    Ok(accounts)
}

/// How long a creation that was begun may still take to show up in the account's list.
fn may_show_up_for(status: &MessageTemplateStatus, account: &str, now: Timestamp) -> Option<Duration> {
    let begun = status
        .locations
        .iter()
        .filter(|location| location.account == account)
        .filter_map(|location| location.newest.as_ref().filter(|newest| newest.handle.is_none()))
        .filter_map(|newest| newest.last_action_at.as_ref());
    begun
        .filter_map(|at| Duration::try_from((at.0 + SHOWN_WITHIN).duration_since(now)).ok())
        .filter(|wait| !wait.is_zero())
        .max()
}

#[cfg(test)]
mod tests {
    use messaging::template::Approval;
    use messaging::template::{LocalizedContent, TemplateCategory};
    use serde_json::json;

    use super::*;
    use crate::metrics::Metrics;
    use crate::testing::FakeAdmin;

    const REVISION: &str = "HX1";

    #[tokio::test]
    async fn an_account_that_fails_does_not_keep_the_others_from_being_cleaned_up() {
        let names = Names::new("toys", "parcel-sent", "7f7b6e1e-8f0e-4a52-9d2e-0c4a7d3a5b11");
        let content: LocalizedContent = serde_json::from_value(json!({ "body": "Hallo" })).unwrap();
        let own = names.revision(TemplateCategory::Utility, "de", &content, &BTreeMap::new());
        for (status, goes, noted) in [(401, true, true), (403, true, true), (503, false, false)] {
            let (failing, well) = (Arc::new(FakeAdmin::default()), Arc::new(FakeAdmin::default()));
            failing.fail_next(status, None);
            well.add_template(REVISION, &own, "de", Approval::Approved);
            // An object in another cluster may use what the one before it left under the same name.
            let retained = own.replace(&own["toys_parcel_sent_".len()..][..10], "0123456789");
            assert!(retained != own && names.alike(&retained));
            well.add_template("HX2", &retained, "de", Approval::Approved);
            let accounts = [("AC1", &failing), ("AC2", &well)]
                .map(|(key, admin)| {
                    let metrics = Arc::new(Metrics::new().unwrap());
                    (key.to_owned(), Arc::new(Account::new(key.to_owned(), Arc::clone(admin) as _, metrics)))
                })
                .into();
            let mut progress = Progress::new(MessageTemplateStatus::default(), false);
            well.add_template("HX3", "made_in_a_console", "de", Approval::Approved);
            well.add_template("HX4", "made_by_another_tool", "de", Approval::Approved);
            let handed_over = BTreeSet::from([TemplateHandle::new("HX4")]);
            let ours = Ours { names: names.clone(), handed_over };
            let cleaned_up = clean_up(accounts, &ours, Timestamp::UNIX_EPOCH, &mut progress).await;
            assert_eq!(cleaned_up.is_ok(), goes, "{status}");
            assert_eq!(well.handles(), ["HX2", "HX3"], "{status}");
            let notes = progress.take_notes();
            assert_eq!(notes.iter().any(|note| note.reason == event::LEFT_BEHIND), noted, "{status}");
        }
    }
}
