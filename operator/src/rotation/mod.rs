//! Rotation of the credentials in a tenant's Secret: the API key that makes the calls, and, where it is asked for, the
//! account's auth token.
//!
//! The senders that share a Secret rotate together: [`wish`] is what they ask for, and one of them acts. [`mod@record`]
//! is what must survive a crash, kept by [`records`]; [`mod@plan`] decides the next step, for which [`proof`] tells who
//! still needs what; [`mod@act`] does it, writing the tenant's Secret through [`secrets`]; [`report`] tells where it
//! stands. [`held`] lists what needs a person.
//!
//! | | the key | the token |
//! |---|---|---|
//! | before anything is asked for | `Minting` is recorded | `Creating` is recorded |
//! | the answer is recorded | `Minted` | `Created`, then `Stored` in the Secret |
//! | it takes over | once it works | once every live replica accepts it: `Promoting`, `Promoted` |
//! | the old one ends | once every live replica uses the new one, and after the overlap | at the promotion |

pub mod act;
pub mod held;
pub mod plan;
pub mod proof;
pub mod record;
pub mod records;
pub mod report;
pub mod secrets;
pub mod wish;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::{WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use kube::ResourceExt;
use messaging::config::{ProviderAccount, TenantConfig};
use messaging::id::TenantId;
use messaging::provider::AccountAdmin as _;
use parking_lot::Mutex;

use self::act::{Actor, Book, Stopped};
use self::held::Held;
use self::plan::{Plan, Rest, Seen, Step, plan};
use self::proof::Proof;
use self::record::{NextToken, Record};
use self::records::{Records, Subject};
use self::report::Phase;
use self::secrets::WriteSecret;
use self::wish::{Group, Wish};
use crate::accounts::Accounts;
use crate::reconcile::error::Failure;
use crate::reconcile::progress::Progress;
use crate::sender::provider::TokenKeys;
use crate::sender::secret::Contents;

/// How many steps one reconcile takes at most. A whole rotation has fewer.
const STEPS: usize = 16;

/// Tells who runs what.
pub trait Acknowledgements: Send + Sync {
    /// Whether every live replica runs a config of the tenant of which `is_so` is true.
    fn everyone_runs(&self, tenant: &TenantId, is_so: &dyn Fn(&TenantConfig) -> bool) -> Proof;
}

/// What rotations need.
pub struct Rotation {
    pub records: Arc<dyn Records>,
    pub secret: Arc<dyn WriteSecret>,
    pub accounts: Arc<Accounts>,
    pub acknowledgements: Arc<dyn Acknowledgements>,
    /// Secrets that have no record, as this process knows.
    pub unrecorded: Mutex<BTreeSet<Subject>>,
}

/// One sender's part in the rotation of its Secret.
pub struct Turn<'a> {
    pub sender: &'a WhatsAppSender,
    pub subject: Subject,
    pub group: Group,
    /// The account as the Secret opens it.
    pub provider: &'a ProviderAccount,
    /// What the Secret holds, and where.
    pub contents: &'a Contents,
    pub token_keys: TokenKeys,
    pub now: Timestamp,
}

/// Where a rotation stands after a turn.
pub struct Turned {
    /// The account with the credentials to use.
    pub provider: ProviderAccount,
    /// When to look again, if sooner than usual.
    pub again: Option<Duration>,
    /// Why the provider refuses to go on.
    pub refused: Option<String>,
    /// Whether there is nothing left to look after.
    pub is_over: bool,
}

impl Rotation {
    /// Goes on with the rotation as far as it can, and says which credentials to use.
    pub async fn turn(
        &self,
        turn: &Turn<'_>,
        progress: &mut Progress<WhatsAppSenderStatus>,
    ) -> Result<Turned, Failure> {
        let wish = turn.group.wish();
        let nothing = || Turned { provider: turn.provider.clone(), again: None, refused: None, is_over: true };
        if wish.is_none() && self.unrecorded.lock().contains(&turn.subject) {
            report::report(None, progress);
            return Ok(nothing());
        }
        let recorded = self.records.read(&turn.subject).await?;
        if wish.is_none() && recorded.record.is_none() {
            self.unrecorded.lock().insert(turn.subject.clone());
            report::report(None, progress);
            return Ok(nothing());
        }
        self.unrecorded.lock().remove(&turn.subject);
        let owner = turn.sender.uid().unwrap_or_default();
        let mut book = Book {
            record: recorded.record.unwrap_or_else(|| Record::new(&owner, turn.now)),
            version: recorded.version,
        };
        let before = book.record.key.clone();
        let mut seen = self.seen(turn, &book.record).await;
        let mut refused = None;
        let again = match turn.group.leader().filter(|leader| leader.uid() != turn.sender.uid()) {
            // Another sender acts, and tells where it stands.
            Some(leader) => report::follow(leader, progress),
            None => {
                let phase = self.advance(turn, wish.as_ref(), &mut seen, &mut book, progress.paused).await;
                report::report(Some((&book.record, &phase)), progress);
                if let Phase::Resting(Rest::Held(held @ Held::Refused { .. })) = &phase {
                    refused = Some(held.to_string());
                }
                // Nothing happens while it is paused.
                report::again(&phase, turn.now).filter(|_| !progress.paused)
            }
        };
        // A key that the provider refuses is of no use to anybody.
        let key = book.record.key.as_ref().filter(|_| !seen.key_is_refused || book.record.key != before);
        let provider = key.map_or_else(|| turn.provider.clone(), |key| turn.provider.called_with(&key.id, &key.secret));
        Ok(Turned { provider, again, refused, is_over: book.version.is_none() && book.record.is_empty() })
    }

