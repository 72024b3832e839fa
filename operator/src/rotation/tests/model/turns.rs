//! One operator's turn: the writes of each step, in the order of [`crate::rotation::act`].

use messaging::provider::admin::MintedKey;
use messaging::secret::Secret;

use super::state::{Bug, Setting, Stage, World};
use crate::rotation::plan::{Plan, Step, has_shown_up, plan};
use crate::rotation::record::{NextKey, NextToken, Record};

impl World {
    /// Writes the record. `false` when somebody else did meanwhile.
    pub(super) fn save(&mut self, n: usize, bug: Bug, change: impl FnOnce(&mut Record)) -> bool {
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
    pub(super) fn end(&mut self, n: usize) {
        self.operators[n].stage = Stage::Idle;
        if let Some(config) = self.compiled(n) {
            self.operators[n].contributes = Some(config);
        }
    }

    /// The next step of a turn, or its end.
    pub(super) fn go_on(&mut self, n: usize, setting: Setting) {
        let step =
            plan(&self.operators[n].record, Some(&setting.wish()), &self.seen(n, setting.bug), self.operators[n].now);
        match step {
            Plan::Act(step) => {
                self.operators[n].stage = Stage::Doing { step, writes: 0, is_past_the_gate: false, answer: None }
            }
            Plan::Rest(_) => self.end(n),
        }
    }

    pub(super) fn begin(&mut self, n: usize, setting: Setting) {
        let (record, secret, now) = (self.record.clone(), self.secret.clone(), self.now);
        let operator = &mut self.operators[n];
        (operator.record, operator.is_current, operator.secret, operator.now) = (record, true, secret, now);
        self.go_on(n, setting);
    }

    /// Whether the next write of this process is one that only a leader begins: at the provider, or in the tenant's
    /// Secret.
    pub(super) fn needs_tenure(&self, n: usize, bug: Bug) -> bool {
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

    pub(super) fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}{}", self.made)
    }

    /// Makes the next write of a step.
    pub(super) fn write(&mut self, n: usize, setting: Setting, answer_is_lost: bool) {
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

    pub(super) fn write_whatever(&mut self, n: usize, setting: Setting, answer_is_lost: bool) {
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
}
