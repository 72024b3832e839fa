//! What is known to whom, at one moment.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use messaging::provider::admin::MintedKey;
use messaging::secret::Secret;

use crate::rotation::plan::{Seen, Step};
use crate::rotation::proof::Proof;
use crate::rotation::record::{NextToken, Record};
use crate::rotation::wish::{Asked, Wish};

/// A rule that is broken on purpose, to see that the search finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// The replicas are not asked before something ends.
    NoAcknowledgement,
    /// A key is asked for before that is recorded.
    NoIntent,
    /// A record is written over whatever is there.
    NoVersion,
    /// A key takes over before its verification, and the provider may need a while.
    NoLook,
    /// The Secret is written without asking who leads, and over what was not read.
    BlindSecret,
    /// A config is written without asking who leads, and over a newer one.
    BlindPublish,
}

/// How often what may go wrong does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) crashes: u8,
    pub(super) lost_answers: u8,
    pub(super) handovers: u8,
    pub(super) ticks: u8,
}

/// What a config tells a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) calls_with: String,
    pub(super) verifies: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    /// The next write of a step, with what was read before it.
    Doing {
        step: Step,
        writes: u8,
        /// A call at the provider begins only within the tenure, and takes effect whenever it does.
        is_past_the_gate: bool,
        answer: Option<String>,
    },
}

/// One process of the operator.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) stage: Stage,
    pub(super) record: Record,
    /// Whether nobody else wrote the record since it was read.
    pub(super) is_current: bool,
    /// The Secret and the time, when this turn began.
    pub(super) secret: (String, Option<String>),
    pub(super) now: Timestamp,
    pub(super) contributes: Option<Config>,
    /// The newest config that it knows of, and its place in the order of publications.
    pub(super) knows: (u8, Config),
    /// It has read what is published, and then that it leads; and nothing was published since.
    pub(super) publishing: Option<(bool, bool)>,
    /// The version of the Secret when it was last seen to lead.
    pub(super) saw_secret: u8,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) record: Record,
    pub(super) secret: (String, Option<String>),
    pub(super) secret_version: u8,
    pub(super) keys: BTreeSet<String>,
    pub(super) tokens: (String, Option<String>),
    pub(super) made: u8,
    pub(super) published: (u8, Config),
    pub(super) replicas: Vec<(u8, Config)>,
    pub(super) operators: [Operator; 2],
    pub(super) leader: usize,
    pub(super) now: Timestamp,
    pub(super) left: Left,
    /// How it came to be.
    pub(super) trace: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) keys: bool,
    pub(super) token: bool,
    pub(super) bug: Bug,
}

impl Setting {
    pub(super) fn wish(self) -> Wish {
        Wish {
            every: Duration::from_secs(90 * 86_400),
            min_overlap: Duration::from_secs(600),
            keys: self.keys,
            token: self.token,
            asked: Asked { soon: Some("1".into()), immediately: None },
        }
    }
}

pub(super) fn start(setting: Setting, left: Left) -> World {
    let now = Timestamp::UNIX_EPOCH;
    let mut record = Record::new("uid", now);
    let mut keys = BTreeSet::new();
    if setting.keys {
        record.begin(true, false, false, &Asked::default(), now);
        record.ask_for_key(now);
        record.got_key(MintedKey { id: record.name(), secret: Secret::new("s") }, now);
        record.use_next_key();
        keys.insert(record.name());
    }
    let calls_with = record.key.as_ref().map_or_else(|| "t0".to_owned(), |key| key.id.clone());
    let config = Config { calls_with, verifies: ["t0".to_owned()].into() };
    let operator = Operator {
        stage: Stage::Idle,
        record: record.clone(),
        is_current: true,
        secret: ("t0".to_owned(), None),
        now,
        contributes: None,
        knows: (0, config.clone()),
        publishing: None,
        saw_secret: 0,
    };
    World {
        record,
        secret: ("t0".to_owned(), None),
        secret_version: 0,
        keys,
        tokens: ("t0".to_owned(), None),
        made: 0,
        published: (0, config.clone()),
        replicas: vec![(0, config.clone()), (0, config.clone()), (0, config)],
        operators: [operator.clone(), operator],
        leader: 0,
        now,
        left,
        trace: vec![],
    }
}

