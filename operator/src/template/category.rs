//! The category that counts: WhatsApp's word wins over the spec's, also when it changes long after the approval. Pure.

use std::collections::BTreeSet;

use crds::{
    MessageTemplateStatus, RevisionContent, RevisionState, RevisionStatus, TemplateCategory, TemplateLocationStatus,
};

/// The category that messages with the template count as; `None` while none can be sent. One counts for every language
/// and account, because a message's language and sender may change until it leaves: the most restricted one, so that
/// what it allows is allowed whichever is sent.
pub(super) fn in_force(status: &MessageTemplateStatus) -> Option<TemplateCategory> {
    let wanted = status.locations.iter().filter(|location| location.newest.is_some());
    wanted
        .filter_map(|location| location.serving.as_ref().or(location.newest.as_ref()))
        .filter(|revision| matches!(revision.state, RevisionState::Approved | RevisionState::Paused))
        .filter_map(|revision| assigned(revision, &status.revisions))
        .max()
}

/// The category that WhatsApp assigned to a revision, or, until it has, the one that the revision is submitted in.
fn assigned(revision: &RevisionStatus, contents: &[RevisionContent]) -> Option<TemplateCategory> {
    let submitted = || contents.iter().find(|content| content.name == revision.name).map(|content| content.category);
    revision.category.or_else(submitted)
}

/// Every revision whose category WhatsApp changed since `before`, in words; `None` when it changed none.
pub(super) fn reassigned(before: &[TemplateLocationStatus], now: &MessageTemplateStatus) -> Option<String> {
    let mut changes = BTreeSet::new();
    for location in &now.locations {
        for revision in revisions(location) {
            let earlier = before
                .iter()
                .filter(|earlier| (&earlier.account, &earlier.language) == (&location.account, &location.language))
                .flat_map(revisions)
                .find(|earlier| earlier.name == revision.name)
                .and_then(|earlier| earlier.category);
            let earlier =
                earlier.or_else(|| assigned(&RevisionStatus { category: None, ..revision.clone() }, &now.revisions));
            let assigned = assigned(revision, &now.revisions);
            if let (Some(earlier), Some(assigned)) = (earlier, assigned)
                && earlier != assigned
            {
                let TemplateLocationStatus { account, language, .. } = location;
                changes.insert(format!("{language} at {account} from {} to {}", word(earlier), word(assigned)));
            }
        }
    }
    (!changes.is_empty()).then(|| {
        let changes = changes.into_iter().collect::<Vec<_>>().join("; ");
        format!("WhatsApp changed the category of {changes}; what a message with the template needs changes with it")
    })
}

/// The category as WhatsApp writes it.
pub(super) fn word(category: TemplateCategory) -> messaging::template::TemplateCategory {
    category.into()
}

fn revisions(location: &TemplateLocationStatus) -> impl Iterator<Item = &RevisionStatus> {
    [location.serving.as_ref(), location.newest.as_ref()].into_iter().flatten()
}
