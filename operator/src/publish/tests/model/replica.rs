//! One replica of the data plane: it follows the watch at its own pace, keeps what it runs for a restart, and
//! acknowledges.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use messaging::config::parts::ContentId;

use super::state::{Bug, Shown, Stored, Version, World};
use super::texts::{Text, is_whole};

/// What its Lease says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lease {
    pub(super) version: Version,
    pub(super) refuses: bool,
    /// The config in parts that it runs.
    pub(super) parts_of: Option<Text>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    pub(super) reads_parts: bool,
    /// How much of the log it has seen.
    pub(super) at: usize,
    /// Whether it has listed everything since it started.
    has_listed: bool,
    pub(super) running: Option<Stored>,
    index: Option<Stored>,
    parts: BTreeSet<ContentId>,
    now: Lease,
    /// What it acknowledged last; absent before it did.
    pub(super) lease: Option<Lease>,
}

impl Replica {
    pub(super) fn new(reads_parts: bool) -> Self {
        Self { reads_parts, ..Self::default() }
    }

    pub(super) fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn owes_acknowledgement(&self) -> bool {
        self.has_listed && self.lease != Some(self.now)
    }

    pub(super) fn acknowledge(&mut self) {
        self.lease = Some(self.now);
    }

    /// What it runs is kept, and its Lease stays until it is written again.
    pub(super) fn restart(&mut self, reads_parts: bool) {
        let Self { running, lease, .. } = std::mem::take(self);
        *self = Self { reads_parts, running, lease, ..Self::default() };
    }

    /// Whether it runs what was asked for, or refuses it, and has said so.
    pub(super) fn is_at_rest(&self, config: Option<Stored>) -> bool {
        let is_done = match config {
            Some(Stored { text: Text::Refused, .. }) => self.now.refuses,
            Some(stored) => self.running.is_some_and(|running| running.text == stored.text),
            None => self.running.is_none(),
        };
        self.has_listed && is_done && !self.owes_acknowledgement()
    }
}

impl World {
    /// Whether a replica has not seen all there is.
    pub(super) fn is_behind(&self, r: usize) -> bool {
        !self.replicas[r].has_listed || self.replicas[r].at < self.log.len()
    }

    /// A replica lists everything, or sees what comes next, up to what changes something.
    pub(super) fn look(&mut self, r: usize) {
        if !self.replicas[r].has_listed {
            return self.list(r);
        }
        let before = (self.replicas[r].running, self.replicas[r].now);
        while let Some(shown) = self.log.get(self.replicas[r].at).cloned() {
            self.replicas[r].at += 1;
            self.take(r, shown);
            if before != (self.replicas[r].running, self.replicas[r].now) {
                break;
            }
        }
        self.forget_seen();
    }

    fn list(&mut self, r: usize) {
        let there = self.parts.keys().cloned().collect();
        let end = self.log.len();
        let replica = &mut self.replicas[r];
        (replica.parts, replica.at, replica.has_listed) = (there, end, true);
        match self.config {
            Some(stored) => self.read(r, stored),
            None => self.replicas[r].running = None,
        }
        self.forget_seen();
    }

    fn take(&mut self, r: usize, shown: Shown) {
        let replica = &mut self.replicas[r];
        match shown {
            Shown::Config(stored) => self.read(r, stored),
            Shown::Gone { version, .. } => {
                (replica.running, replica.index) = (None, None);
                replica.now = Lease { version, refuses: false, parts_of: None };
            }
            Shown::Part(part) => {
                replica.parts.insert(part);
                self.assemble(r);
            }
            Shown::PartGone(part) => drop(replica.parts.remove(&part)),
            Shown::Other(version) => replica.now.version = replica.now.version.max(version),
        }
    }

    fn read(&mut self, r: usize, stored: Stored) {
        let replica = &mut self.replicas[r];
        replica.index = None;
        if stored.in_parts && replica.reads_parts {
            replica.index = Some(stored);
            self.assemble(r);
        } else if stored.in_parts {
            replica.now.refuses = true;
        } else {
            self.offer(r, stored);
        }
    }

    /// It runs a config in parts once every part is here.
    fn assemble(&mut self, r: usize) {
        let Some(stored) = self.replicas[r].index else { return };
        let there: Vec<ContentId> = self.replicas[r].parts.iter().cloned().collect();
        if is_whole(stored.text, &there) {
            self.offer(r, stored);
        } else {
            self.replicas[r].now.refuses = true;
        }
    }

    fn offer(&mut self, r: usize, stored: Stored) {
        let is_blind = self.bug == Bug::BlindAcknowledgement;
        let replica = &mut self.replicas[r];
        if stored.text == Text::Refused {
            replica.now.refuses = !is_blind;
            if is_blind {
                replica.now.version = stored.version;
            }
            return;
        }
        if let Some(before) = replica.running.filter(|before| before.chapter > stored.chapter) {
            self.broken.get_or_insert(format!("a replica runs chapter {} after {}", stored.chapter, before.chapter));
        }
        let replica = &mut self.replicas[r];
        replica.running = Some(stored);
        replica.now.refuses = false;
        replica.now.version = replica.now.version.max(stored.version);
        replica.now.parts_of = stored.in_parts.then_some(stored.text);
    }
}