impl World {
    /// All that may matter for what follows, but for what may still go wrong.
    pub(super) fn id(&self) -> u64 {
        let json = |record: &Record| serde_json::to_string(record).unwrap();
        let operators: Vec<_> = self
            .operators
            .iter()
            .map(|operator| {
                let Operator { stage, record, is_current, secret, now, contributes, knows, publishing, saw_secret } =
                    operator;

                // What an idle process read is read again.
                let read = (*stage != Stage::Idle).then(|| (json(record), is_current, secret, now));
                format!(
                    "{stage:?} {read:?} {contributes:?} {knows:?} {publishing:?} {}",
                    *saw_secret == self.secret_version
                )
            })
            .collect();
        let World { secret, keys, tokens, published, replicas, leader, now, .. } = self;
        let mut hasher = DefaultHasher::new();
        let all = format!("{secret:?} {keys:?} {tokens:?} {published:?} {replicas:?} {operators:?} {leader} {now}");
        (json(&self.record), all).hash(&mut hasher);
        hasher.finish()
    }

    /// Which replica's call or webhook is refused.
    pub(super) fn refused(&self) -> Option<String> {
        let is_good =
            |with: &String| self.keys.contains(with) || *with == self.tokens.0 || Some(with) == self.tokens.1.as_ref();
        let refused =
            |(_, config): &&(u8, Config)| !is_good(&config.calls_with) || !config.verifies.contains(&self.tokens.0);
        self.replicas
            .iter()
            .find(refused)
            .map(|replica| format!("{replica:?} at {:?} and {:?}", self.keys, self.tokens))
    }

    /// Whether the provider accepts a token.
    pub(super) fn accepts(&self, token: &str) -> bool {
        token == self.tokens.0 || Some(token) == self.tokens.1.as_deref()
    }

    pub(super) fn is_settled(&self) -> bool {
        let Record { key, next, old, lost, token, .. } = &self.record;
        self.record.answered.soon.is_some()
            && next.is_none()
            && old.is_empty()
            && lost.is_empty()
            && token.is_none()
            && self.keys == key.iter().map(|key| key.id.clone()).collect()
            && self.tokens == (self.secret.0.clone(), None)
            && self.secret.1.is_none()
    }

    pub(super) fn proof(&self, knows: &(u8, Config), is_so: impl Fn(&Config) -> bool) -> Proof {
        if !is_so(&knows.1) {
            return Proof::NotPublished;
        }
        let behind = self.replicas.iter().filter(|(version, _)| *version < knows.0).count();
        if behind == 0 { Proof::Everyone } else { Proof::Waiting { replicas: vec!["a".into(); behind], total: 3 } }
    }

    pub(super) fn seen(&self, n: usize, bug: Bug) -> Seen {
        let operator = &self.operators[n];
        let (token, secondary) = &operator.secret;
        let old: Vec<_> = operator.record.old.iter().map(|old| old.id.clone()).collect();
        let calls = self.proof(&operator.knows, |config| !old.contains(&config.calls_with));
        let accepts = match &operator.record.token {
            Some(NextToken::Stored(next)) => self.proof(&operator.knows, |config| {
                config.verifies.contains(next.expose()) && config.calls_with != *token
            }),
            _ => Proof::NotPublished,
        };
        let always = bug == Bug::NoAcknowledgement;
        Seen {
            token: Some(Secret::new(token.as_str())),
            secondary: secondary.as_deref().map(Secret::new),
            key_is_refused: false,
            next_is_refused: matches!(&operator.record.token, Some(NextToken::Stored(next)) if !self.accepts(next.expose())),
            calls: if always { Proof::Everyone } else { calls },
            accepts: if always { Proof::Everyone } else { accepts },
            elsewhere: None,
        }
    }

    /// What the Secret and the record give, if the provider accepts it.
    pub(super) fn compiled(&self, n: usize) -> Option<Config> {
        let operator = &self.operators[n];
        let (token, secondary) = &operator.secret;
        let next = secondary.as_ref().filter(|next| self.accepts(next));
        let calls = next.or(Some(token).filter(|token| self.accepts(token)))?;
        let calls_with = operator.record.key.as_ref().map_or_else(|| calls.clone(), |key| key.id.clone());
        // What verified before verifies for a while.
        let before = operator.contributes.as_ref().map_or(&operator.knows.1, |config| config);
        let verifies = before.verifies.iter().chain([token]).chain(next).cloned().collect();
        Some(Config { calls_with, verifies })
    }
}
