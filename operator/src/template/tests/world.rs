//! A provider in memory, and a process that may crash after any write.

use std::collections::{BTreeMap, BTreeSet};

use crds::{MessageTemplate, MessageTemplateStatus};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use messaging::provider::ProviderError;
use messaging::provider::admin::{ReviewBegins, TemplateHandle, TemplateObservation, TemplateRevision};
use messaging::template::{Approval, TemplateCategory};
use parking_lot::{Mutex, MutexGuard};

use crate::reconcile::error::Failure;
use crate::reconcile::progress::Progress;
use crate::template::adopt::NotAdoptable;
use crate::template::apply::{Hands, apply};
use crate::template::claims::Claims;
use crate::template::plan::{AccountView, Observation, Plan, plan};
use crate::template::validate::{Validated, validate};
use crate::template::{observe, report};
use crate::testing::content_of;

pub(super) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(super) const OTHER: &str = "AC9999456789abcdef0123456789abcdef";

pub(super) const TEMPLATE: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: MessageTemplate
metadata: { name: parcel-sent, namespace: toys, uid: 7f7b6e1e-8f0e-4a52-9d2e-0c4a7d3a5b11, generation: 1 }
spec:
  senderRefs: [{ name: counter }]
  category: UTILITY
  variables:
    - { key: "1", example: Ava }
  localizations:
    - { language: en_US, body: "Hello {{1}}, your parcel has left our warehouse today." }
    - { language: de, body: "Hallo {{1}}, dein Paket hat heute unser Lager verlassen." }
  fallbackLanguage: en_US
  readyWhen: Approved
  deletionPolicy: Delete
"#;

pub(super) fn template(changes: &[(&str, &str)]) -> MessageTemplate {
    let yaml = changes.iter().fold(TEMPLATE.to_owned(), |yaml, (from, to)| {
        assert!(yaml.contains(from), "{from}");
        yaml.replace(from, to)
    });
    serde_yaml::from_str(&yaml).unwrap()
}

pub(super) fn first() -> MessageTemplate {
    template(&[])
}

pub(super) fn changed() -> MessageTemplate {
    template(&[("Hello {{1}}, your", "Dear {{1}}, your")])
}

/// Everything that outlives a reconcile, even one that crashed.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) accounts: Mutex<BTreeMap<String, Vec<Kept>>>,
    pub(super) recorded: Mutex<MessageTemplateStatus>,
    pub(super) data_plane_follows: bool,
    pub(super) paused: bool,
    pub(super) review_begins: ReviewBegins,
    /// How far the list lags.
    pub(super) lag: SignedDuration,
    pub(super) creation_takes: SignedDuration,
    /// The write after which the process crashes, counted from 1.
    pub(super) crash_after: Mutex<Option<usize>>,
    /// Writes at the provider since the start.
    pub(super) writes: Mutex<Vec<String>>,
    pub(super) fail_next: Mutex<Option<ProviderError>>,
    pub(super) handles: Mutex<usize>,
    pub(super) claims: Mutex<Claims>,
}

pub(super) struct Kept {
    pub(super) since: Timestamp,
    pub(super) template: TemplateObservation,
}

/// One reconcile of the process.
pub(super) struct Process<'a> {
    world: &'a World,
    clock: Mutex<Timestamp>,
    writes_left: Mutex<Option<usize>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Process<'_> {
    /// Never returns if the process crashes here.
    async fn wrote(&self) {
        let crashes = {
            let mut left = lock(&self.writes_left);
            *left = left.map(|left| left.saturating_sub(1));
            *left == Some(0)
        };
        if crashes {
            std::future::pending::<()>().await;
        }
    }

    fn fails(&self) -> Option<ProviderError> {
        lock(&self.world.fail_next).take()
    }
}

