//! Does one step: at most one write at the provider, between two writes of the record.

use std::sync::Arc;

use jiff::Timestamp;
use messaging::config::ProviderAccount;
use messaging::failure::FailureClass;
use messaging::provider::admin::MintedKey;
use messaging::provider::{AccountAdmin as _, ProviderError};
use messaging::secret::Secret;

use super::held::Held;
use super::plan::{Step, has_shown_up};
use super::record::{Key, LostKey, NextKey, NextToken, Record};
use super::records::{Records, Subject};
use super::secrets::{NotWritten, WriteSecret};
use super::wish::Wish;
use crate::accounts::{Account, Accounts};
use crate::reconcile::error::{Advice, KubernetesFailure, advice_of};
use crate::sender::provider::TokenKeys;

/// Why a step did not end.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error("{0}")]
    Held(Held),
    /// The provider does not accept the new key yet.
    #[error("the provider does not accept the new key yet")]
    NotAcceptedYet,
    #[error("the provider could not be asked to {what}: {why}")]
    Provider { what: &'static str, why: String },
    #[error(transparent)]
    Kubernetes(#[from] KubernetesFailure),
}

/// What the steps need.
pub struct Actor<'a> {
    pub subject: &'a Subject,
    pub records: &'a dyn Records,
    pub secret: &'a dyn WriteSecret,
    pub accounts: &'a Accounts,
    pub token_keys: TokenKeys,
    /// The account as the Secret opens it.
    pub provider: &'a ProviderAccount,
    pub wish: Option<&'a Wish>,
    pub now: Timestamp,
}

/// The record that a process works on.
pub struct Book {
    pub record: Record,
    pub version: Option<String>,
}

