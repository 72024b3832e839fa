//! Decides what to do next about a template, from what is recorded and what was observed: pure.
//!
//! Creation is the delicate step, because the provider has neither an idempotency key nor unique names. Three rules
//! make a crash at any point leave at most one revision behind. The intent to create is recorded before the call. A
//! revision is looked up by its deterministic name before it is created. An intent without a result gets time to show
//! up in the provider's list before it is acted on again, and a creation does not begin long after its intent.
//!
//! What exists comes before what would be created ([`newest`]). What was created and is not needed any more is deleted
//! ([`retire`]); what was adopted is let go.

mod newest;
mod retire;

use std::collections::{BTreeMap, BTreeSet};

use crds::{RevisionOrigin, RevisionState, RevisionStatus, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::admin::{TemplateHandle, TemplateObservation};
use messaging::template::Approval;

use super::adopt::Refused;
use super::claims::Claims;
use super::naming::Names;
use super::validate::Validated;

/// How far the provider's list of templates may lag behind writes.
pub(super) const LIST_LAG: SignedDuration = SignedDuration::from_secs(60);
/// How long a call may take until it takes effect, also one whose caller is gone.
pub(super) const CALL_ENDS_WITHIN: SignedDuration = SignedDuration::from_secs(30);
/// How long after its intent was recorded a creation may begin.
pub(super) const INTENT_HOLDS: SignedDuration = SignedDuration::from_secs(10);
/// By when the list shows a revision whose intent was recorded, if it was created at all.
pub(super) const SHOWN_WITHIN: SignedDuration =
    SignedDuration::from_secs(INTENT_HOLDS.as_secs() + CALL_ENDS_WITHIN.as_secs() + LIST_LAG.as_secs());
/// How soon to check again whether the data plane has let go of a revision.
const RETIRE_CHECK: SignedDuration = SignedDuration::from_secs(2);

/// What was observed of one provider account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AccountView {
    /// The templates there that this object has, names or may use, as of this time or later.
    Listed { at: Timestamp, templates: Vec<TemplateObservation> },
    /// The account could not be listed this time.
    Unavailable,
    /// No sender has credentials for the account.
    Lost,
}

impl AccountView {
    /// Those that were listed.
    pub(super) fn templates(&self) -> &[TemplateObservation] {
        match self {
            Self::Listed { templates, .. } => templates,
            Self::Unavailable | Self::Lost => &[],
        }
    }
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    /// The accounts that the template is submitted to.
    pub(super) wanted: BTreeSet<String>,
    /// The wanted accounts, and those that hold earlier revisions.
    pub(super) accounts: BTreeMap<String, AccountView>,
    /// Every sender that the spec names is known, so `wanted` is complete.
    pub(super) knows_senders: bool,
    /// The accounts of this tenant that are not wanted, and have a template that the spec names.
    pub(super) elsewhere: BTreeMap<TemplateHandle, String>,
    /// What other objects have of the listed templates.
    pub(super) claims: Claims,
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
    /// Templates that were adopted now.
    pub(super) adopted: Vec<Adopted>,
    /// Templates that say the same, and that another object has.
    pub(super) taken: Vec<Taken>,
    /// Templates that the spec names and that can't be used. Nothing is created in their languages.
    pub(super) refused: Vec<Refused>,
}

/// A template that this object did not create, and uses from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adopted {
    pub(super) account: String,
    pub(super) language: String,
    pub(super) handle: TemplateHandle,
    pub(super) because: Because,
}

/// Why a template was adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Because {
    /// The spec names it.
    Named,
    /// An earlier object of this namespace and name left it.
    Left,
    /// It says the same.
    Equal,
}

/// A template that would be used if another object did not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) account: String,
    pub(super) language: String,
    pub(super) handle: TemplateHandle,
    /// The other object, in words.
    pub(super) by: String,
}

/// `known` holds the recorded locations.
pub(super) fn plan(desired: &Validated, known: &[TemplateLocationStatus], seen: &Observation) -> Plan {
    let mut planner = Planner {
        desired,
        known,
        seen,
        steps: Vec::new(),
        look_again_at: None,
        adopted: Vec::new(),
        taken: Vec::new(),
        refused: Vec::new(),
    };
    let newest = planner.newest_revisions();
    let mut locations = planner.serve(&newest);
    let (left, lost) = planner.left_behind();
    locations.extend(left);
    planner.delete_the_rest(&locations);
    planner.delete_what_was_handed_over(&mut locations);
    locations.sort_by(|a, b| (&a.account, &a.language).cmp(&(&b.account, &b.language)));
    let Planner { steps, look_again_at, adopted, taken, refused, .. } = planner;
    Plan { locations, steps, look_again_at, lost, adopted, taken, refused }
}

type Key = (String, String);

struct Planner<'a> {
    desired: &'a Validated,
    known: &'a [TemplateLocationStatus],
    seen: &'a Observation,
    steps: Vec<Step>,
    look_again_at: Option<Timestamp>,
    adopted: Vec<Adopted>,
    taken: Vec<Taken>,
    refused: Vec<Refused>,
}

impl Planner<'_> {
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
                    retiring: Vec::new(),
                }
            })
            .collect()
    }

    /// A revision as the list shows it now; `None` when the list no longer has it.
    fn still_there(&self, account: &str, revision: RevisionStatus) -> Option<RevisionStatus> {
        match self.seen.accounts.get(account) {
            Some(AccountView::Listed { templates, .. }) => {
                let listed = templates.iter().find(|template| Some(&template.handle) == revision.handle.as_ref())?;
                Some(status(&self.desired.names, listed, &revision.name, revision.last_action_at))
            }
            Some(AccountView::Unavailable | AccountView::Lost) | None => Some(revision),
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

/// `name` is the revision's name for this object.
fn status(names: &Names, listed: &TemplateObservation, name: &str, last_action_at: Option<Time>) -> RevisionStatus {
    let (state, reason) = state(&listed.approval);
    let origin = if names.own(&listed.name) { RevisionOrigin::Created } else { RevisionOrigin::Adopted };
    RevisionStatus {
        name: name.to_owned(),
        handle: Some(listed.handle.clone()),
        state,
        origin: Some(origin),
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
