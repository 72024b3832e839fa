//! Decides the next step of a rotation from its record, from what is wanted, and from what was seen: pure.
//!
//! A key takes over only once it works, an old one is revoked only once every live replica is known to use another one,
//! and the auth token is promoted only once every live replica accepts the next one. Whatever is in doubt holds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::secret::Secret;

use super::held::Held;
use super::proof::Proof;
use super::record::{MOST, NextKey, NextToken, Record};
use super::wish::Wish;

/// How long the provider may take to accept a key that it gave.
const VERIFY_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// For how long the account is looked through for a lost key, and how often.
const LOOK_FOR: SignedDuration = SignedDuration::from_mins(30);
const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// When a call that was announced has surely taken effect or failed, also one of a process that is gone: longer than a
/// reconcile and a call may take together.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The tokens in the Secret: the one in use, and the next one.
    pub token: Option<Secret>,
    pub secondary: Option<Secret>,
    /// Whether the provider refuses the key in use.
    pub key_is_refused: bool,
    /// Whether the provider refuses the next token, which is stored.
    pub next_is_refused: bool,
    /// Who calls with none of the old keys.
    pub calls: Proof,
    /// Who accepts the next token, and calls with nothing that its promotion ends.
    pub accepts: Proof,
    /// Another sender of the account that has the token from elsewhere.
    pub elsewhere: Option<String>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Record that a rotation begins.
    Begin {
        token: bool,
        immediately: bool,
    },
    /// Record that the provider refuses the key in use.
    Replace,
    /// Record that nobody asks for rotated keys any longer.
    Release,
    /// Look for keys whose secrets were lost, and revoke them.
    FindLost,
    Mint,
    Verify,
    /// Record that a key that the provider does not accept is given up.
    DropNext,
    /// Record since when nobody uses the old keys.
    LetGo,
    /// Record that somebody may use the old keys again.
    TakeHold,
    Revoke {
        id: String,
    },
    CreateToken,
    StoreToken,
    /// Take a token that the provider refuses out of the Secret again.
    WithdrawToken,
    Promote,
    /// Write the promoted token into the Secret as the one in use.
    MoveToken,
    /// Record that the Secret holds the promoted token, or that no other one is wanted.
    EndToken,
    /// Remove the record, because there is nothing left to look after.
    Forget,
}

/// Where a rotation stands when there is nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// The next rotation begins then.
    Idle {
        next: Option<Timestamp>,
    },
    /// The tenant's config with the new credentials is not published yet.
    Publishing,
    /// These replicas have not acknowledged it.
    AwaitingAck {
        replicas: Vec<String>,
        total: usize,
    },
    /// A token may be being created. It is asked for again then.
    Settling {
        until: Timestamp,
    },
    /// The old key is revoked then.
    Overlap {
        until: Timestamp,
    },
    /// The provider's list is looked through again then.
    Looking {
        at: Timestamp,
    },
    Held(Held),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    Act(Step),
    Rest(Rest),
}

/// `wish` is absent when no sender asks for rotated credentials.
pub fn plan(record: &Record, wish: Option<&Wish>, seen: &Seen, now: Timestamp) -> Plan {
    let parts = [
        never_used(record),
        lost(record, now),
        next_key(record, wish, now),
        key_in_use(record, wish, seen),
        next_token(record, wish, seen, now),
        due(record, wish, now),
        old_keys(record, wish, seen, now),
    ];
    let mut rests = Vec::new();
    for part in parts.into_iter().flatten() {
        match part {
            // What one part waits for does not keep the others from going on.
            Plan::Rest(rest) => rests.push(rest),
            Plan::Act(step) => return Plan::Act(step),
        }
    }
    if wish.is_none() && record.is_empty() {
        return Plan::Act(Step::Forget);
    }
    // What needs a person is told first, and a look for what may not exist last.
    rests.sort_by_key(|rest| match rest {
        Rest::Held(_) => 0,
        Rest::Looking { .. } => 2,
        _ => 1,
    });
    let idle = Rest::Idle { next: wish.and_then(|wish| after(record.began_at.unwrap_or(record.since), wish.every)) };
    Plan::Rest(rests.into_iter().next().unwrap_or(idle))
}

fn after(at: Timestamp, span: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(span).ok()?).ok()
}

fn act(step: Step) -> Option<Plan> {
    Some(Plan::Act(step))
}

fn rest(rest: Rest) -> Option<Plan> {
    Some(Plan::Rest(rest))
}

fn held(held: Held) -> Option<Plan> {
    rest(Rest::Held(held))
}

/// A key that nobody ever used goes at once, whatever else is under way.
fn never_used(record: &Record) -> Option<Plan> {
    let old = record.old.iter().find(|old| !old.published)?;
    act(Step::Revoke { id: old.id.clone() })
}

/// Lost keys are looked for until they must have shown up.
fn lost(record: &Record, now: Timestamp) -> Option<Plan> {
    let next = record.lost.iter().map(|lost| lost.looked_at.map_or(now, |at| at + LOOK_EVERY)).min()?;
    if next <= now { act(Step::FindLost) } else { rest(Rest::Looking { at: next }) }
}

/// Whether a lost key need not be looked for again.
pub fn has_shown_up(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) >= LOOK_FOR
}