impl Hands for Process<'_> {
    fn now(&self) -> Timestamp {
        *lock(&self.clock)
    }

    async fn record_intents(&self, status: &MessageTemplateStatus) -> Result<(), Failure> {
        {
            let mut recorded = lock(&self.world.recorded);
            recorded.locations.clone_from(&status.locations);
            recorded.revisions.clone_from(&status.revisions);
        }
        self.wrote().await;
        Ok(())
    }

    fn review_begins(&self, _account: &str) -> ReviewBegins {
        self.world.review_begins
    }

    async fn create(&self, account: &str, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        if let Some(error) = self.fails() {
            return Err(error);
        }
        let handle = {
            let mut handles = lock(&self.world.handles);
            *handles += 1;
            TemplateHandle::new(format!("HX{}", *handles))
        };
        let template = TemplateObservation {
            handle: handle.clone(),
            name: revision.name.clone(),
            language: revision.language.clone(),
            approval: match self.world.review_begins {
                ReviewBegins::OnCreate => Approval::Pending,
                ReviewBegins::OnSubmit => Approval::Unsubmitted,
            },
            category: None,
            content: Ok(content_of(revision)),
        };
        lock(&self.world.accounts)
            .entry(account.to_owned())
            .or_default()
            .push(Kept { since: *lock(&self.clock), template });
        *lock(&self.clock) += self.world.creation_takes;
        lock(&self.world.writes).push(format!("create {} at {}", revision.language, &account[..4]));
        self.wrote().await;
        Ok(handle)
    }

    async fn submit(
        &self,
        account: &str,
        handle: &TemplateHandle,
        revision: &TemplateRevision,
    ) -> Result<(), ProviderError> {
        if let Some(error) = self.fails() {
            return Err(error);
        }
        self.world.review(account, handle, Approval::Pending);
        lock(&self.world.writes).push(format!("submit {} at {}", revision.language, &account[..4]));
        self.wrote().await;
        Ok(())
    }

    async fn delete(&self, account: &str, handle: &TemplateHandle) -> Result<(), ProviderError> {
        lock(&self.world.accounts)
            .entry(account.to_owned())
            .or_default()
            .retain(|kept| kept.template.handle != *handle);
        lock(&self.world.writes).push(format!("delete {handle} at {}", &account[..4]));
        self.wrote().await;
        Ok(())
    }
}

