//! What is remembered about the rotation of one Secret's credentials: enough for any process to go on after a crash at
//! any point. Every transition is a method here, and pure.

use jiff::Timestamp;
use messaging::provider::admin::MintedKey;
use messaging::secret::Secret;
use serde::{Deserialize, Serialize};

use super::wish::Asked;

/// How many keys may wait for their revocation, and how many lost ones for being found. More mean that something is
/// wrong, and then no more are minted.
pub const MOST: usize = 4;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// The uid of the sender that began it. It is part of every key's name, so that our keys are recognised by it.
    pub owner: String,
    /// How many keys were asked for. The newest one's name ends with it.
    pub minted: u64,
    /// When it was first asked for.
    pub since: Timestamp,
    /// When the newest rotation began.
    pub began_at: Option<Timestamp>,
    /// Whether the newest rotation gives up the overlap.
    pub immediately: bool,
    /// The requests that were answered.
    pub answered: Asked,
    /// The key that makes the calls. Absent: the Secret's own credentials do.
    pub key: Option<Key>,
    /// The key that will replace it.
    pub next: Option<NextKey>,
    /// Keys to revoke.
    pub old: Vec<OldKey>,
    /// Keys that may exist, although their secrets were lost.
    pub lost: Vec<LostKey>,
    /// The auth token that replaces the one in the Secret.
    pub token: Option<NextToken>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub id: String,
    pub secret: Secret,
}

/// Where the next key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NextKey {
    /// A rotation asked for it.
    Wanted,
    /// It was asked for, and no answer is recorded.
    Minting,
    /// Nobody uses it yet.
    Minted { key: Key, at: Timestamp },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldKey {
    pub id: String,
    /// Whether a replica may ever have had it.
    pub published: bool,
    /// When every live replica was first known to use another one.
    pub let_go_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostKey {
    pub name: String,
    pub since: Timestamp,
    pub looked_at: Option<Timestamp>,
}

/// Where the next auth token stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NextToken {
    /// A rotation asked for it.
    Wanted,
    /// It was asked for so many times, the last time then, and no answer is recorded.
    Creating { times: u32, at: Timestamp },
    /// The provider accepts it in calls. It is not in the Secret yet.
    Created(Secret),
    /// The Secret holds it beside the one in use.
    Stored(Secret),
    /// The promotion was asked for, and no answer is recorded.
    Promoting(Secret),
    /// It signs webhooks, and the one before is refused.
    Promoted(Secret),
}

impl Record {
    pub fn new(owner: &str, now: Timestamp) -> Self {
        Self { owner: owner.to_owned(), since: now, ..Self::default() }
    }

    /// Whether nothing is left to look after.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.next.is_none() && self.old.is_empty() && self.lost.is_empty() && self.token.is_none()
    }

    /// The name of the key that was asked for last: at most 64 characters with a uid.
    pub fn name(&self) -> String {
        format!("whatsapp-operator/{}/{}", self.owner, self.minted)
    }

    /// A rotation begins: what it replaces is decided, and nothing is asked for yet.
    pub fn begin(&mut self, key: bool, token: bool, immediately: bool, asked: &Asked, now: Timestamp) {
        self.began_at = Some(now);
        self.immediately = immediately;
        self.answered = asked.clone();
        if key && self.next.is_none() {
            self.next = Some(NextKey::Wanted);
        }
        if token && self.token.is_none() {
            self.token = Some(NextToken::Wanted);
        }
    }

    /// A key is about to be asked for. One that was asked for before, without an answer, counts as lost.
    pub fn ask_for_key(&mut self, now: Timestamp) {
        self.lose_key(now);
        self.minted += 1;
        self.next = Some(NextKey::Minting);
    }

    /// No answer came, or none was recorded.
    pub fn lose_key(&mut self, now: Timestamp) {
        if self.next == Some(NextKey::Minting) {
            self.lost.push(LostKey { name: self.name(), since: now, looked_at: None });
            self.next = Some(NextKey::Wanted);
        }
    }

    /// The provider refused to give one.
    pub fn refused_key(&mut self) {
        self.next = Some(NextKey::Wanted);
    }

    pub fn got_key(&mut self, MintedKey { id, secret }: MintedKey, now: Timestamp) {
        self.next = Some(NextKey::Minted { key: Key { id, secret }, at: now });
    }

    /// The next key works, so it takes over.
    pub fn use_next_key(&mut self) {
        if let Some(NextKey::Minted { key, .. }) = self.next.take() {
            self.retire_key();
            self.key = Some(key);
        }
    }

    /// The provider does not accept the key that it gave. Nobody has it.
    pub fn drop_next_key(&mut self) {
        if let Some(NextKey::Minted { key, .. }) = self.next.take() {
            self.old.push(OldKey { id: key.id, published: false, let_go_at: None });
        }
    }

    /// The key in use goes.
    fn retire_key(&mut self) {
        if let Some(key) = self.key.take() {
            self.old.push(OldKey { id: key.id, published: true, let_go_at: None });
        }
    }

    /// The provider refuses the key in use, so the Secret's own credentials take over until there is another.
    pub fn replace_key(&mut self) {
        self.retire_key();
        self.next.get_or_insert(NextKey::Wanted);
    }

    /// The next token is about to be asked for. Whoever asked before can no longer record an answer.
    pub fn ask_for_token(&mut self, now: Timestamp) {
        let before = match self.token {
            Some(NextToken::Creating { times, .. }) => times,
            _ => 0,
        };
        self.token = Some(NextToken::Creating { times: before.saturating_add(1), at: now });
    }

    /// Nobody asks for rotated keys any longer: the Secret's own credentials take over.
    pub fn release(&mut self, now: Timestamp) {
        self.lose_key(now);
        self.drop_next_key();
        self.next = None;
        self.retire_key();
    }

    /// Every live replica uses another key than the old ones.
    pub fn let_go(&mut self, now: Timestamp) {
        for old in &mut self.old {
            old.let_go_at.get_or_insert(now);
        }
    }

    /// A replica turned up that may use an old key.
    pub fn take_hold_again(&mut self) {
        for old in &mut self.old {
            old.let_go_at = None;
        }
    }

    pub fn revoked(&mut self, id: &str) {
        self.old.retain(|old| old.id != id);
    }

    /// The account's keys were looked through for lost ones, and those that were there are revoked.
    pub fn looked_for_lost(&mut self, now: Timestamp, has_shown_up: impl Fn(&LostKey) -> bool) {
        self.lost.retain(|lost| !has_shown_up(lost));
        for lost in &mut self.lost {
            lost.looked_at = Some(now);
        }
    }
}