fn next_key(record: &Record, wish: Option<&Wish>, now: Timestamp) -> Option<Plan> {
    match &record.next {
        None => None,
        Some(_) if !wish.is_some_and(|wish| wish.keys) => act(Step::Release),
        // A crash, or another process, came between the question and its answer.
        Some(NextKey::Wanted | NextKey::Minting) => mint(record),
        Some(NextKey::Minted { at, .. }) if now.duration_since(*at) >= VERIFY_WITHIN => act(Step::DropNext),
        Some(NextKey::Minted { .. }) => act(Step::Verify),
    }
}

fn mint(record: &Record) -> Option<Plan> {
    if record.lost.len() >= MOST || record.old.len() >= MOST { held(Held::TooManyKeys) } else { act(Step::Mint) }
}

fn key_in_use(record: &Record, wish: Option<&Wish>, seen: &Seen) -> Option<Plan> {
    match (&record.key, wish.is_some_and(|wish| wish.keys)) {
        (Some(_), false) => act(Step::Release),
        (Some(_), true) if seen.key_is_refused => act(Step::Replace),
        // The provider never accepted the one that it gave.
        (None, true) if record.began_at.is_some() && record.next.is_none() => mint(record),
        _ => None,
    }
}

fn next_token(record: &Record, wish: Option<&Wish>, seen: &Seen, now: Timestamp) -> Option<Plan> {
    let (token, secondary) = (seen.token.as_ref(), seen.secondary.as_ref());
    match record.token.as_ref()? {
        // Nobody asks for it any longer. Where the Secret has it already, it stays in use beside the other one, as if a
        // person had put it there.
        NextToken::Wanted | NextToken::Creating { .. } | NextToken::Created(_) | NextToken::Stored(_)
            if wish.is_none() =>
        {
            act(Step::EndToken)
        }
        // The Secret is gone, or has no token.
        NextToken::Promoted(_) if wish.is_none() && token.is_none() => act(Step::EndToken),
        NextToken::Wanted if seen.elsewhere.is_some() => elsewhere(seen),
        NextToken::Wanted if secondary.is_some() => held(Held::SecondaryInUse),
        NextToken::Wanted => act(Step::CreateToken),
        NextToken::Creating { at, .. } if now < *at + SETTLED_AFTER => {
            rest(Rest::Settling { until: *at + SETTLED_AFTER })
        }
        NextToken::Creating { .. } => act(Step::CreateToken),
        NextToken::Created(_) => act(Step::StoreToken),
        NextToken::Stored(_) if seen.next_is_refused => act(Step::WithdrawToken),
        NextToken::Stored(next) if secondary != Some(next) => held(Held::SecretReverted),
        NextToken::Stored(_) if seen.elsewhere.is_some() => elsewhere(seen),
        NextToken::Stored(_) => match &seen.accepts {
            Proof::Everyone => act(Step::Promote),
            others => rest(waiting(others)),
        },
        NextToken::Promoting(_) => act(Step::Promote),
        NextToken::Promoted(next) if token == Some(next) && secondary.is_none() => act(Step::EndToken),
        NextToken::Promoted(next) if token == Some(next) || secondary == Some(next) => act(Step::MoveToken),
        NextToken::Promoted(_) => held(Held::SecretReverted),
    }
}

fn elsewhere(seen: &Seen) -> Option<Plan> {
    seen.elsewhere.clone().and_then(|who| held(Held::TokenElsewhere(who)))
}

fn waiting(proof: &Proof) -> Rest {
    match proof {
        Proof::Everyone | Proof::NotPublished => Rest::Publishing,
        Proof::Waiting { replicas, total } => Rest::AwaitingAck { replicas: replicas.clone(), total: *total },
        Proof::Doubtful(replica) => Rest::Held(Held::SilentReplica(replica.clone())),
    }
}

/// Whether a rotation begins: by request, by schedule, or because there was none yet.
fn due(record: &Record, wish: Option<&Wish>, now: Timestamp) -> Option<Plan> {
    let wish = wish?;
    let is_new = |asked: &Option<String>, answered: &Option<String>| asked.is_some() && asked != answered;
    let immediately = is_new(&wish.asked.immediately, &record.answered.immediately);
    // An emergency does not wait for a token that is held.
    if record.next.is_some() || (record.token.is_some() && !immediately) {
        return None;
    }
    let by_request = immediately || is_new(&wish.asked.soon, &record.answered.soon);
    let is_first = record.began_at.is_none();
    let by_schedule = after(record.began_at.unwrap_or(record.since), wish.every).is_some_and(|due| due <= now);
    if !(by_request || by_schedule || is_first && wish.keys) {
        return None;
    }
    if record.old.len() >= MOST {
        return held(Held::TooManyKeys);
    }
    // The first key comes at once, and the token is as old as it is.
    act(Step::Begin { token: wish.token && (by_request || by_schedule), immediately })
}

fn old_keys(record: &Record, wish: Option<&Wish>, seen: &Seen, now: Timestamp) -> Option<Plan> {
    let first = record.old.first()?;
    match &seen.calls {
        Proof::Everyone => {}
        // A replica came up with an earlier config.
        others if record.old.iter().any(|old| old.let_go_at.is_some()) && *others != Proof::NotPublished => {
            return act(Step::TakeHold);
        }
        others => return rest(waiting(others)),
    }
    let overlap =
        if record.immediately { Duration::ZERO } else { wish.map_or(Duration::ZERO, |wish| wish.min_overlap) };
    match first.let_go_at {
        None => act(Step::LetGo),
        Some(at) => match after(at, overlap) {
            Some(until) if until > now => rest(Rest::Overlap { until }),
            _ => act(Step::Revoke { id: first.id.clone() }),
        },
    }
}
