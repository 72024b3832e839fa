//! One process of the operator: where it stands in a tenant's turn. The order of reads and writes is that of
//! [`crate::publish::publisher`].

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::PartialObjectMeta;
use messaging::config::parts::ContentId;

use super::replica::{Lease, Replica};
use super::state::{Bug, Shown, Stored, Version, World};
use super::texts::{self, Shape, TEMPLATE, Text, tenant};
use crate::metrics::KindName;
use crate::publish::contributions::TenantContributions;
use crate::publish::data_plane::{Awaited, DataPlane};
use crate::publish::leftovers::{go_now, leftovers};
use crate::publish::part_secrets::{Listed, Part, Wants};
use crate::publish::publisher::Readers;
use crate::publish::replicas::Acknowledged;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Operator {
    /// The chapter that its watches show.
    pub(super) sees: usize,
    /// Whether it has contributed that since it started.
    pub(super) has_contributed: bool,
    /// Something is to be published.
    is_dirty: bool,
    /// What it knows to be published; the text is absent where nothing is.
    pub(super) published: Option<(Version, Option<Text>, bool)>,
    /// The parts that it knows of, each with the version, and whether that is good.
    known: BTreeMap<ContentId, (Version, bool)>,
    awaits: Option<bool>,
    pub(super) knows_replicas: bool,
    pub(super) stage: Stage,
    /// It has found out that another leads.
    pub(super) has_ended: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    #[default]
    Idle,
    /// It has read the Secret.
    Read(Option<Stored>),
    /// It makes sure of each part.
    Putting { over: Option<Stored>, to: To, listed: BTreeMap<ContentId, Version>, left: VecDeque<ContentId> },
    /// It is about to ask who leads, or has asked, and then writes the Secret.
    Writing { over: Option<Stored>, to: Option<To>, has_asked: bool, listed: Option<BTreeMap<ContentId, Version>> },
    /// It removes parts.
    Sweeping { published: Option<Version>, left: VecDeque<(ContentId, Version)>, has_asked: bool },
}

/// What is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct To {
    text: Text,
    chapter: usize,
    shape: Shape,
}

impl To {
    fn in_parts(self) -> bool {
        self.shape == Shape::Parts
    }
}

impl Operator {
    /// A process that has just started, and has listed the objects.
    pub(super) fn started(sees: usize) -> Self {
        Self { sees, ..Self::default() }
    }

    /// A process that has found out that another leads.
    pub(super) fn ended() -> Self {
        Self { has_ended: true, ..Self::default() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }
}

impl World {
    /// What a process knows of the data plane, in the operator's own terms.
    fn data_plane(&self, n: usize) -> DataPlane {
        let (data_plane, operator) = (DataPlane::default(), &self.operators[n]);
        if let Some((version, text, in_parts)) = operator.published {
            let index = text.filter(|_| in_parts).map(texts::index_id);
            data_plane.set_published(&tenant(), u128::from(version), index, text.map(texts::config));
        }
        if operator.knows_replicas {
            let acknowledged = |replica: &Replica| {
                let Lease { version, refuses, parts_of } = replica.lease?;
                let parts = parts_of.map(|text| (tenant().to_string(), texts::index_id(text).to_string()));
                Some(Acknowledged {
                    version: u128::from(version),
                    refused: refuses.then(|| (tenant().to_string(), "wrong".to_owned())).into_iter().collect(),
                    parts: replica.reads_parts.then(|| parts.into_iter().collect()),
                })
            };
            let leases = self.replicas.iter().enumerate();
            data_plane
                .set_alive(leases.filter_map(|(r, replica)| Some((r.to_string(), acknowledged(replica)?))).collect());
        }
        let awaited = |is_for_readers| if is_for_readers { Awaited::Readers } else { Awaited::Acknowledgement };
        data_plane.wait_for(&tenant(), operator.awaits.map(awaited));
        data_plane
    }