    /// Gives up what is recorded.
    pub async fn forget(&self, turn: &Turn<'_>) -> Result<(), Failure> {
        let version = self.records.read(&turn.subject).await?.version;
        if version.is_some() {
            self.records.write(&turn.subject, None, version.as_deref()).await?;
        }
        Ok(())
    }

    async fn advance(
        &self,
        turn: &Turn<'_>,
        wish: Option<&Wish>,
        seen: &mut Seen,
        book: &mut Book,
        paused: bool,
    ) -> Phase {
        let actor = Actor {
            subject: &turn.subject,
            records: &*self.records,
            secret: &*self.secret,
            accounts: &self.accounts,
            token_keys: turn.token_keys,
            provider: turn.provider,
            wish,
            now: turn.now,
        };
        for _ in 0..STEPS {
            let step = match plan(&book.record, wish, seen, turn.now) {
                Plan::Rest(rest) => return Phase::Resting(rest),
                Plan::Act(step) => step,
            };
            if paused {
                return Phase::of(&step);
            }
            if let Err(stopped) = actor.act(&step, book).await {
                return match stopped {
                    Stopped::Held(held) => Phase::Resting(Rest::Held(held)),
                    other => Phase::Failing { at: Box::new(Phase::of(&step)), why: other.to_string() },
                };
            }
            match step {
                Step::Forget => return Phase::Resting(Rest::Idle { next: None }),
                // The Secret has changed, and is read again.
                Step::StoreToken | Step::WithdrawToken | Step::MoveToken => return Phase::of(&step),
                Step::Replace => seen.key_is_refused = false,
                _ => {}
            }
            seen.update(&*self.acknowledgements, turn, &book.record);
        }
        Phase::Resting(Rest::Publishing)
    }

    async fn seen(&self, turn: &Turn<'_>, record: &Record) -> Seen {
        let is_refused = async |provider: &ProviderAccount| {
            let checked = self.accounts.get(provider).check_credentials().await;
            checked.is_err_and(|error| error.http_status == Some(401))
        };
        let key_is_refused = match &record.key {
            Some(key) => is_refused(&turn.provider.called_with(&key.id, &key.secret)).await,
            None => false,
        };
        let next_is_refused = match &record.token {
            Some(NextToken::Stored(next)) => is_refused(&turn.provider.called_with_token(next)).await,
            _ => false,
        };
        let value = |key: &str| turn.contents.get(key).filter(|value| !value.expose().is_empty()).cloned();
        let mut seen = Seen {
            token: value(turn.token_keys.current),
            secondary: value(turn.token_keys.next),
            key_is_refused,
            next_is_refused,
            calls: Proof::NotPublished,
            accepts: Proof::NotPublished,
            elsewhere: turn.group.others.first().map(|other| {
                // The names of another tenant's objects are not disclosed.
                if other.namespace() == turn.sender.namespace() {
                    format!("the WhatsAppSender {:?}", other.name_any())
                } else {
                    "a WhatsAppSender of another namespace".to_owned()
                }
            }),
        };
        seen.update(&*self.acknowledgements, turn, record);
        seen
    }
}

impl Seen {
    /// Looks at the replicas again, for what the record asks about now.
    fn update(&mut self, acknowledgements: &dyn Acknowledgements, turn: &Turn<'_>, record: &Record) {
        let tenant = &turn.subject.tenant;
        self.calls = acknowledgements.everyone_runs(tenant, &|config| proof::calls_with_none_of(config, &record.old));
        self.accepts = match &record.token {
            Some(NextToken::Stored(next)) => {
                let (account, token) = (turn.provider.account_key(), self.token.as_ref());
                acknowledgements.everyone_runs(tenant, &|config| proof::accepts(config, account, token, next))
            }
            _ => Proof::NotPublished,
        };
    }
}

#[cfg(test)]
mod tests;
