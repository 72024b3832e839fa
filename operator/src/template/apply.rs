//! Takes the steps of a plan in order, and records the outcome of each.
//!
//! [`Hands`] does what a step changes outside, so that a test can crash after every change.

use std::collections::{BTreeMap, VecDeque};

use crds::{MessageTemplateStatus, TemplateLocationStatus};
use jiff::Timestamp;
use messaging::provider::ProviderError;
use messaging::provider::admin::{ReviewBegins, TemplateHandle, TemplateRevision};
use serde_json::json;

use super::plan::{Adopted, Because, INTENT_HOLDS, Plan, Step};
use super::trouble::ProviderTrouble;
use super::validate::Validated;
use super::{category, record, report};
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::progress::Progress;

/// Reasons of the Events about steps taken.
pub(super) mod event {
    /// A template that this object did not create is used.
    pub(in crate::template) const ADOPTED: &str = "RevisionAdopted";
    pub(in crate::template) const CREATED: &str = "RevisionCreated";
    pub(in crate::template) const SUBMITTED: &str = "RevisionSubmitted";
    pub(in crate::template) const DELETED: &str = "RevisionDeleted";
    /// WhatsApp assigned another category than before.
    pub(in crate::template) const CATEGORY_CHANGED: &str = "CategoryChanged";
    /// A provider account still holds revisions, and no sender has working credentials for it.
    pub(in crate::template) const LEFT_BEHIND: &str = "RevisionsLeftBehind";
}

/// Everything that changes something outside this process.
pub(super) trait Hands: Sync {
    fn now(&self) -> Timestamp;

    /// Records in the object's status what is about to be created, so that after a crash the next leader looks for it
    /// first.
    fn record_intents(&self, status: &MessageTemplateStatus) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What makes the account's provider begin to review a revision.
    fn review_begins(&self, account: &str) -> ReviewBegins;

    fn create(
        &self,
        account: &str,
        revision: &TemplateRevision,
    ) -> impl Future<Output = Result<TemplateHandle, ProviderError>> + Send;

