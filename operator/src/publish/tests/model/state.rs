//! Everything that there is: the Secrets, the replicas with their Leases, and two processes of the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use messaging::config::parts::ContentId;

use super::operator::Operator;
use super::replica::Replica;
use super::texts::{self, Text};

pub(super) type Version = u16;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Nobody asks who leads before a write.
    NoGate,
    /// The Secret is written whatever its version is.
    NoVersion,
    /// The index is written before its parts.
    IndexFirst,
    /// A part that was left over is named again as it is.
    NoRenewal,
    /// Nobody asks what the replicas run before parts go.
    BlindSweep,
    /// Parts go without another look at what is published.
    StaleSweep,
    /// Parts begin whoever reads them.
    BlindParts,
    /// What is published and not contributed yet is forgotten.
    ForgetPrevious,
    /// A replica acknowledges a config that it refused.
    BlindAcknowledgement,
    /// Nobody looks at what something else wrote.
    NoFollow,
    /// Nobody tells when the replicas have acknowledged.
    NeverRipe,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) crashes: u8,
    pub(super) lost_answers: u8,
    pub(super) handovers: u8,
    pub(super) restarts: u8,
    /// Other tenants that are published.
    pub(super) others: u8,
}

/// What is asked for, one after the other; `None`: the tenant is deleted.
pub(super) type Story = &'static [Option<Text>];

/// What the tenant's Secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) version: Version,
    pub(super) text: Text,
    pub(super) in_parts: bool,
    /// Which chapter of the story it follows.
    pub(super) chapter: usize,
}

/// What a watch shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    Config(Stored),
    Gone {
        version: Version,
        chapter: usize,
    },
    Part(ContentId),
    PartGone(ContentId),
    /// Another tenant's config.
    Other(Version),
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) bug: Bug,
    pub(super) story: Story,
    pub(super) left: Left,
    /// How far the story has come.
    pub(super) chapter: usize,
    pub(super) config: Option<Stored>,
    /// The chapter of what was written or removed last.
    pub(super) written: usize,
    pub(super) parts: BTreeMap<ContentId, Version>,
    pub(super) newest: Version,
    /// What was written and not every replica has seen.
    pub(super) log: Vec<Shown>,
    pub(super) replicas: Vec<Replica>,
    pub(super) operators: [Operator; 2],
    pub(super) leader: usize,
    /// The promise that a step broke.
    pub(super) broken: Option<String>,
    pub(super) trace: Option<Arc<Trace>>,
}

/// How a world came to be.
#[derive(Debug)]
pub(super) struct Trace {
    what: String,
    before: Option<Arc<Self>>,
}

impl World {
    pub(super) fn new(bug: Bug, story: Story, left: Left, replicas: &[Replica]) -> Self {
        Self {
            bug,
            story,
            left,
            chapter: 0,
            config: None,
            written: 0,
            parts: BTreeMap::new(),
            newest: 1,
            log: Vec::new(),
            replicas: replicas.to_vec(),
            operators: Default::default(),
            leader: 0,
            broken: None,
            trace: None,
        }
    }

    pub(super) fn note(&mut self, what: String) {
        self.trace = Some(Arc::new(Trace { what, before: self.trace.take() }));
    }

    pub(super) fn told(&self) -> Vec<&str> {
        let mut told: Vec<&str> = std::iter::successors(self.trace.as_deref(), |trace| trace.before.as_deref())
            .map(|trace| trace.what.as_str())
            .collect();
        told.reverse();
        told
    }

    /// Two worlds with the same id have the same future. Replicas are alike, so their order is none.
    pub(super) fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut replicas: Vec<u64> = self.replicas.iter().map(Replica::id).collect();
        replicas.sort_unstable();
        let Self { left, chapter, config, written, parts, newest, log, operators, leader, .. } = self;
        (left, chapter, config, written, parts, newest, log, replicas, operators, leader).hash(&mut hasher);
        hasher.finish()
    }

    /// Replicas catch up on the way to rest, so it makes no difference how far they are behind.
    pub(super) fn id_at_rest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let leases: BTreeSet<_> = self.replicas.iter().map(|replica| (replica.reads_parts, replica.lease)).collect();
        let Self { chapter, config, written, parts, operators, leader, .. } = self;
        (chapter, config, written, parts, leases, &operators[*leader]).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn next_version(&mut self) -> Version {
        self.newest += 1;
        self.newest
    }

    pub(super) fn break_promise(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Has the watches show something, and forgets what all have seen.
    pub(super) fn show(&mut self, shown: Shown) {
        self.log.push(shown);
    }

    pub(super) fn forget_seen(&mut self) {
        let seen = self.replicas.iter().map(|replica| replica.at).min().unwrap_or(self.log.len());
        self.log.drain(..seen);
        self.replicas.iter_mut().for_each(|replica| replica.at -= seen);
    }

    /// Writes the tenant's Secret, or removes it.
    pub(super) fn set_config(&mut self, to: Option<(Text, bool)>, chapter: usize) -> Version {
        let version = self.next_version();
        if chapter < self.written {
            self.break_promise(format!("chapter {} is overwritten with chapter {chapter}", self.written));
        }
        let is_empty = self.config.is_some_and(|before| before.text == Text::Faulty);
        if to.is_none() && !is_empty && self.story[..=self.chapter].iter().all(Option::is_some) {
            self.break_promise("a config is removed, and nobody deleted the tenant".to_owned());
        }
        if let Some((Text::Faulty, _)) = to
            && self.config.is_some_and(|before| before.text != Text::Faulty)
        {
            self.break_promise("an empty config takes the place of one".to_owned());
        }
        self.config = to.map(|(text, in_parts)| Stored { version, text, in_parts, chapter });
        self.written = chapter;
        self.show(match self.config {
            Some(stored) => Shown::Config(stored),
            None => Shown::Gone { version, chapter },
        });
        version
    }

    /// The promise that this state breaks.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.clone().or_else(|| self.missing_part()).or_else(|| self.counted_wrongly())
    }

    fn missing_part(&self) -> Option<String> {
        let Stored { text, .. } = self.config.filter(|stored| stored.in_parts)?;
        let missing = texts::parts(text).iter().position(|part| !self.parts.contains_key(part))?;
        Some(format!("part {missing} of {text:?} is published and is not there"))
    }

    /// The replicas that the status of the template counts, and those that run what was published or something newer.
    fn counted_wrongly(&self) -> Option<String> {
        let n = self.leader;
        let (version, text, _) = self.operators[n].published?;
        let text = text?;
        let counted = self.counted(n)?;
        let runs = |replica: &&Replica| {
            replica.running.is_some_and(|running| running.text == text || running.version >= version)
        };
        let running = self.replicas.iter().filter(runs).count();
        (counted > running).then(|| format!("{counted} replicas count as current, and {running} run {text:?}"))
    }

    /// All parts of the published index, and nothing else.
    pub(super) fn has_exactly_the_parts_it_names(&self) -> bool {
        let named = self.config.filter(|stored| stored.in_parts);
        let named: BTreeSet<&ContentId> = named.iter().flat_map(|stored| texts::parts(stored.text)).collect();
        self.parts.keys().eq(named)
    }
}
