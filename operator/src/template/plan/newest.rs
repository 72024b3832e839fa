//! The newest revision of each language at each account: a template that exists, or one to be created. Pure.

use std::collections::BTreeMap;

use crds::{RevisionOrigin, RevisionState, RevisionStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::admin::{TemplateHandle, TemplateObservation, TemplateRevision};

use super::{AccountView, Adopted, Because, Key, Planner, SHOWN_WITHIN, Step, Taken, state, status};
use crate::template::adopt::{Refused, Why, is_equal, is_usable, refuse, still_says};

/// Where the templates are that the spec names in one language.
#[derive(Default)]
struct Located<'a> {
    by_account: BTreeMap<&'a str, &'a TemplateObservation>,
    /// One of them can't be used, or may be at an account that could not be asked. Nothing is created meanwhile,
    /// because the person expects that no review begins.
    held: bool,
}

/// The order of templates that say the same, the best first: see [`Planner::choose`].
type Rank<'a> = (bool, bool, bool, Because, RevisionState, &'a TemplateHandle);

impl<'a> Planner<'a> {
    pub(super) fn newest_revisions(&mut self) -> BTreeMap<Key, Option<RevisionStatus>> {
        let (desired, seen) = (self.desired, self.seen);
        let located: BTreeMap<&String, Located<'_>> =
            desired.languages.iter().map(|(language, (_, revision))| (language, self.locate(revision))).collect();
        let mut newest = BTreeMap::new();
        for account in &seen.wanted {
            for (language, (_, revision)) in &desired.languages {
                let known = self.known(account, language).and_then(|location| location.newest.clone());
                let located = &located[language];
                let found = match seen.accounts.get(account) {
                    Some(AccountView::Listed { .. }) if located.held => {
                        known.and_then(|known| self.as_it_is_now(account, known))
                    }
                    Some(AccountView::Listed { at, templates }) => {
                        let named = located.by_account.get(account.as_str()).copied();
                        let chosen = match named {
                            Some(named) => Some((named, Because::Named)),
                            None => self.choose(account, revision, known.as_ref(), templates),
                        };
                        Some(self.newest(account, revision, known, chosen, *at))
                    }
                    Some(AccountView::Unavailable | AccountView::Lost) | None => known,
                };
                newest.insert((account.clone(), language.clone()), found);
            }
        }
        newest
    }

    /// A revision that nothing is done about, as the list shows it. One that was begun stays in mind.
    fn as_it_is_now(&self, account: &str, known: RevisionStatus) -> Option<RevisionStatus> {
        if known.handle.is_none() { Some(known) } else { self.still_there(account, known) }
    }

