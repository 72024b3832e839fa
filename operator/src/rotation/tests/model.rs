//! Every interleaving of two operators, the replicas and the provider, for one rotation: crashes, lost answers, leaders that
//! are held up and go on, and writes over what somebody else wrote. The decisions are the operator's own functions; the
//! order of writes around them is that of [`crate::rotation::act`].
//!
//! In no reachable state is a call or a webhook of a replica refused, and each of them leads to one key and one token.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::MintedKey;
use messaging::secret::Secret;

use crate::rotation::plan::{Plan, Seen, Step, has_shown_up, plan};
use crate::rotation::proof::Proof;
use crate::rotation::record::{NextKey, NextToken, Record};
use crate::rotation::wish::{Asked, Wish};

/// A rule that is broken on purpose, to see that the search finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
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
struct Left {
    crashes: u8,
    lost_answers: u8,
    handovers: u8,
    ticks: u8,
}

/// What a config tells a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    calls_with: String,
    verifies: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
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
struct Operator {
    stage: Stage,
    record: Record,
    /// Whether nobody else wrote the record since it was read.
    is_current: bool,
    /// The Secret and the time, when this turn began.
    secret: (String, Option<String>),
    now: Timestamp,
    contributes: Option<Config>,
    /// The newest config that it knows of, and its place in the order of publications.
    knows: (u8, Config),
    /// It has read what is published, and then that it leads; and nothing was published since.
    publishing: Option<(bool, bool)>,
    /// The version of the Secret when it was last seen to lead.
    saw_secret: u8,
}

#[derive(Debug, Clone)]
struct World {
    record: Record,
    secret: (String, Option<String>),
    secret_version: u8,
    keys: BTreeSet<String>,
    tokens: (String, Option<String>),
    made: u8,
    published: (u8, Config),
    replicas: Vec<(u8, Config)>,
    operators: [Operator; 2],
    leader: usize,
    now: Timestamp,
    left: Left,
    /// How it came to be.
    trace: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    keys: bool,
    token: bool,
    bug: Bug,
}

impl Setting {
    fn wish(self) -> Wish {
        Wish {
            every: Duration::from_secs(90 * 86_400),
            min_overlap: Duration::from_secs(600),
            keys: self.keys,
            token: self.token,
            asked: Asked { soon: Some("1".into()), immediately: None },
        }
    }
}

