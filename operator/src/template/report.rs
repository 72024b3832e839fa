//! Reports a plan and its outcome in the status: pure.

use std::collections::BTreeSet;

use crds::condition::{APPROVED, SYNCED, reason};
use crds::{
    LanguagesStatus, MessageTemplateStatus, ReadyWhen, RevisionContent, RevisionState, RevisionStatus,
    TemplateLocationStatus,
};

use super::category;
use super::plan::Taken;
use super::validate::Validated;
use crate::reconcile::conditions::State;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::progress::Progress;

/// WhatsApp rejected or disabled a revision: a person must change the template.
#[derive(Debug, thiserror::Error)]
#[error("{what}; change the template, and the change is submitted as a new revision")]
pub(super) struct NotApproved {
    what: String,
    reason: &'static str,
}

impl Explain for NotApproved {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        self.reason
    }
    fn condition(&self) -> Option<&'static str> {
        Some(APPROVED)
    }
}

/// Records the locations, and the contents of the revisions that they name.
pub(super) fn record(status: &mut MessageTemplateStatus, desired: &Validated, locations: Vec<TemplateLocationStatus>) {
    let mut revisions: Vec<RevisionContent> = desired
        .languages
        .values()
        .map(|(localization, revision)| RevisionContent {
            name: revision.name.clone(),
            category: desired.category,
            variables: desired.variables.clone(),
            content: localization.clone(),
        })
        .collect();
    let older = status.revisions.iter().filter(|older| revisions.iter().all(|newer| newer.name != older.name));
    let older: Vec<_> = older.cloned().collect();
    revisions.extend(older);
    let named: BTreeSet<&str> = locations
        .iter()
        .flat_map(|location| [location.serving.as_ref(), location.newest.as_ref()])
        .flatten()
        .map(|revision| revision.name.as_str())
        .collect();
    revisions.retain(|revision| named.contains(revision.name.as_str()));
    status.revisions = revisions;
    status.locations = locations;
}

/// Assesses the conditions from the recorded locations. `taken` are templates with the same text that other objects
/// have.
///
/// # Errors
/// When WhatsApp rejected or disabled a revision.
pub(super) fn assess(
    progress: &mut Progress<MessageTemplateStatus>,
    desired: &Validated,
    taken: &[Taken],
) -> Result<(), Failure> {
    let wanted = || progress.status.locations.iter().filter_map(|l| l.newest.as_ref().map(|newest| (l, newest)));
    let is_desired = |language: &str, newest: &RevisionStatus| {
        desired.languages.get(language).is_some_and(|(_, revision)| revision.name == newest.name)
    };
    let approved = |language: &&String| {
        let mut here = wanted().filter(|(location, _)| location.language == **language).peekable();
        here.peek().is_some() && here.all(|(l, r)| r.state == RevisionState::Approved && is_desired(&l.language, r))
    };
    let total = desired.languages.len();
    let languages = desired.languages.keys().filter(approved).count();
    let worst = wanted().map(|(_, newest)| newest.state).max();
    let accounts = wanted().map(|(location, _)| &location.account).collect::<BTreeSet<_>>().len();
    let unsynced = listed(wanted().filter(|(location, newest)| {
        !is_desired(&location.language, newest)
            || matches!(newest.state, RevisionState::Creating | RevisionState::Unsubmitted)
    }));
    let in_state = |state| listed(wanted().filter(move |(_, newest)| newest.state == state));
    let (rejected, disabled) = (in_state(RevisionState::Rejected), in_state(RevisionState::Disabled));
    let (paused, unknown) = (in_state(RevisionState::Paused), in_state(RevisionState::Unknown));
    let pending = in_state(RevisionState::Pending);

    progress.status.approval = worst;
    let category = category::in_force(&progress.status).unwrap_or(desired.category);
    progress.status.category = Some(category);
    progress.status.languages = Some(LanguagesStatus::new(int(languages), int(total)));
    let unsynced = if accounts == 0 { "no provider account is known yet".to_owned() } else { unsynced };
    let synced = unsynced.is_empty();
    let (why_unsynced, unsynced) = if progress.paused {
        (reason::PAUSED, format!("not submitted while the template is paused: {unsynced}"))
    } else {
        (reason::PROGRESSING, format!("to be submitted: {unsynced}"))
    };
    if synced {
        let submitted = format!("submitted in {} to {}", count(total, "language"), count(accounts, "account"));
        let others = taken.iter().map(|Taken { account, language, handle, by }| {
            format!("{handle} at {account} has the same text in {language}, and is used by {by}")
        });
        let text = std::iter::once(submitted).chain(others).collect::<Vec<_>>().join("; ");
        progress.set(SYNCED, State::True, reason::SUBMITTED, &text);
    } else {
        progress.set(SYNCED, State::False, why_unsynced, &unsynced);
    }
    if !rejected.is_empty() || !disabled.is_empty() {
        let (reason, what) = if rejected.is_empty() {
            (reason::DISABLED, format!("WhatsApp disabled {disabled}"))
        } else {
            (reason::REJECTED, format!("WhatsApp rejected {rejected}"))
        };
        return Err(NotApproved { what, reason }.into());
    }
    if synced && languages == total {
        let (counts_as, wanted) = (category::word(category), category::word(desired.category));
        let other = if counts_as == wanted { String::new() } else { format!(", as {counts_as} instead of {wanted}") };
        progress.set(APPROVED, State::True, reason::APPROVED, &format!("WhatsApp approved every language{other}"));
        progress.ready(&format!("approved in {}{other}", count(total, "language")));
        return Ok(());
    }
    let (state, why, message) = if !paused.is_empty() {
        (State::False, reason::TEMPLATE_PAUSED, format!("WhatsApp paused {paused}"))
    } else if !unknown.is_empty() {
        (State::Unknown, reason::UNDER_REVIEW, format!("this version does not know WhatsApp's answer: {unknown}"))
    } else if !pending.is_empty() {
        (State::Unknown, reason::UNDER_REVIEW, format!("WhatsApp is reviewing {pending}"))
    } else {
        (State::Unknown, reason::UNDER_REVIEW, "nothing is under review yet".to_owned())
    };
    progress.set(APPROVED, state, why, &message);
    if !synced {
        progress.not_ready(why_unsynced, &unsynced);
    } else if desired.ready_when == ReadyWhen::Submitted && paused.is_empty() {
        progress.ready(&format!("submitted; {message}"));
    } else {
        progress.not_ready(why, &message);
    }
    Ok(())
}

/// Whether a revision is being created, submitted or reviewed.
pub(super) fn is_under_way(status: &MessageTemplateStatus) -> bool {
    let states = status.locations.iter().filter_map(|location| location.newest.as_ref()).map(|newest| newest.state);
    states
        .into_iter()
        .any(|state| matches!(state, RevisionState::Pending | RevisionState::Unsubmitted | RevisionState::Creating))
}

/// `en_US at AC…: reason` for each, joined by `; `.
fn listed<'a>(locations: impl Iterator<Item = (&'a TemplateLocationStatus, &'a RevisionStatus)>) -> String {
    let each = locations.map(|(TemplateLocationStatus { account, language, .. }, revision)| match &revision.reason {
        Some(reason) => format!("{language} at {account}: {reason}"),
        None => format!("{language} at {account}"),
    });
    each.collect::<Vec<_>>().join("; ")
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