    /// Finds the templates that the spec names in the language of a revision, and refuses those that can't be used.
    fn locate(&mut self, revision: &TemplateRevision) -> Located<'a> {
        let mut located = Located::default();
        for named in self.desired.adopt.get(&revision.language).into_iter().flatten() {
            let why = match self.find(&named.handle) {
                Some((account, listed)) => {
                    let first = located.by_account.get(account).map(|first| first.handle.clone());
                    let why = self.unusable(account, revision, listed, first);
                    if why.is_none() {
                        located.by_account.insert(account, listed);
                    }
                    located.held |= why.is_some();
                    why
                }
                None => {
                    located.held = true;
                    self.why_missing(&named.handle)
                }
            };
            if let Some(why) = why {
                self.refused.push(Refused { path: named.path.clone(), handle: named.handle.clone(), why });
            }
        }
        located
    }

    /// The wanted account that has a template.
    fn find(&self, handle: &TemplateHandle) -> Option<(&'a str, &'a TemplateObservation)> {
        self.seen.wanted.iter().find_map(|account| match self.seen.accounts.get(account) {
            Some(AccountView::Listed { templates, .. }) => {
                templates.iter().find(|template| template.handle == *handle).map(|found| (account.as_str(), found))
            }
            Some(AccountView::Unavailable | AccountView::Lost) | None => None,
        })
    }

    /// `None` while one of the accounts could not be asked.
    fn why_missing(&self, handle: &TemplateHandle) -> Option<Why> {
        let is_listed = |account| matches!(self.seen.accounts.get(account), Some(AccountView::Listed { .. }));
        if !self.seen.knows_senders || !self.seen.wanted.iter().all(is_listed) {
            return None;
        }
        Some(match self.seen.elsewhere.get(handle) {
            Some(account) => Why::Elsewhere { account: account.clone() },
            None => Why::Missing { accounts: self.seen.wanted.iter().cloned().collect() },
        })
    }

    /// `first` is another one of the same account that the spec names.
    fn unusable(
        &self,
        account: &str,
        revision: &TemplateRevision,
        listed: &TemplateObservation,
        first: Option<TemplateHandle>,
    ) -> Option<Why> {
        let account = account.to_owned();
        if let Some(first) = first {
            return Some(Why::Second { account, first });
        }
        if let Some(by) = self.seen.claims.taken.get(&listed.handle) {
            return Some(Why::Taken { account, by: by.clone() });
        }
        let known = self.known(&account, &revision.language).and_then(|location| location.newest.as_ref());
        let is_recorded =
            known.is_some_and(|known| known.name == revision.name && known.handle.as_ref() == Some(&listed.handle));
        refuse(&account, revision, listed, is_recorded)
    }

    /// The same one of several templates that say the same, every time: the recorded one, or else our own, or else one
    /// that may be sent or is under review, or else one that an earlier object left. What is not our own counts only
    /// while no other object has it.
    fn choose(
        &mut self,
        account: &str,
        revision: &TemplateRevision,
        known: Option<&RevisionStatus>,
        templates: &'a [TemplateObservation],
    ) -> Option<(&'a TemplateObservation, Because)> {
        let names = &self.desired.names;
        let recorded = known.filter(|known| known.name == revision.name).and_then(|known| known.handle.as_ref());
        let mut chosen: Option<(Rank<'_>, &TemplateObservation, Because)> = None;
        for template in templates {
            let (own, is_recorded) = (names.own(&template.name), recorded == Some(&template.handle));
            let because = if names.same(&template.name, &revision.name) {
                Some(Because::Left)
            } else {
                let equal = is_equal(revision, template) || is_recorded && still_says(revision, template);
                (!own && equal).then_some(Because::Equal)
            };
            let Some(because) = because else { continue };
            if let Some(by) = self.seen.claims.taken.get(&template.handle).filter(|_| !own) {
                self.taken.push(Taken {
                    account: account.to_owned(),
                    language: revision.language.clone(),
                    handle: template.handle.clone(),
                    by: by.clone(),
                });
                continue;
            }
            let unrecorded = recorded.is_some() && !is_recorded;
            let state = state(&template.approval).0;
            let rank: Rank<'_> = (unrecorded, !own, !is_usable(template), because, state, &template.handle);
            if chosen.as_ref().is_none_or(|(best, ..)| rank < *best) {
                chosen = Some((rank, template, because));
            }
        }
        chosen.map(|(_, template, because)| (template, because))
    }

    /// `known` is recorded as the newest of this language.
    fn newest(
        &mut self,
        account: &str,
        revision: &TemplateRevision,
        known: Option<RevisionStatus>,
        chosen: Option<(&TemplateObservation, Because)>,
        listed_at: Timestamp,
    ) -> RevisionStatus {
        let names = &self.desired.names;
        let was_used = known.as_ref().and_then(|known| known.handle.clone());
        let known = known.filter(|known| known.name == revision.name);
        let waiting_since = |known: &RevisionStatus| {
            known.last_action_at.as_ref().map(|at| at.0 + SHOWN_WITHIN).filter(|until| *until > listed_at)
        };
        let submit = |handle: &TemplateHandle| Step::Submit {
            account: account.to_owned(),
            language: revision.language.clone(),
            handle: handle.clone(),
        };
        if let Some((listed, because)) = chosen {
            if !names.own(&listed.name) && was_used.as_ref() != Some(&listed.handle) {
                self.adopted.push(Adopted {
                    account: account.to_owned(),
                    language: revision.language.clone(),
                    handle: listed.handle.clone(),
                    because,
                });
            }
            let known = known.filter(|known| known.handle.as_ref().is_none_or(|handle| *handle == listed.handle));
            let last_action_at = known.as_ref().and_then(|known| known.last_action_at.clone());
            let mut status = status(names, listed, &revision.name, last_action_at);
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
            origin: Some(RevisionOrigin::Created),
            reason: None,
            category: None,
            last_action_at: Some(Time(self.seen.now)),
        }
    }
}