fn start(setting: Setting, left: Left) -> World {
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
    fn id(&self) -> u64 {
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
    fn refused(&self) -> Option<String> {
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
    fn accepts(&self, token: &str) -> bool {
        token == self.tokens.0 || Some(token) == self.tokens.1.as_deref()
    }

    fn is_settled(&self) -> bool {
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

    fn proof(&self, knows: &(u8, Config), is_so: impl Fn(&Config) -> bool) -> Proof {
        if !is_so(&knows.1) {
            return Proof::NotPublished;
        }
        let behind = self.replicas.iter().filter(|(version, _)| *version < knows.0).count();
        if behind == 0 { Proof::Everyone } else { Proof::Waiting { replicas: vec!["a".into(); behind], total: 3 } }
    }

    fn seen(&self, n: usize, bug: Bug) -> Seen {
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
    fn compiled(&self, n: usize) -> Option<Config> {
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

    /// Writes the record. `false` when somebody else did meanwhile.
    fn save(&mut self, n: usize, bug: Bug, change: impl FnOnce(&mut Record)) -> bool {
        let mut record = self.operators[n].record.clone();
        change(&mut record);
        if !self.operators[n].is_current && bug != Bug::NoVersion {
            self.end(n);
            return false;
        }
        self.record = record.clone();
        self.operators[n].record = record;
        self.operators[1 - n].is_current = false;
        self.operators[n].is_current = true;
        true
    }

    /// A turn ends with a contribution.
    fn end(&mut self, n: usize) {
        self.operators[n].stage = Stage::Idle;
        if let Some(config) = self.compiled(n) {
            self.operators[n].contributes = Some(config);
        }
    }

    /// The next step of a turn, or its end.
    fn go_on(&mut self, n: usize, setting: Setting) {
        let step =
            plan(&self.operators[n].record, Some(&setting.wish()), &self.seen(n, setting.bug), self.operators[n].now);
        match step {
            Plan::Act(step) => {
                self.operators[n].stage = Stage::Doing { step, writes: 0, is_past_the_gate: false, answer: None }
            }
            Plan::Rest(_) => self.end(n),
        }
    }

    fn begin(&mut self, n: usize, setting: Setting) {
        let (record, secret, now) = (self.record.clone(), self.secret.clone(), self.now);
        let operator = &mut self.operators[n];
        (operator.record, operator.is_current, operator.secret, operator.now) = (record, true, secret, now);
        self.go_on(n, setting);
    }

    /// Whether the next write of this process is one that only a leader begins: at the provider, or in the tenant's Secret.
    fn needs_tenure(&self, n: usize, bug: Bug) -> bool {
        let Stage::Doing { step, writes, .. } = &self.operators[n].stage else { return false };
        match step {
            Step::Mint => *writes == u8::from(bug != Bug::NoIntent),
            Step::FindLost | Step::Revoke { .. } => *writes == 0,
            Step::CreateToken => matches!(writes, 1 | 2),
            Step::Promote => *writes == 1,
            Step::StoreToken | Step::WithdrawToken | Step::MoveToken => *writes == 0 && bug != Bug::BlindSecret,
            _ => false,
        }
    }

    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}{}", self.made)
    }

    /// Makes the next write of a step.
    fn write(&mut self, n: usize, setting: Setting, answer_is_lost: bool) {
        let Stage::Doing { step, writes, .. } = self.operators[n].stage.clone() else { return };
        let is_blind = setting.bug == Bug::BlindSecret;
        let is_overtaken = self.operators[n].saw_secret != self.secret_version && !is_blind;
        let writes_secret = matches!(step, Step::StoreToken | Step::WithdrawToken | Step::MoveToken) && writes == 0;
        if writes_secret && is_overtaken {
            return self.end(n);
        }
        let before = self.secret.clone();
        self.write_whatever(n, setting, answer_is_lost);
        self.secret_version += u8::from(before != self.secret);
    }

    fn write_whatever(&mut self, n: usize, setting: Setting, answer_is_lost: bool) {
        let Stage::Doing { step, writes, answer, .. } = self.operators[n].stage.clone() else { return };
        let (now, bug, wish) = (self.operators[n].now, setting.bug, setting.wish());
        let record = self.operators[n].record.clone();
        let next = |world: &mut Self, answer: Option<String>| {
            world.operators[n].stage =
                Stage::Doing { step: step.clone(), writes: writes + 1, is_past_the_gate: false, answer };
        };
        let saved = match (&step, writes) {
            (Step::Begin { token, immediately }, _) => {
                self.save(n, bug, |record| record.begin(wish.keys, *token, *immediately, &wish.asked, now))
            }
            (Step::Mint, 0) if bug != Bug::NoIntent => {
                if self.save(n, bug, |record| record.ask_for_key(now)) {
                    next(self, None);
                }
                return;
            }
            (Step::Mint, _) if answer.is_none() => {
                let id = if bug == Bug::NoIntent { self.make("k") } else { record.name() };
                self.keys.insert(id.clone());
                if answer_is_lost {
                    self.save(n, bug, |record| record.lose_key(now)) && {
                        self.end(n);
                        false
                    }
                } else {
                    return next(self, Some(id));
                }
            }
            (Step::Mint, _) => self.save(n, bug, |record| {
                let id = answer.clone().unwrap_or_default();
                record.got_key(MintedKey { id, secret: Secret::new("s") }, now);
            }),
            (Step::FindLost, 0) => {
                let in_use = record.key.iter().map(|key| &key.id).chain(match &record.next {
                    Some(NextKey::Minted { key, .. }) => Some(&key.id),
                    _ => None,
                });
                let in_use: Vec<_> = in_use.collect();
                if bug != Bug::NoLook {
                    self.keys.retain(|key| in_use.contains(&key) || !record.lost.iter().any(|lost| lost.name == *key));
                }
                return next(self, None);
            }
            (Step::FindLost, _) => {
                self.save(n, bug, |record| record.looked_for_lost(now, |lost| has_shown_up(lost.since, now)))
            }
            (Step::Verify, _) => self.save(n, bug, Record::use_next_key),
            (Step::DropNext, _) => self.save(n, bug, Record::drop_next_key),
            (Step::LetGo, _) => self.save(n, bug, |record| record.let_go(now)),
            (Step::TakeHold, _) => self.save(n, bug, Record::take_hold_again),
            (Step::Revoke { id }, 0) => {
                self.keys.remove(id);
                return next(self, None);
            }
            (Step::Revoke { id }, _) => self.save(n, bug, |record| record.revoked(id)),
            (Step::CreateToken, 0) => {
                let may_exist = matches!(record.token, Some(NextToken::Creating { .. }));
                if self.save(n, bug, |record| record.ask_for_token(now)) {
                    let writes = if may_exist { 1 } else { 2 };
                    self.operators[n].stage = Stage::Doing { step, writes, is_past_the_gate: false, answer: None };
                }
                return;
            }
            (Step::CreateToken, 1) => {
                self.tokens.1 = None;
                return next(self, None);
            }
            (Step::CreateToken, 2) => {
                let token = self.make("t");
                self.tokens.1 = Some(token.clone());
                if answer_is_lost {
                    return self.end(n);
                }
                return next(self, Some(token));
            }
            (Step::CreateToken, _) => self.save(n, bug, |record| {
                record.token = Some(NextToken::Created(Secret::new(answer.clone().unwrap_or_default())));
            }),
            (Step::StoreToken, 0) => {
                let Some(NextToken::Created(token)) = &record.token else { return self.end(n) };
                // Only over a Secret without one.
                if self.secret.1.as_deref() == Some(token.expose()) || self.secret.1.is_none() {
                    self.secret.1 = Some(token.expose().to_owned());
                    return next(self, None);
                }
                return self.end(n);
            }
            (Step::StoreToken, _) => {
                let Some(NextToken::Created(token)) = record.token else { return self.end(n) };
                self.save(n, bug, |record| record.token = Some(NextToken::Stored(token))) && {
                    self.end(n);
                    false
                }
            }
            (Step::WithdrawToken, 0) => {
                let Some(NextToken::Stored(token)) = &record.token else { return self.end(n) };
                if self.secret.1.as_deref() == Some(token.expose()) {
                    self.secret.1 = None;
                }
                return next(self, None);
            }
            (Step::WithdrawToken, _) => {
                self.save(n, bug, |record| record.token = Some(NextToken::Wanted)) && {
                    self.end(n);
                    false
                }
            }
            (Step::Promote, 0) => {
                let Some(NextToken::Stored(token) | NextToken::Promoting(token)) = record.token else {
                    return self.end(n);
                };
                if self.save(n, bug, |record| record.token = Some(NextToken::Promoting(token))) {
                    next(self, None);
                }
                return;
            }
            (Step::Promote, 1) => {
                // The one in use is asked for first.
                if self.operators[n].secret.0 == self.tokens.0
                    && let Some(token) = self.tokens.1.take()
                {
                    self.tokens.0 = token;
                }
                if answer_is_lost {
                    return self.end(n);
                }
                return next(self, None);
            }
            (Step::Promote, _) => {
                let Some(NextToken::Promoting(token)) = record.token else { return self.end(n) };
                if token.expose() != self.tokens.0 {
                    return self.end(n);
                }
                self.save(n, bug, |record| record.token = Some(NextToken::Promoted(token)))
            }
            (Step::MoveToken, _) => {
                if let Some(NextToken::Promoted(token)) = &record.token
                    && self.secret.1.as_deref() == Some(token.expose())
                {
                    self.secret = (token.expose().to_owned(), None);
                }
                return self.end(n);
            }
            (Step::EndToken, _) => self.save(n, bug, |record| record.token = None),
            (Step::Replace | Step::Release | Step::Forget, _) => unreachable!("nothing asks for it"),
        };
        if saved {
            self.go_on(n, setting);
        }
    }

    /// Every state that may be next.
    fn successors(&self, setting: Setting) -> Vec<Self> {
        let mut all = Vec::new();
        let mut with = |what: String, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            world.trace.push(what);
            change(&mut world);
            all.push(world);
        };
        for n in 0..2 {
            let operator = &self.operators[n];
            let leads = self.leader == n;
            match operator.stage {
                Stage::Idle if leads => with(format!("{n} begins"), &|world| world.begin(n, setting)),
                Stage::Idle => {}
                Stage::Doing { is_past_the_gate: false, .. } if self.needs_tenure(n, setting.bug) => {
                    if leads {
                        with(format!("{n} calls"), &|world| {
                            if let Stage::Doing { is_past_the_gate, .. } = &mut world.operators[n].stage {
                                *is_past_the_gate = true;
                            }
                            world.operators[n].saw_secret = world.secret_version;
                        });
                    }
                }
                Stage::Doing { .. } => {
                    let what = format!("{n} writes {:?}", operator.stage);
                    with(what.clone(), &|world| world.write(n, setting, false));
                    let calls = matches!(
                        operator.stage,
                        Stage::Doing { step: Step::Mint | Step::CreateToken | Step::Promote, .. }
                    );
                    if self.left.lost_answers > 0 && calls && self.needs_tenure(n, setting.bug) {
                        with(format!("{what}, and its answer is lost"), &|world| {
                            world.left.lost_answers -= 1;
                            world.write(n, setting, true);
                        });
                    }
                }
            }
            if operator.stage != Stage::Idle && self.left.crashes > 0 {
                with(format!("{n} crashes"), &|world| {
                    world.left.crashes -= 1;
                    let knows = world.published.clone();
                    let operator = &mut world.operators[n];
                    (operator.stage, operator.contributes, operator.publishing) = (Stage::Idle, None, None);
                    operator.knows = knows;
                });
            }
            match operator.publishing {
                None if operator.contributes.as_ref().is_some_and(|config| *config != self.published.1) => {
                    let change = |world: &mut Self| world.operators[n].publishing = Some((false, true));
                    with(format!("{n} reads what is published"), &change);
                }
                None if leads && operator.knows != self.published => {
                    with(format!("{n} learns what is published"), &|world| {
                        world.operators[n].knows = world.published.clone();
                    });
                }
                Some((false, is_newest)) if leads || setting.bug == Bug::BlindPublish => {
                    let change = |world: &mut Self| world.operators[n].publishing = Some((true, is_newest));
                    with(format!("{n} knows that it leads"), &change);
                }
                Some((true, is_newest)) => with(format!("{n} publishes {:?}", operator.contributes), &|world| {
                    world.operators[n].publishing = None;
                    if is_newest || setting.bug == Bug::BlindPublish {
                        let config =
                            world.operators[n].contributes.clone().unwrap_or_else(|| world.published.1.clone());
                        world.published = (world.published.0 + 1, config);
                        world.operators[n].knows = world.published.clone();
                        if let Some((_, is_newest)) = &mut world.operators[1 - n].publishing {
                            *is_newest = false;
                        }
                    }
                }),
                _ => {}
            }
        }
        for replica in 0..self.replicas.len() {
            // Replicas are alike, so the first one that is behind goes first.
            let is_behind = |replica: usize| self.replicas[replica].0 < self.published.0;
            if is_behind(replica) && !(0..replica).any(is_behind) {
                with(format!("replica {replica} follows"), &|world| world.replicas[replica] = world.published.clone());
            }
        }
        if self.left.handovers > 0 {
            with("another leads".to_owned(), &|world| {
                world.left.handovers -= 1;
                world.leader = 1 - world.leader;
                let (leader, knows) = (world.leader, world.published.clone());
                // It lists everything anew.
                world.operators[leader].knows = knows;
                world.operators[leader].contributes = None;
            });
        }
        // A turn of a process that leads ends soon, and so does a call, whoever began it.
        let is_calling = (0..2).any(|n| {
            let is_past = matches!(self.operators[n].stage, Stage::Doing { is_past_the_gate: true, .. });
            is_past || (self.leader == n && self.operators[n].stage != Stage::Idle)
        });
        if self.left.ticks > 0 && !is_calling {
            with("time passes".to_owned(), &|world| {
                world.left.ticks -= 1;
                world.now += SignedDuration::from_mins(31);
            });
        }
        all
    }

    /// Goes on without any trouble.
    fn comes_to_rest(&self, setting: Setting) -> bool {
        let mut world = self.clone();
        let leader = world.leader;
        for _ in 0..60 {
            if world.operators[leader].stage == Stage::Idle {
                world.begin(leader, setting);
            }
            while world.operators[leader].stage != Stage::Idle {
                world.operators[leader].saw_secret = world.secret_version;
                world.write(leader, setting, false);
            }
            if let Some(config) =
                world.operators[leader].contributes.clone().filter(|config| *config != world.published.1)
            {
                world.published = (world.published.0 + 1, config);
            }
            world.operators[leader].knows = world.published.clone();
            let published = world.published.clone();
            world.replicas.fill(published);
            world.now += SignedDuration::from_mins(31);
            if world.refused().is_some() {
                return false;
            }
            if world.is_settled() {
                return true;
            }
        }
        false
    }
}

/// Searches every reachable state. Returns their number, or what is wrong in the first that breaks a promise.
fn search(setting: Setting, left: Left) -> Result<usize, String> {
    let first = start(setting, left);
    let (mut known, mut rested) = (HashSet::from([(first.id(), left)]), HashSet::new());
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        if let Some(refused) = world.refused() {
            return Err(format!("refused: {refused} after {:#?}", world.trace));
        }
        let is_quiet = world.operators.iter().all(|operator| operator.stage == Stage::Idle);
        if is_quiet && rested.insert(world.id()) && !world.comes_to_rest(setting) {
            return Err(format!("it does not come to rest after {:#?}", world.trace));
        }
        for next in world.successors(setting) {
            if known.insert((next.id(), next.left)) {
                queue.push_back(next);
            }
        }
    }
    Ok(known.len())
}

const LEFT: Left = Left { crashes: 1, lost_answers: 1, handovers: 1, ticks: 2 };

#[test]
fn no_interleaving_refuses_anything_or_leaves_a_key_behind() {
    let states = search(Setting { keys: true, token: false, bug: Bug::None }, LEFT).unwrap();
    println!("{states} states of a key's rotation");
    assert!(states > 1000, "{states}");
}

#[test]
fn no_interleaving_refuses_anything_or_leaves_a_token_behind() {
    let states = search(Setting { keys: false, token: true, bug: Bug::None }, LEFT).unwrap();
    println!("{states} states of a token's rotation");
    assert!(states > 1000, "{states}");
}

#[test]
fn each_rule_is_needed() {
    for (bug, keys) in [
        (Bug::NoAcknowledgement, true),
        (Bug::NoAcknowledgement, false),
        (Bug::NoIntent, true),
        (Bug::NoVersion, true),
        (Bug::NoVersion, false),
        (Bug::NoLook, true),
        (Bug::BlindSecret, false),
        (Bug::BlindPublish, true),
    ] {
        let found = search(Setting { keys, token: !keys, bug }, LEFT);
        assert!(found.is_err(), "{bug:?} {keys}: {found:?}");
    }
}
