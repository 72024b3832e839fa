//! A template's contribution to the tenant's config: what can be sent now. Pure, from spec and status.
//!
//! The status holds the revision that serves in each language, with its text. The spec may be ahead of it.

use std::collections::{BTreeMap, BTreeSet};

use crds::{MessageTemplateSpec, MessageTemplateStatus, RevisionContent, RevisionState, RevisionStatus};
use messaging::template::Approval;
use messaging::template::placeholder::used_keys;
use messaging::template::{AccountTemplate, LocalizationConfig, LocalizedContent, TemplateConfig};

use super::category::in_force;
use super::validate::content;

/// `None` while no provider has a revision.
pub(super) fn compile(spec: &MessageTemplateSpec, status: &MessageTemplateStatus) -> Option<TemplateConfig> {
    let languages: BTreeSet<&str> = status.locations.iter().map(|location| location.language.as_str()).collect();
    let chosen: BTreeMap<&str, Chosen<'_>> =
        languages.into_iter().filter_map(|language| Some((language, choose(status, language)?))).collect();
    // While no provider has the fallback language yet, another language takes its place.
    let (fallback, first) =
        chosen.get_key_value(spec.fallback_language.as_str()).or_else(|| chosen.first_key_value())?;
    let fallback_language = (*fallback).to_owned();
    let category = in_force(status).unwrap_or(first.revision.category);
    let variables: BTreeSet<&String> = chosen.values().flat_map(|chosen| &chosen.revision.variables).collect();
    let localizations: BTreeMap<_, _> =
        chosen.into_iter().map(|(language, chosen)| (language.to_owned(), chosen.config.into())).collect();
    Some(TemplateConfig {
        category: category.into(),
        variables: variables.into_iter().cloned().collect(),
        fallback_language,
        localizations: localizations.into(),
    })
}

struct Chosen<'a> {
    revision: &'a RevisionContent,
    config: LocalizationConfig,
}

/// Chooses a language's text, and the accounts that can send it. One language has one text, so every account that
/// sends it must have a revision which takes the same values. The text is that of the first account where a revision
/// serves, or else of the first account with a revision. Accounts differ only while a new revision is approved at one
/// and not at another, and a revision must not stop serving because another one is under review.
fn choose<'a>(status: &'a MessageTemplateStatus, language: &str) -> Option<Chosen<'a>> {
    let published: Vec<(bool, &str, &RevisionStatus, &RevisionContent, LocalizedContent)> = status
        .locations
        .iter()
        .filter(|location| location.language == language)
        .filter_map(|location| {
            // Without a newest revision the account is no longer wanted.
            let newest = location.newest.as_ref()?;
            let revision = location.serving.as_ref().unwrap_or(newest);
            let contents = status.revisions.iter().find(|content| content.name == revision.name)?;
            let serves = location.serving.is_some();
            Some((serves, location.account.as_str(), revision, contents, content(&contents.content).ok()?))
        })
        .collect();
    let with_handle = || published.iter().filter(|(_, _, revision, ..)| revision.handle.is_some());
    let (_, _, _, revision, text) = with_handle().find(|(serves, ..)| *serves).or_else(|| with_handle().next())?;
    let accounts = published
        .iter()
        .filter(|(.., other)| used_keys(other) == used_keys(text))
        .filter_map(|(_, account, revision, ..)| {
            let handle = revision.handle.as_ref()?.to_string();
            Some(((*account).to_owned(), AccountTemplate { handle, approval: approval(revision) }.into()))
        })
        .collect();
    Some(Chosen { revision, config: LocalizationConfig { content: text.clone(), accounts } })
}

fn approval(revision: &RevisionStatus) -> Approval {
    let reason = revision.reason.clone().unwrap_or_default();
    match revision.state {
        RevisionState::Creating | RevisionState::Unsubmitted => Approval::Unsubmitted,
        RevisionState::Pending => Approval::Pending,
        RevisionState::Approved => Approval::Approved,
        RevisionState::Rejected => Approval::Rejected { reason },
        RevisionState::Paused => Approval::Paused { reason },
        RevisionState::Disabled => Approval::Disabled { reason },
        RevisionState::Unknown => Approval::Unknown { word: reason },
    }
}