    /// How many replicas the status of the template says to be ready.
    pub(super) fn counted(&self, n: usize) -> Option<usize> {
        let contributed = TenantContributions::default();
        let status = self.data_plane(n).status_of(KindName::Template, &tenant(), TEMPLATE, &contributed)?;
        usize::try_from(status.ready).ok()
    }

    /// Whether something has the tenant published again.
    pub(super) fn is_due(&self, n: usize) -> bool {
        let operator = &self.operators[n];
        let known = operator.published.and_then(|(version, text, _)| text.map(|_| version));
        let saw = |(part, version): (&ContentId, &Version)| {
            operator.known.get(part).is_some_and(|(known, _)| known == version)
        };
        let is_news = known != self.config.map(|stored| stored.version)
            || !self.parts.iter().all(saw)
            || operator.known.keys().any(|part| !self.parts.contains_key(part));
        operator.is_dirty || (is_news && self.bug != Bug::NoFollow) || self.is_ripe(n)
    }

    fn is_ripe(&self, n: usize) -> bool {
        let awaits = self.operators[n].awaits.is_some() && self.bug != Bug::NeverRipe;
        awaits && !self.data_plane(n).ripe().is_empty()
    }

    pub(super) fn contribute(&mut self, n: usize) {
        let chapter = self.chapter;
        let operator = &mut self.operators[n];
        (operator.sees, operator.has_contributed, operator.is_dirty) = (chapter, true, true);
    }

    /// A turn begins.
    pub(super) fn begin(&mut self, n: usize) {
        let (is_ripe, parts, config) = (self.is_ripe(n), &self.parts, self.config);
        let operator = &mut self.operators[n];
        // It is told once.
        operator.awaits = operator.awaits.filter(|_| !is_ripe);
        operator.is_dirty = false;
        operator.known.retain(|part, _| parts.contains_key(part));
        for (part, version) in parts {
            let known = operator.known.entry(part.clone()).or_insert((*version, false));
            if known.0 != *version {
                *known = (*version, false);
            }
        }
        operator.stage = Stage::Read(config);
    }

    /// The next read or write of a turn.
    pub(super) fn go_on(&mut self, n: usize, is_answered: bool) {
        match std::mem::take(&mut self.operators[n].stage) {
            Stage::Idle => {}
            Stage::Read(over) => self.decide(n, over),
            Stage::Putting { over, to, listed, left } => self.put(n, over, to, listed, left),
            Stage::Writing { over, to, has_asked: false, listed } => {
                if self.leads(n) {
                    self.operators[n].stage = Stage::Writing { over, to, has_asked: true, listed };
                }
            }
            Stage::Writing { over, to, has_asked: true, listed } => self.write(n, over, to, listed, is_answered),
            Stage::Sweeping { published, left, has_asked: false } => {
                let is_as_published = self.config.map(|stored| stored.version) == published;
                if (is_as_published || self.bug == Bug::StaleSweep) && self.leads(n) {
                    self.operators[n].stage = Stage::Sweeping { published, left, has_asked: true };
                }
            }
            Stage::Sweeping { published, left, .. } => self.remove_parts(n, published, left),
        }
    }

    /// Asks who leads. A process that does not ends.
    fn leads(&mut self, n: usize) -> bool {
        let leads = self.leader == n || self.bug == Bug::NoGate;
        if !leads {
            self.operators[n] = Operator::ended();
        }
        leads
    }

    /// The turn came to nothing, and there will be another.
    fn fail(&mut self, n: usize) {
        (self.operators[n].stage, self.operators[n].is_dirty) = (Stage::Idle, true);
    }

