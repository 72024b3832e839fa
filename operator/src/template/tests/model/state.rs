//! Everything that there is: the record, the provider, what is published and run, and two processes of the operator.

use crds::TemplateLocationStatus;
use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::{TemplateHandle, TemplateObservation};
use messaging::template::Approval;
use serde_json::json;

use super::operator::Operator;

pub(super) const REPLICAS: usize = 2;
/// How far the clock moves at once.
pub(super) const TICK: SignedDuration = SignedDuration::from_secs(30);
/// Enough for anything to end.
const ROUNDS: usize = 60;

/// A rule of the operator that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// What is about to be created is not recorded.
    NoIntent,
    /// The list is believed to show everything at once.
    NoLook,
    /// A creation may begin long after it was recorded.
    StaleIntent,
    /// An intent is recorded over whatever another process recorded.
    NoVersion,
    /// A status is written over whatever another process recorded.
    BlindReport,
    /// Nobody asks what the replicas use.
    BlindRetirement,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) crashes: u8,
    pub(super) lost_answers: u8,
    pub(super) handovers: u8,
    /// Of the template's text.
    pub(super) changes: u8,
    pub(super) ticks: u8,
}

/// A template at the provider.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) since: Timestamp,
    pub(super) template: TemplateObservation,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) bug: Bug,
    pub(super) left: Left,
    pub(super) now: Timestamp,
    /// The text that the spec asks for: 0 or 1.
    pub(super) text: usize,
    pub(super) record: Vec<TemplateLocationStatus>,
    pub(super) provider: Vec<Kept>,
    pub(super) made: usize,
    /// What the published config sends with.
    pub(super) published: Option<TemplateHandle>,
    pub(super) replicas: [Option<TemplateHandle>; REPLICAS],
    pub(super) operators: [Operator; 2],
    pub(super) leader: usize,
    pub(super) trace: Vec<String>,
}

impl World {
    pub(super) fn new(bug: Bug, left: Left) -> Self {
        Self {
            bug,
            left,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            text: 0,
            record: Vec::new(),
            provider: Vec::new(),
            made: 0,
            published: None,
            replicas: [None, None],
            operators: Default::default(),
            leader: 0,
            trace: Vec::new(),
        }
    }

    /// Two worlds with the same id have the same future.
    pub(super) fn id(&self) -> String {
        format!("{}{:?}", self.id_at_rest(), self.left)
    }

    /// Without what may still happen.
    pub(super) fn id_at_rest(&self) -> String {
        let kept = self.provider.iter().map(|Kept { since, template }| {
            let young = self.now.duration_since(*since).min(super::operator::LIST_LAG);
            format!("{} {} {:?} {young}", template.handle, template.name, template.approval)
        });
        let kept: Vec<_> = kept.collect();
        let Self { text, record, published, replicas, operators, leader, now, .. } = self;
        let record = json!(record).to_string();
        format!("{now} {text} {leader} {record} {kept:?} {published:?} {replicas:?} {operators:?}")
    }

    /// The promise that this state breaks.
    pub(super) fn broken(&self) -> Option<String> {
        let mut names: Vec<&str> = self.provider.iter().map(|kept| kept.template.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Some(format!("made twice: {names:?}"));
        }
        self.replicas.iter().chain([&self.published]).flatten().find_map(|handle| {
            match self.provider.iter().find(|kept| kept.template.handle == *handle) {
                None => Some(format!("{handle} is in use and was deleted")),
                Some(kept) if kept.template.approval != Approval::Approved => {
                    Some(format!("{handle} is in use and was never approved"))
                }
                Some(_) => None,
            }
        })
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.operators.iter().all(Operator::is_idle)
    }

    /// Whether the leader alone comes to one approved template that every replica uses, and then does nothing more.
    pub(super) fn comes_to_rest(&self) -> Result<(), String> {
        let mut world = self.clone();
        for _ in 0..ROUNDS {
            let before = (world.provider.len(), world.made, json!(world.record), world.replicas.clone());
            world.leads_alone();
            if let Some(broken) = world.broken() {
                return Err(format!("on the way to rest: {broken}"));
            }
            let after = (world.provider.len(), world.made, json!(world.record), world.replicas.clone());
            let wanted = world.wanted_name();
            let is_done = world.provider.len() == 1
                && world.provider[0].template.name == wanted
                && world.replicas.iter().all(|used| *used == Some(world.provider[0].template.handle.clone()));
            if is_done && before == after {
                return Ok(());
            }
        }
        Err(format!("it does not come to rest: {:?}", world.provider))
    }
}