/// How a reconcile ended.
#[derive(Debug)]
pub(super) enum Ended {
    Crashed,
    Done(Box<Progress<MessageTemplateStatus>>, Result<(), Failure>),
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            accounts: Mutex::default(),
            recorded: Mutex::default(),
            data_plane_follows: true,
            paused: false,
            review_begins: ReviewBegins::OnSubmit,
            lag: SignedDuration::ZERO,
            creation_takes: SignedDuration::ZERO,
            crash_after: Mutex::default(),
            writes: Mutex::default(),
            fail_next: Mutex::default(),
            handles: Mutex::default(),
            claims: Mutex::default(),
        }
    }

    pub(super) fn observe(&self, wanted: &[&str]) -> Observation {
        let accounts = lock(&self.accounts);
        let known = lock(&self.recorded).locations.iter().map(|l| l.account.clone()).collect::<BTreeSet<_>>();
        let keys: BTreeSet<String> = wanted.iter().map(|key| (*key).to_owned()).chain(known).collect();
        let list = |key: &String| -> Vec<TemplateObservation> {
            let kept = accounts.get(key).into_iter().flatten();
            kept.filter(|kept| kept.since + self.lag <= self.now).map(|kept| kept.template.clone()).collect()
        };
        let view = |key: String| (key.clone(), AccountView::Listed { at: self.now, templates: list(&key) });
        Observation {
            wanted: wanted.iter().map(|key| (*key).to_owned()).collect(),
            accounts: keys.into_iter().map(view).collect(),
            knows_senders: true,
            elsewhere: BTreeMap::new(),
            claims: lock(&self.claims).clone(),
            data_plane_follows: self.data_plane_follows,
            now: self.now,
        }
    }

    pub(super) fn plan(&self, template: &MessageTemplate, wanted: &[&str]) -> (Validated, Plan) {
        let desired = validate(template).unwrap();
        let recorded = lock(&self.recorded).clone();
        let handles = observe::recorded(&recorded);
        let mut seen = self.observe(wanted);
        for view in seen.accounts.values_mut() {
            if let AccountView::Listed { templates, .. } = view {
                templates.retain(|listed| observe::is_of_interest(&desired, &handles, listed));
            }
        }
        let plan = plan(&desired, &recorded.locations, &seen);
        (desired, plan)
    }

    /// Runs one reconcile, a few seconds after the last.
    pub(super) fn reconcile(&mut self, template: &MessageTemplate, wanted: &[&str]) -> Ended {
        self.now += SignedDuration::from_secs(5);
        let (desired, mut plan) = self.plan(template, wanted);
        let (taken, refused) = (std::mem::take(&mut plan.taken), std::mem::take(&mut plan.refused));
        let mut progress = Progress::new(lock(&self.recorded).clone(), self.paused);
        let process =
            Process { world: self, clock: Mutex::new(self.now), writes_left: Mutex::new(*lock(&self.crash_after)) };
        let outcome = apply(&process, &desired, plan, &mut progress, self.now).now_or_never();
        let (left, now) = (*lock(&process.writes_left), *lock(&process.clock));
        self.now = now;
        let Some(applied) = outcome else {
            *lock(&self.crash_after) = None;
            return Ended::Crashed;
        };
        let verdict = report::assess(&mut progress, &desired, &taken);
        let verdict = verdict.and(if refused.is_empty() { Ok(()) } else { Err(NotAdoptable(refused).into()) });
        // The last write is the status.
        if left == Some(1) {
            *lock(&self.crash_after) = None;
            return Ended::Crashed;
        }
        *lock(&self.crash_after) = left;
        *lock(&self.recorded) = progress.status.clone();
        Ended::Done(Box::new(progress), verdict.and(applied))
    }

    /// Reconciles until nothing is written, and approves whatever is submitted.
    pub(super) fn run_until_quiet(&mut self, template: &MessageTemplate, wanted: &[&str]) {
        for _ in 0..60 {
            let before = (lock(&self.recorded).clone(), lock(&self.writes).len());
            let ended = self.reconcile(template, wanted);
            self.approve_all();
            let after = (lock(&self.recorded).clone(), lock(&self.writes).len());
            self.check_that_no_revision_exists_twice();
            let is_lagging = self.plan(template, wanted).1.look_again_at.is_some();
            if matches!(ended, Ended::Done(_, Ok(()))) && before == after && !is_lagging {
                return;
            }
        }
        panic!("it never stops writing: {:#?}", lock(&self.writes));
    }

    pub(super) fn done(
        &mut self,
        template: &MessageTemplate,
        wanted: &[&str],
    ) -> (Progress<MessageTemplateStatus>, Result<(), Failure>) {
        match self.reconcile(template, wanted) {
            Ended::Done(progress, outcome) => (*progress, outcome),
            Ended::Crashed => panic!("it was not supposed to crash"),
        }
    }

    /// Runs a reconcile whose outcome does not matter.
    pub(super) fn pass(&mut self, template: &MessageTemplate, wanted: &[&str]) {
        drop(self.done(template, wanted));
    }

    pub(super) fn review(&self, account: &str, handle: &TemplateHandle, approval: Approval) {
        let mut accounts = lock(&self.accounts);
        let kept = accounts.get_mut(account).into_iter().flatten().find(|kept| kept.template.handle == *handle);
        kept.unwrap().template.approval = approval;
    }

    pub(super) fn review_language(&self, account: &str, language: &str, approval: Approval) {
        let handle = {
            let accounts = lock(&self.accounts);
            let newest = accounts[account].iter().rfind(|kept| kept.template.language == language);
            newest.unwrap().template.handle.clone()
        };
        self.review(account, &handle, approval);
    }

    pub(super) fn recategorize(&self, account: &str, language: &str, category: TemplateCategory) {
        let mut accounts = lock(&self.accounts);
        let newest = accounts.get_mut(account).into_iter().flatten().rfind(|kept| kept.template.language == language);
        newest.unwrap().template.category = Some(category);
    }

    pub(super) fn approve_all(&self) {
        for kept in lock(&self.accounts).values_mut().flatten() {
            if kept.template.approval == Approval::Pending {
                kept.template.approval = Approval::Approved;
            }
        }
    }

    /// Somebody else makes a template that says what this one says in a language, and WhatsApp approves it.
    pub(super) fn make(&self, account: &str, handle: &str, template: &MessageTemplate, language: &str) {
        let desired = validate(template).unwrap();
        let (_, revision) = &desired.languages[language];
        let made = TemplateObservation {
            handle: TemplateHandle::new(handle),
            name: format!("made in a console: {handle}"),
            language: language.to_owned(),
            approval: Approval::Approved,
            category: Some(revision.category),
            content: Ok(content_of(revision)),
        };
        lock(&self.accounts)
            .entry(account.to_owned())
            .or_default()
            .push(Kept { since: Timestamp::MIN, template: made });
    }

    /// Changes a template at the provider behind the operator's back.
    pub(super) fn tamper(&self, handle: &str, change: impl FnOnce(&mut TemplateObservation)) {
        let mut accounts = lock(&self.accounts);
        let mut all = accounts.values_mut().flatten();
        change(&mut all.find(|kept| kept.template.handle.as_str() == handle).unwrap().template);
    }

    pub(super) fn handles(&self, account: &str) -> BTreeSet<String> {
        let accounts = lock(&self.accounts);
        accounts.get(account).into_iter().flatten().map(|kept| kept.template.handle.to_string()).collect()
    }

    pub(super) fn names(&self, account: &str) -> Vec<String> {
        let accounts = lock(&self.accounts);
        accounts.get(account).into_iter().flatten().map(|kept| kept.template.name.clone()).collect()
    }

    pub(super) fn check_that_no_revision_exists_twice(&self) {
        for account in [ACCOUNT, OTHER] {
            let names = self.names(account);
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!(names.len(), distinct.len(), "{account} holds a revision twice: {names:#?}");
        }
    }

    pub(super) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.writes))
    }
}
