//! Decides what to do next about a template, from what is recorded and what was observed: pure.
//!
//! Creation is the delicate step, because the provider has neither an idempotency key nor unique names. Three rules
//! make a crash at any point leave at most one revision behind. The intent to create is recorded before the call. A
//! revision is looked up by its deterministic name before it is created. An intent without a result gets time to show
//! up in the provider's list before it is acted on again.

use std::collections::{BTreeMap, BTreeSet};

use crds::{RevisionState, RevisionStatus, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::admin::{TemplateHandle, TemplateObservation, TemplateRevision};
use messaging::template::Approval;

use super::validate::Validated;

/// How far the provider's list of templates may lag behind writes.
pub(super) const LIST_LAG: SignedDuration = SignedDuration::from_secs(60);
/// How soon to check again whether the data plane has let go of a revision.
const RETIRE_CHECK: SignedDuration = SignedDuration::from_secs(2);

/// What was observed of one provider account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AccountView {
    /// This object's revisions there, and those of earlier objects of its namespace and name, as of this time or later.
    Listed { at: Timestamp, templates: Vec<TemplateObservation> },
    /// The account could not be listed this time.
    Unavailable,
    /// No sender has credentials for the account.
    Lost,
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    /// The accounts that the template is submitted to.
    pub(super) wanted: BTreeSet<String>,
    /// The wanted accounts, and those that hold earlier revisions.
    pub(super) accounts: BTreeMap<String, AccountView>,
    /// Every live data-plane replica runs the config that follows from the recorded status.
    pub(super) data_plane_follows: bool,
    pub(super) now: Timestamp,
}

/// One call that changes something at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create { account: String, language: String },
    Submit { account: String, language: String, handle: TemplateHandle },
    Delete { account: String, name: String, handle: TemplateHandle },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The revisions of each language at each account, ordered by account and language. Must be recorded before a step
    /// creates anything.
    pub(super) locations: Vec<TemplateLocationStatus>,
    pub(super) steps: Vec<Step>,
    /// When to look at the list again, because something that was begun may then show up.
    pub(super) look_again_at: Option<Timestamp>,
    /// The locations that were given up, because no sender has credentials for their accounts.
    pub(super) lost: Vec<TemplateLocationStatus>,
    /// Revisions that an earlier object of this namespace and name left, and that are used from now on: account, language
    /// and handle. They are never deleted, because an object in another cluster may use them.
    pub(super) found: Vec<(String, String, TemplateHandle)>,
}

/// `known` holds the recorded locations.
pub(super) fn plan(desired: &Validated, known: &[TemplateLocationStatus], seen: &Observation) -> Plan {
    let mut planner = Planner { desired, known, seen, steps: Vec::new(), look_again_at: None, found: Vec::new() };
    let newest = planner.newest_revisions();
    let mut locations = planner.serve(&newest);
    let (left, lost) = planner.left_behind();
    locations.extend(left);
    planner.delete_the_rest(&locations);
    locations.sort_by(|a, b| (&a.account, &a.language).cmp(&(&b.account, &b.language)));
    let Planner { steps, look_again_at, found, .. } = planner;
    Plan { locations, steps, look_again_at, lost, found }
}

type Key = (String, String);

struct Planner<'a> {
    desired: &'a Validated,
    known: &'a [TemplateLocationStatus],
    seen: &'a Observation,
    steps: Vec<Step>,
    look_again_at: Option<Timestamp>,
    found: Vec<(String, String, TemplateHandle)>,
}