    fn decide(&mut self, n: usize, over: Option<Stored>) {
        let Operator { sees, has_contributed, .. } = self.operators[n];
        let asked = self.story[sees];
        if over.is_none() && asked.is_none() {
            return self.sweep(n, None, None, None);
        }
        let previous = over.map(|stored| stored.text).filter(|_| self.bug != Bug::ForgetPrevious);
        let contributed = asked.filter(|_| has_contributed);
        let Some(text) = texts::compile(previous, asked.is_some(), contributed) else {
            if over.is_none() {
                return self.is_gone(n);
            }
            self.operators[n].stage = Stage::Writing { over, to: None, has_asked: false, listed: None };
            return;
        };
        let stays = Some(text) == previous && contributed != previous;
        let chapter = over.filter(|_| stays).map_or(sees, |stored| stored.chapter);
        let was_in_parts = over.is_some_and(|stored| stored.in_parts);
        let readers = if self.bug == Bug::BlindParts { Readers::All } else { self.data_plane(n).readers() };
        let Some(shape) = texts::shape(text, was_in_parts, &readers) else {
            // It is tried again once all read parts. The retries meanwhile change nothing.
            self.operators[n].awaits = Some(true);
            return;
        };
        let to = To { text, chapter, shape };
        if to.in_parts() {
            let is_old = |replica: &Replica| replica.lease.is_some() && !replica.reads_parts;
            if !was_in_parts && self.replicas.iter().any(is_old) {
                self.break_promise("parts begin, and a replica does not read them".to_owned());
            }
            let left = texts::parts(text).iter().cloned().collect();
            let listed = self.parts.clone();
            if self.bug == Bug::IndexFirst {
                self.set_config(Some((text, true)), chapter);
            }
            self.operators[n].stage = Stage::Putting { over, to, listed, left };
        } else {
            self.wants_write(n, over, to, None);
        }
    }

    /// Makes sure of the parts.
    fn put(
        &mut self,
        n: usize,
        over: Option<Stored>,
        to: To,
        listed: BTreeMap<ContentId, Version>,
        mut left: VecDeque<ContentId>,
    ) {
        while let Some(part) = left.pop_front() {
            let version = listed.get(&part).copied();
            let is_good =
                version.is_some() && self.operators[n].known.get(&part) == version.map(|v| (v, true)).as_ref();
            let is_named = over.is_some_and(|stored| stored.in_parts && texts::parts(stored.text).contains(&part));
            let wants = match Wants::of(version.is_some(), is_good, is_named) {
                Wants::Renewal if self.bug == Bug::NoRenewal => Wants::Check,
                wants => wants,
            };
            let now = self.parts.get(&part).copied();
            let is_as_seen = match wants {
                Wants::Nothing => true,
                // A part that is gone meanwhile is written anew, without another look.
                Wants::Check => now.is_some(),
                Wants::Creation | Wants::Renewal => now == version,
            };
            if !is_as_seen {
                return self.fail(n);
            }
            match wants {
                Wants::Nothing => continue,
                Wants::Check => {
                    let vouched = now.map_or((0, false), |version| (version, true));
                    self.operators[n].known.insert(part, vouched);
                    continue;
                }
                Wants::Creation | Wants::Renewal => {}
            }
            let version = self.next_version();
            self.parts.insert(part.clone(), version);
            self.operators[n].known.insert(part.clone(), (version, true));
            self.show(Shown::Part(part));
            // They are written several at once.
            if self.left.crashes > 0 {
                self.operators[n].stage = Stage::Putting { over, to, listed, left };
                return;
            }
        }
        self.wants_write(n, over, to, Some(listed));
    }

    fn wants_write(&mut self, n: usize, over: Option<Stored>, to: To, listed: Option<BTreeMap<ContentId, Version>>) {
        match over.filter(|stored| stored.text == to.text && stored.in_parts == to.in_parts()) {
            Some(stored) => self.is_published(n, stored.version, to, listed),
            None => self.operators[n].stage = Stage::Writing { over, to: Some(to), has_asked: false, listed },
        }
    }

