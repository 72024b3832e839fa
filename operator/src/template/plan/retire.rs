//! What happens to templates that are not needed any more: pure.

use std::collections::BTreeSet;

use crds::{RevisionOrigin, TemplateLocationStatus};
use messaging::provider::admin::{TemplateHandle, TemplateObservation};
use messaging::template::Approval;

use super::{AccountView, Planner, RETIRE_CHECK, Step};

impl Planner<'_> {
    /// The locations at accounts that are no longer wanted: those that still hold revisions, and those that are given
    /// up.
    pub(super) fn left_behind(&self) -> (Vec<TemplateLocationStatus>, Vec<TemplateLocationStatus>) {
        let elsewhere = self.known.iter().filter(|location| !self.seen.wanted.contains(&location.account));
        let (mut left, mut lost) = (Vec::new(), Vec::new());
        for location in elsewhere {
            let serving = location.serving.clone().or_else(|| location.newest.clone());
            let kept = TemplateLocationStatus { serving, newest: None, retiring: Vec::new(), ..location.clone() };
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
    pub(super) fn delete_the_rest(&mut self, locations: &[TemplateLocationStatus]) {
        let (mut steps, mut retiring) = (Vec::new(), false);
        for (account, view) in &self.seen.accounts {
            let AccountView::Listed { templates, .. } = view else { continue };
            let needed = self.in_use(locations, account);
            let sent_with = self.in_use(self.known, account);
            for template in templates.iter().filter(|template| self.desired.names.own(&template.name)) {
                if needed.contains(&template.handle) {
                    continue;
                }
                if self.may_be_sent_with(template, &sent_with) {
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

    /// Deletes adopted templates that are not needed any more, where an annotation hands them over. Their names are not
    /// ours, so the status keeps in mind which they are until they are gone.
    pub(super) fn delete_what_was_handed_over(&mut self, locations: &mut Vec<TemplateLocationStatus>) {
        if !self.desired.deletes_adopted {
            return;
        }
        let mut waits = false;
        for known in self.known {
            let needed = self.in_use(locations, &known.account);
            let sent_with = self.in_use(self.known, &known.account);
            let mut retiring = Vec::new();
            for handle in candidates(known).into_iter().filter(|handle| !needed.contains(handle)) {
                match self.seen.accounts.get(&known.account) {
                    Some(AccountView::Listed { templates, .. }) => {
                        let listed = templates.iter().find(|template| template.handle == handle);
                        let Some(template) = listed.filter(|template| !self.desired.names.own(&template.name)) else {
                            continue;
                        };
                        // Another object uses it, too.
                        if self.seen.claims.shared.contains(&handle) {
                            continue;
                        }
                        if self.may_be_sent_with(template, &sent_with) {
                            waits = true;
                        } else {
                            self.steps.push(Step::Delete {
                                account: known.account.clone(),
                                name: template.name.clone(),
                                handle: handle.clone(),
                            });
                        }
                        retiring.push(handle);
                    }
                    Some(AccountView::Unavailable) => retiring.push(handle),
                    Some(AccountView::Lost) | None => {}
                }
            }
            keep_in_mind(locations, known, retiring);
        }
        if waits {
            self.look_again(self.seen.now + RETIRE_CHECK);
        }
    }

    /// The templates that these locations say are needed at an account.
    fn in_use(&self, locations: &[TemplateLocationStatus], account: &str) -> BTreeSet<TemplateHandle> {
        let here = locations.iter().filter(|location| location.account == account);
        let wanted = here.flat_map(|location| {
            let serving = location.serving.as_ref().filter(|_| self.seen.wanted.contains(account));
            [serving, location.newest.as_ref()]
        });
        wanted.flatten().filter_map(|revision| revision.handle.clone()).collect()
    }

    /// Whether a replica may still send with a template that is not needed any more. `sent_with` were needed before.
    fn may_be_sent_with(&self, template: &TemplateObservation, sent_with: &BTreeSet<TemplateHandle>) -> bool {
        let sendable = matches!(template.approval, Approval::Approved | Approval::Paused { .. });
        sendable && (sent_with.contains(&template.handle) || !self.seen.data_plane_follows)
    }
}

/// What a location may have adopted.
fn candidates(known: &TemplateLocationStatus) -> BTreeSet<TemplateHandle> {
    let revisions = [known.serving.as_ref(), known.newest.as_ref()].into_iter().flatten();
    let adopted = revisions.filter(|revision| revision.origin == Some(RevisionOrigin::Adopted));
    adopted.filter_map(|revision| revision.handle.clone()).chain(known.retiring.iter().cloned()).collect()
}

fn keep_in_mind(
    locations: &mut Vec<TemplateLocationStatus>,
    known: &TemplateLocationStatus,
    retiring: Vec<TemplateHandle>,
) {
    if retiring.is_empty() {
        return;
    }
    let same = |location: &&mut TemplateLocationStatus| {
        (&location.account, &location.language) == (&known.account, &known.language)
    };
    match locations.iter_mut().find(same) {
        Some(location) => location.retiring = retiring,
        None => locations.push(TemplateLocationStatus {
            serving: None,
            newest: None,
            retiring,
            account: known.account.clone(),
            language: known.language.clone(),
        }),
    }
}