impl Planner<'_> {
    /// The newest revision of each language at each account, found or to be created.
    fn newest_revisions(&mut self) -> BTreeMap<Key, Option<RevisionStatus>> {
        let (desired, seen) = (self.desired, self.seen);
        let mut newest = BTreeMap::new();
        for account in &seen.wanted {
            for (language, (_, revision)) in &desired.languages {
                let known = self.known(account, language).and_then(|location| location.newest.clone());
                let found = match seen.accounts.get(account) {
                    Some(AccountView::Listed { at, templates }) => {
                        let same = templates.iter().filter(|t| desired.names.same(&t.name, &revision.name));
                        Some(self.newest(account, revision, known, &same.collect::<Vec<_>>(), *at))
                    }
                    Some(AccountView::Unavailable | AccountView::Lost) | None => known,
                };
                newest.insert((account.clone(), language.clone()), found);
            }
        }
        newest
    }

    fn newest(
        &mut self,
        account: &str,
        revision: &TemplateRevision,
        known: Option<RevisionStatus>,
        listed: &[&TemplateObservation],
        listed_at: Timestamp,
    ) -> RevisionStatus {
        let known = known.filter(|known| known.name == revision.name);
        let waiting_since = |known: &RevisionStatus| {
            known.last_action_at.as_ref().map(|at| at.0 + LIST_LAG).filter(|until| *until > listed_at)
        };
        let submit = |handle: &TemplateHandle| Step::Submit {
            account: account.to_owned(),
            language: revision.language.clone(),
            handle: handle.clone(),
        };
        let recorded = known.as_ref().and_then(|known| known.handle.as_ref());
        if let Some(listed) = best(listed, &revision.name, recorded) {
            if listed.name != revision.name && recorded != Some(&listed.handle) {
                self.found.push((account.to_owned(), revision.language.clone(), listed.handle.clone()));
            }
            let known = known.filter(|known| known.handle.as_ref().is_none_or(|handle| *handle == listed.handle));
            let last_action_at = known.as_ref().and_then(|known| known.last_action_at.clone());
            let mut status = status(listed, &revision.name, last_action_at);
            if status.state == RevisionState::Unsubmitted {
                let submitted = known.as_ref().filter(|known| known.state == RevisionState::Pending);
                match submitted.and_then(waiting_since) {
                    // It was submitted, and the list does not show that yet.
                    Some(until) => {
                        status.state = RevisionState::Pending;
                        self.look_again(until);
                    }
                    None => self.steps.push(submit(&listed.handle)),
                }
            }
            return status;
        }
        if let Some(known) = known
            && let Some(until) = waiting_since(&known)
        {
            // It was created, or may have been, and the list does not show it yet.
            match &known.handle {
                Some(handle) if known.state == RevisionState::Unsubmitted => self.steps.push(submit(handle)),
                _ => self.look_again(until),
            }
            return known;
        }
        self.steps.push(Step::Create { account: account.to_owned(), language: revision.language.clone() });
        RevisionStatus {
            name: revision.name.clone(),
            handle: None,
            state: RevisionState::Creating,
            reason: None,
            category: None,
            last_action_at: Some(Time(self.seen.now)),
        }
    }

    /// Chooses the serving revisions. A language moves to its newest revision once every account has approved it.
    /// Until then an older one keeps serving. At an account without an older one, the newest serves as soon as it is
    /// approved there.
    fn serve(&self, newest: &BTreeMap<Key, Option<RevisionStatus>>) -> Vec<TemplateLocationStatus> {
        let approved = |language: &str, revision: Option<&RevisionStatus>| {
            let name = self.desired.languages.get(language).map(|(_, revision)| revision.name.as_str());
            revision.is_some_and(|r| r.state == RevisionState::Approved && Some(r.name.as_str()) == name)
        };
        let moved: BTreeSet<&str> = self
            .desired
            .languages
            .keys()
            .map(String::as_str)
            .filter(|language| {
                newest.iter().filter(|((_, l), _)| l == language).all(|((_, l), r)| approved(l, r.as_ref()))
            })
            .collect();
        newest
            .iter()
            .map(|((account, language), newest)| {
                let older = self.known(account, language).and_then(|location| location.serving.clone());
                let older = older.and_then(|older| self.still_there(account, older));
                let serving = match older {
                    Some(older) if !moved.contains(language.as_str()) && serves(&older) => Some(older),
                    _ => newest.clone().filter(|newest| approved(language, Some(newest))),
                };
                TemplateLocationStatus {
                    account: account.clone(),
                    language: language.clone(),
                    serving,
                    newest: newest.clone(),
                }
            })
            .collect()
    }

    /// A revision as the list shows it now; `None` when the list no longer has it.
    fn still_there(&self, account: &str, revision: RevisionStatus) -> Option<RevisionStatus> {
        match self.seen.accounts.get(account) {
            Some(AccountView::Listed { templates, .. }) => {
                let listed = templates.iter().find(|template| Some(&template.handle) == revision.handle.as_ref())?;
                Some(status(listed, &revision.name, revision.last_action_at))
            }
            Some(AccountView::Unavailable | AccountView::Lost) | None => Some(revision),
        }
    }

    /// The locations at accounts that are no longer wanted: those that still hold revisions, and those that are given
    /// up.
    fn left_behind(&self) -> (Vec<TemplateLocationStatus>, Vec<TemplateLocationStatus>) {
        let elsewhere = self.known.iter().filter(|location| !self.seen.wanted.contains(&location.account));
        let (mut left, mut lost) = (Vec::new(), Vec::new());
        for location in elsewhere {
            let serving = location.serving.clone().or_else(|| location.newest.clone());
            let kept = TemplateLocationStatus { serving, newest: None, ..location.clone() };
            match self.seen.accounts.get(&location.account) {
                Some(AccountView::Listed { templates, .. }) => {
                    let ours = |template: &&TemplateObservation| self.desired.names.own(&template.name);
                    if templates.iter().filter(ours).any(|template| template.language == location.language) {
                        left.push(kept);
                    }
                }
                Some(AccountView::Unavailable) => left.push(kept),
                Some(AccountView::Lost) | None => lost.push(kept),
            }
        }
        (left, lost)
    }

    /// Deletes our revisions that are neither newest nor serving, except those that a replica may still send with.
    fn delete_the_rest(&mut self, locations: &[TemplateLocationStatus]) {
        let handles = |locations: &[TemplateLocationStatus], account: &str| -> BTreeSet<TemplateHandle> {
            let here = locations.iter().filter(|location| location.account == account);
            let wanted = here.flat_map(|location| {
                let serving = location.serving.as_ref().filter(|_| self.seen.wanted.contains(account));
                [serving, location.newest.as_ref()]
            });
            wanted.flatten().filter_map(|revision| revision.handle.clone()).collect()
        };
        let (mut steps, mut retiring) = (Vec::new(), false);
        for (account, view) in &self.seen.accounts {
            let AccountView::Listed { templates, .. } = view else { continue };
            let needed = handles(locations, account);
            let sent_with = handles(self.known, account);
            for template in templates.iter().filter(|template| self.desired.names.own(&template.name)) {
                let sendable = matches!(template.approval, Approval::Approved | Approval::Paused { .. });
                if needed.contains(&template.handle) {
                    continue;
                }
                if sendable && (sent_with.contains(&template.handle) || !self.seen.data_plane_follows) {
                    retiring = true;
                    continue;
                }
                steps.push(Step::Delete {
                    account: account.clone(),
                    name: template.name.clone(),
                    handle: template.handle.clone(),
                });
            }
        }
        self.steps.extend(steps);
        if retiring {
            self.look_again(self.seen.now + RETIRE_CHECK);
        }
    }

    fn known(&self, account: &str, language: &str) -> Option<&TemplateLocationStatus> {
        self.known.iter().find(|location| location.account == account && location.language == language)
    }

    fn look_again(&mut self, at: Timestamp) {
        self.look_again_at = Some(self.look_again_at.map_or(at, |sooner| sooner.min(at)));
    }
}