impl Actor<'_> {
    async fn save(&self, book: &mut Book, change: impl FnOnce(&mut Record) + Send) -> Result<(), Stopped> {
        let mut record = book.record.clone();
        change(&mut record);
        book.version = self.records.write(self.subject, Some(&record), book.version.as_deref()).await?;
        book.record = record;
        Ok(())
    }

    /// The account, called with its token.
    fn owner(&self) -> Result<Arc<Account>, Stopped> {
        let token = self.provider.webhook_key().ok_or(Stopped::Held(Held::AnotherToken))?;
        Ok(self.accounts.get(&self.provider.called_with_token(token)))
    }

    pub async fn act(&self, step: &Step, book: &mut Book) -> Result<(), Stopped> {
        let now = self.now;
        match step {
            Step::Begin { token, immediately } => {
                let keys = self.wish.is_some_and(|wish| wish.keys);
                let asked = self.wish.map(|wish| wish.asked.clone()).unwrap_or_default();
                self.save(book, |record| record.begin(keys, *token, *immediately, &asked, now)).await
            }
            Step::Replace => self.save(book, Record::replace_key).await,
            Step::Release => self.save(book, |record| record.release(now)).await,
            Step::FindLost => self.find_lost(book).await,
            Step::Mint => self.mint(book).await,
            Step::Verify => self.verify(book).await,
            Step::DropNext => self.save(book, Record::drop_next_key).await,
            Step::LetGo => self.save(book, |record| record.let_go(now)).await,
            Step::TakeHold => self.save(book, Record::take_hold_again).await,
            Step::Revoke { id } => {
                let owner = self.owner()?;
                let Some(keys) = owner.keys() else { return Ok(()) };
                keys.revoke_key(id).await.map_err(|source| stopped("revoke the old key", &source))?;
                self.save(book, |record| record.revoked(id)).await
            }
            Step::CreateToken => self.create_token(book).await,
            Step::StoreToken => self.store_token(book).await,
            Step::WithdrawToken => self.withdraw_token(book).await,
            Step::Promote => self.promote(book).await,
            Step::MoveToken => {
                let Some(NextToken::Promoted(next)) = &book.record.token else { return Ok(()) };
                let expected = [(self.token_keys.next, Some(next))];
                self.secret
                    .write(
                        self.subject,
                        &expected,
                        &[(self.token_keys.current, Some(next)), (self.token_keys.next, None)],
                    )
                    .await?;
                Ok(())
            }
            Step::EndToken => self.save(book, |record| record.token = None).await,
            Step::Forget => {
                self.records.write(self.subject, None, book.version.as_deref()).await?;
                book.version = None;
                Ok(())
            }
        }
    }

    async fn mint(&self, book: &mut Book) -> Result<(), Stopped> {
        let (owner, now) = (self.owner()?, self.now);
        let Some(keys) = owner.keys() else {
            return Err(Stopped::Held(Held::MayNotMint("this provider has no keys".to_owned())));
        };
        self.save(book, |record| record.ask_for_key(now)).await?;
        match keys.mint_key(&book.record.name()).await {
            Ok(minted) => self.save(book, |record| record.got_key(minted, now)).await,
            Err(source) => {
                let may_exist = source.failure.class == FailureClass::Ambiguous;
                self.save(book, |record| if may_exist { record.lose_key(now) } else { record.refused_key() }).await?;
                Err(if source.is_unauthorized() {
                    Stopped::Held(Held::MayNotMint(source.to_string()))
                } else {
                    stopped("mint a key", &source)
                })
            }
        }
    }

    async fn find_lost(&self, book: &mut Book) -> Result<(), Stopped> {
        let (owner, now) = (self.owner()?, self.now);
        if let Some(keys) = owner.keys() {
            let all = keys.list_keys().await.map_err(|source| stopped("list the account's keys", &source))?.rows;
            let record = &book.record;
            let in_use = |id: &str| {
                let next = match &record.next {
                    Some(NextKey::Minted { key, .. }) => Some(key),
                    _ => None,
                };
                record.key.iter().chain(next).any(|key: &Key| key.id == id)
            };
            let is_lost = |name: &str| record.lost.iter().any(|lost| lost.name == name);
            for key in all.iter().filter(|key| is_lost(&key.name) && !in_use(&key.id)) {
                keys.revoke_key(&key.id)
                    .await
                    .map_err(|source| stopped("revoke a key whose secret was lost", &source))?;
            }
        }
        let has_shown_up = |lost: &LostKey| has_shown_up(lost.since, now);
        self.save(book, |record| record.looked_for_lost(now, has_shown_up)).await
    }

    async fn verify(&self, book: &mut Book) -> Result<(), Stopped> {
        let Some(NextKey::Minted { key, .. }) = &book.record.next else { return Ok(()) };
        let owner = self.owner()?;
        let Some(keys) = owner.keys() else { return Ok(()) };
        let minted = MintedKey { id: key.id.clone(), secret: key.secret.clone() };
        match keys.verify_key(&minted).await {
            Ok(()) => self.save(book, Record::use_next_key).await,
            Err(source) if source.is_unauthorized() => Err(Stopped::NotAcceptedYet),
            Err(source) => Err(stopped("verify the new key", &source)),
        }
    }

    async fn create_token(&self, book: &mut Book) -> Result<(), Stopped> {
        self.secret.may_write(self.subject).await?;
        let owner = self.owner()?;
        let Some(tokens) = owner.tokens() else {
            return Err(Stopped::Held(Held::Refused {
                what: "replace the auth token",
                why: "this provider's cannot be replaced".to_owned(),
            }));
        };
        let may_exist = matches!(book.record.token, Some(NextToken::Creating { .. }));
        self.save(book, |record| record.ask_for_token(self.now)).await?;
        if may_exist {
            // Nobody knows its value.
            tokens.discard_next_token().await.map_err(|source| stopped("discard a lost auth token", &source))?;
        }
        let next = tokens.create_next_token().await.map_err(|source| stopped("create the next auth token", &source))?;
        self.save(book, |record| record.token = Some(NextToken::Created(next))).await
    }

    async fn store_token(&self, book: &mut Book) -> Result<(), Stopped> {
        let Some(NextToken::Created(next)) = book.record.token.clone() else { return Ok(()) };
        // It may have been stored before a crash.
        if !self.secret.holds(self.subject, self.token_keys.next, &next).await? {
            self.secret
                .write(self.subject, &[(self.token_keys.next, None)], &[(self.token_keys.next, Some(&next))])
                .await?;
        }
        self.save(book, |record| record.token = Some(NextToken::Stored(next))).await
    }

    /// The provider refuses the next token: another one was created meanwhile, by a process that was held up.
    async fn withdraw_token(&self, book: &mut Book) -> Result<(), Stopped> {
        let Some(NextToken::Stored(next)) = &book.record.token else { return Ok(()) };
        if self.secret.holds(self.subject, self.token_keys.next, next).await? {
            self.secret
                .write(self.subject, &[(self.token_keys.next, Some(next))], &[(self.token_keys.next, None)])
                .await?;
        }
        self.save(book, |record| record.token = Some(NextToken::Wanted)).await
    }

    async fn promote(&self, book: &mut Book) -> Result<(), Stopped> {
        let next = match &book.record.token {
            Some(NextToken::Stored(next) | NextToken::Promoting(next)) => next.clone(),
            _ => return Ok(()),
        };
        if !matches!(book.record.token, Some(NextToken::Promoting(_))) {
            self.save(book, |record| record.token = Some(NextToken::Promoting(next.clone()))).await?;
        }
        let owner = self.owner()?;
        let promoted = match owner.check_credentials().await {
            Ok(()) => {
                let Some(tokens) = owner.tokens() else { return Ok(()) };
                tokens.promote_next_token().await.map_err(|source| stopped("promote the next auth token", &source))?
            }
            // It was promoted before, and its answer was lost.
            Err(source) if source.is_unauthorized() => {
                self.accepts(&next).await?;
                next.clone()
            }
            Err(source) => return Err(stopped("ask which auth token it accepts", &source)),
        };
        if promoted != next {
            return Err(Stopped::Held(Held::AnotherToken));
        }
        self.save(book, |record| record.token = Some(NextToken::Promoted(next))).await
    }

    async fn accepts(&self, token: &Secret) -> Result<(), Stopped> {
        match self.accounts.get(&self.provider.called_with_token(token)).check_credentials().await {
            Ok(()) => Ok(()),
            Err(source) if source.is_unauthorized() => Err(Stopped::Held(Held::AnotherToken)),
            Err(source) => Err(stopped("ask which auth token it accepts", &source)),
        }
    }
}

/// Whether the provider surely did nothing, and would refuse the same again.
fn is_refusal(error: &ProviderError) -> bool {
    error.http_status.is_some() && advice_of(error) == Advice::Stalled
}

fn stopped(what: &'static str, source: &ProviderError) -> Stopped {
    let why = source.to_string();
    if is_refusal(source) { Stopped::Held(Held::Refused { what, why }) } else { Stopped::Provider { what, why } }
}

impl From<NotWritten> for Stopped {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Held(held) => Self::Held(held),
            NotWritten::Kubernetes(failure) => Self::Kubernetes(failure),
        }
    }
}