    fn submit(
        &self,
        account: &str,
        handle: &TemplateHandle,
        revision: &TemplateRevision,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;

    fn delete(&self, account: &str, handle: &TemplateHandle) -> impl Future<Output = Result<(), ProviderError>> + Send;
}

/// Takes every step, or none while the template is paused. An error holds up the other steps of its account, but not
/// those of other accounts.
///
/// # Errors
/// With the first refusal, or else the first transient error, after every step that could be taken.
pub(super) async fn apply(
    hands: &impl Hands,
    desired: &Validated,
    plan: Plan,
    progress: &mut Progress<MessageTemplateStatus>,
    now: Timestamp,
) -> Result<(), Failure> {
    let before = progress.status.locations.clone();
    let applied = take_steps(hands, desired, plan, progress, now).await;
    if let Some(text) = category::reassigned(&before, &progress.status) {
        progress.warn(event::CATEGORY_CHANGED, text);
    }
    applied
}

async fn take_steps(
    hands: &impl Hands,
    desired: &Validated,
    plan: Plan,
    progress: &mut Progress<MessageTemplateStatus>,
    now: Timestamp,
) -> Result<(), Failure> {
    // What was refused, and what others have, is reported by the caller.
    let Plan { mut locations, steps, look_again_at: _, lost, adopted, taken: _, refused: _ } = plan;
    if !adopted.is_empty() {
        let each = adopted.iter().map(|Adopted { account, language, handle, because }| {
            let because = match because {
                Because::Named => "as the spec says",
                Because::Left => "left by an earlier template of this name",
                Because::Equal => "which has the same text",
            };
            format!("{language} is {handle} at {account}, {because}")
        });
        let each = each.collect::<Vec<_>>().join("; ");
        let kept = if desired.deletes_adopted { "" } else { "; what was adopted is never deleted" };
        progress.changed(event::ADOPTED, format!("{each}{kept}"));
    }
    for TemplateLocationStatus { account, language, .. } in lost {
        let text =
            format!("revisions in {language} stay at {account}: no sender of this namespace has credentials for it");
        progress.changed(event::LEFT_BEHIND, text);
    }
    if progress.paused {
        steps.iter().for_each(|step| record::not_taken(&mut locations, step));
        report::record(&mut progress.status, desired, locations);
        return Ok(());
    }
    let mut steps = VecDeque::from(steps);
    let is_creation = |step: &Step| matches!(step, Step::Create { .. });
    let mut intended_at = None;
    if steps.iter().any(is_creation) {
        record_intents(hands, desired, progress, &locations).await?;
        intended_at = Some(now);
    }
    let mut lost_track = None;
    let mut failed: BTreeMap<String, ProviderTrouble> = BTreeMap::new();
    let mut done = Done::new();
    while let Some(step) = steps.pop_front() {
        let account = step.account().to_owned();
        let at = hands.now();
        if is_creation(&step)
            && lost_track.is_none()
            && intended_at.is_some_and(|intended| at > intended + INTENT_HOLDS)
        {
            // Whoever looks next believes that the call was made at the time of the intent.
            let ahead = steps.iter().filter(|step| is_creation(step)).chain([&step]);
            ahead.for_each(|step| record::intended(&mut locations, step, at));
            lost_track = record_intents(hands, desired, progress, &locations).await.err();
            intended_at = Some(at);
        }
        if failed.contains_key(&account) || (is_creation(&step) && lost_track.is_some()) {
            record::not_taken(&mut locations, &step);
            continue;
        }
        if let Err(trouble) = take_step(hands, desired, step, &mut locations, &mut done).await {
            failed.insert(account, trouble);
        }
    }
    for (reason, what) in done {
        progress.changed(reason, what.join("; "));
    }
    report::record(&mut progress.status, desired, locations);
    if let Some(failure) = lost_track {
        return Err(failure);
    }
    let (refused, passing): (Vec<_>, Vec<_>) =
        failed.into_values().partition(|trouble| trouble.advice() == Advice::Stalled);
    refused.into_iter().chain(passing).next().map_or(Ok(()), |trouble| Err(trouble.into()))
}

/// Records what is about to be created, and what is known of the rest.
async fn record_intents(
    hands: &impl Hands,
    desired: &Validated,
    progress: &mut Progress<MessageTemplateStatus>,
    locations: &[TemplateLocationStatus],
) -> Result<(), Failure> {
    let mut intended = progress.status.clone();
    report::record(&mut intended, desired, locations.to_vec());
    hands.record_intents(&intended).await?;
    progress.wrote("locations", json!(intended.locations));
    progress.wrote("revisions", json!(intended.revisions));
    Ok(())
}

/// What was done, by the reason of its Event. One Event lists everything, because repeats of a reason are only counted.
type Done = BTreeMap<&'static str, Vec<String>>;

async fn take_step(
    hands: &impl Hands,
    desired: &Validated,
    step: Step,
    locations: &mut [TemplateLocationStatus],
    done: &mut Done,
) -> Result<(), ProviderTrouble> {
    let revision_of = |language: &str| desired.languages.get(language).map(|(_, revision)| revision);
    match step {
        Step::Create { account, language } => {
            let Some(revision) = revision_of(&language) else { return Ok(()) };
            let handle = hands.create(&account, revision).await.map_err(|source| {
                record::not_created(locations, &account, &language, &source);
                ProviderTrouble { what: format!("{language} can't be created at {account}"), source }
            })?;
            record::created(locations, &account, &language, &handle);
            let text = format!("{language} is {handle} at {account}, named {}", revision.name);
            done.entry(event::CREATED).or_default().push(text);
            match hands.review_begins(&account) {
                ReviewBegins::OnCreate => {
                    submitted(revision, &account, locations, done, hands.now());
                    Ok(())
                }
                ReviewBegins::OnSubmit => submit(hands, revision, &account, &handle, locations, done).await,
            }
        }
        Step::Submit { account, language, handle } => match revision_of(&language) {
            Some(revision) => submit(hands, revision, &account, &handle, locations, done).await,
            None => Ok(()),
        },
        Step::Delete { account, name, handle } => {
            hands
                .delete(&account, &handle)
                .await
                .map_err(|source| ProviderTrouble { what: format!("{name} can't be deleted at {account}"), source })?;
            done.entry(event::DELETED).or_default().push(format!("{handle} at {account}, named {name}"));
            Ok(())
        }
    }
}

async fn submit(
    hands: &impl Hands,
    revision: &TemplateRevision,
    account: &str,
    handle: &TemplateHandle,
    locations: &mut [TemplateLocationStatus],
    done: &mut Done,
) -> Result<(), ProviderTrouble> {
    let language = &revision.language;
    hands
        .submit(account, handle, revision)
        .await
        .map_err(|source| ProviderTrouble { what: format!("{language} can't be submitted at {account}"), source })?;
    submitted(revision, account, locations, done, hands.now());
    Ok(())
}

/// The review of a revision has begun.
fn submitted(
    revision: &TemplateRevision,
    account: &str,
    locations: &mut [TemplateLocationStatus],
    done: &mut Done,
    now: Timestamp,
) {
    record::submitted(locations, account, &revision.language, now);
    done.entry(event::SUBMITTED).or_default().push(format!("{} at {account}", revision.language));
}

impl Step {
    fn account(&self) -> &str {
        match self {
            Self::Create { account, .. } | Self::Submit { account, .. } | Self::Delete { account, .. } => account,
        }
    }
}