    fn write(
        &mut self,
        n: usize,
        over: Option<Stored>,
        to: Option<To>,
        listed: Option<BTreeMap<ContentId, Version>>,
        is_answered: bool,
    ) {
        let is_as_read = over.map(|stored| stored.version) == self.config.map(|stored| stored.version);
        if !is_as_read && self.bug != Bug::NoVersion {
            return self.fail(n);
        }
        let (sees, value) = (self.operators[n].sees, to.map(|to| (to.text, to.in_parts())));
        let version = self.set_config(value, to.map_or(sees, |to| to.chapter));
        if !is_answered {
            return self.fail(n);
        }
        match to {
            Some(to) => self.is_published(n, version, to, listed),
            None => self.is_gone(n),
        }
    }

    fn is_gone(&mut self, n: usize) {
        self.operators[n].published = Some((0, None, false));
        self.sweep(n, None, None, None);
    }

    fn is_published(&mut self, n: usize, version: Version, to: To, listed: Option<BTreeMap<ContentId, Version>>) {
        let is_for_now = to.shape == Shape::Whole { for_now: true };
        let operator = &mut self.operators[n];
        operator.published = Some((version, Some(to.text), to.in_parts()));
        operator.awaits = is_for_now.then_some(true);
        let index = to.in_parts().then_some(to.text);
        self.sweep(n, Some(version), index, listed);
    }

    fn sweep(
        &mut self,
        n: usize,
        published: Option<Version>,
        index: Option<Text>,
        listed: Option<BTreeMap<ContentId, Version>>,
    ) {
        self.operators[n].stage = Stage::Idle;
        if listed.is_none() && self.operators[n].known.is_empty() {
            return;
        }
        let versions = listed.unwrap_or_else(|| self.parts.clone());
        let part = |version: &Version| {
            let mut part = Part { types: None, ..PartialObjectMeta::default() };
            part.metadata.creation_timestamp = Some(Time(Timestamp::from_second(i64::from(*version)).unwrap()));
            part
        };
        let listed: Listed = versions.iter().map(|(id, version)| (id.clone(), part(version))).collect();
        let mut left = leftovers(&listed, index.map(texts::index));
        if left.is_empty() {
            return;
        }
        let run_by_all = published.map(|_| self.bug == Bug::BlindSweep || self.data_plane(n).is_run_by_all(&tenant()));
        if let Some(run_by_all) = run_by_all {
            self.operators[n].awaits = (!run_by_all).then_some(false);
        }
        go_now(&mut left, run_by_all);
        if run_by_all == Some(true) {
            self.check_removal(n);
        }
        let left: VecDeque<_> = left.iter().map(|(id, _)| ((*id).clone(), versions[*id])).collect();
        if !left.is_empty() {
            self.operators[n].stage = Stage::Sweeping { published, left, has_asked: false };
        }
    }

    /// Removes parts, as they were seen.
    fn remove_parts(&mut self, n: usize, published: Option<Version>, mut left: VecDeque<(ContentId, Version)>) {
        while let Some((part, version)) = left.pop_front() {
            if self.parts.get(&part) == Some(&version) {
                self.parts.remove(&part);
                self.operators[n].known.remove(&part);
                self.show(Shown::PartGone(part));
            }
            // They are removed several at once.
            if self.left.crashes > 0 && !left.is_empty() {
                self.operators[n].stage = Stage::Sweeping { published, left, has_asked: true };
                return;
            }
        }
    }

    /// Parts go only once every replica has let go of what they were for.
    fn check_removal(&mut self, n: usize) {
        let Some((version, Some(text), _)) = self.operators[n].published else { return };
        let runs = |replica: &Replica| {
            replica.running.is_some_and(|running| running.text == text || running.version >= version)
        };
        if self.replicas.iter().any(|replica| replica.lease.is_some() && !runs(replica)) {
            self.break_promise("an old part goes, and a replica has not let go of it".to_owned());
        }
    }
}