/// Whether a revision may go on serving: approved, or paused for a time.
fn serves(revision: &RevisionStatus) -> bool {
    matches!(revision.state, RevisionState::Approved | RevisionState::Paused)
}

/// The same one of several revisions with one content, every time: the recorded one, or else one of our own `name`, or
/// else the one furthest in its review. One that an earlier object left counts only while it may be sent or is under
/// review.
fn best<'a>(
    listed: &[&'a TemplateObservation],
    name: &str,
    recorded: Option<&TemplateHandle>,
) -> Option<&'a TemplateObservation> {
    let is_recorded = |template: &TemplateObservation| recorded.is_some_and(|handle| *handle == template.handle);
    let is_usable = |template: &TemplateObservation| {
        matches!(template.approval, Approval::Approved | Approval::Pending | Approval::Paused { .. })
    };
    listed
        .iter()
        .filter(|template| template.name == name || is_recorded(template) || is_usable(template))
        .min_by_key(|template| {
            let unrecorded = recorded.is_some() && !is_recorded(template);
            (unrecorded, template.name != name, state(&template.approval).0, template.handle.clone())
        })
        .copied()
}

/// `name` is the revision's name for this object.
fn status(listed: &TemplateObservation, name: &str, last_action_at: Option<Time>) -> RevisionStatus {
    let (state, reason) = state(&listed.approval);
    RevisionStatus {
        name: name.to_owned(),
        handle: Some(listed.handle.clone()),
        state,
        reason,
        category: listed.category.map(Into::into),
        last_action_at,
    }
}

fn state(approval: &Approval) -> (RevisionState, Option<String>) {
    match approval {
        Approval::Unsubmitted => (RevisionState::Unsubmitted, None),
        Approval::Pending => (RevisionState::Pending, None),
        Approval::Approved => (RevisionState::Approved, None),
        Approval::Rejected { reason } => (RevisionState::Rejected, Some(reason.clone())),
        Approval::Paused { reason } => (RevisionState::Paused, Some(reason.clone())),
        Approval::Disabled { reason } => (RevisionState::Disabled, Some(reason.clone())),
        Approval::Unknown { word } => (RevisionState::Unknown, Some(word.clone())),
    }
}
