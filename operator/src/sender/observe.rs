//! Observes a sender at the provider.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::WhatsAppSenderStatus;
use crds::condition::{CREDENTIALS_VALID, reason};
use messaging::config::PoolConfig;
use messaging::id::PoolId;
use messaging::provider::admin::{PoolObservation, SenderObservation};
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::validate::Desired;
use crate::accounts::{Account, Accounts};
use crate::reconcile::conditions::State;
use crate::reconcile::error::{Advice, Explain, advice_of};
use crate::reconcile::progress::Progress;

/// What was seen at the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub sender: Option<SenderObservation>,
    /// Looked up only if the spec names one.
    pub service: Option<PoolObservation>,
    /// The Messaging Service that holds the sender although the spec does not name it.
    pub unnamed_service: Option<PoolObservation>,
}

impl Observed {
    /// The pools that this sender's own config depends on.
    pub fn pools(&self) -> BTreeMap<PoolId, PoolConfig> {
        let both = self.service.iter().chain(&self.unnamed_service);
        both.map(|pool| (pool.id.clone(), PoolConfig { numbers: pool.numbers().cloned().collect() })).collect()
    }
}

/// The provider refused, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NotObserved {
    #[error(
        "the provider refused the credentials of the account; those that were accepted last stay in use; put valid ones into the secret {secret:?}, or make sure that the account is not suspended"
    )]
    Credentials { secret: String, source: ProviderError },
    #[error(
        "the provider refused the key that signs webhooks, so that none could be verified; the one that was accepted last stays in use; put the account's current authToken into the secret {secret:?}"
    )]
    WebhookKey { secret: String, source: ProviderError },
    #[error(
        "the provider refused to {what}; if the secret holds an API key, give it the permission to read WhatsApp senders and Messaging Services"
    )]
    Refused { what: &'static str, source: ProviderError },
    #[error("the provider is unavailable: failed to {what}; trying again")]
    Unavailable { what: &'static str, source: ProviderError },
}

impl NotObserved {
    /// Whether the credentials may be why.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.is_unauthorized())
    }
}

impl Explain for NotObserved {
    fn advice(&self) -> Advice {
        match self {
            Self::Credentials { source, .. }
            | Self::WebhookKey { source, .. }
            | Self::Refused { source, .. }
            | Self::Unavailable { source, .. } => advice_of(source),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Credentials { .. } | Self::WebhookKey { .. } => reason::CREDENTIALS_REFUSED,
            Self::Refused { .. } => reason::PROVIDER_REFUSED,
            Self::Unavailable { .. } => reason::PROVIDER_UNAVAILABLE,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        match self {
            Self::Credentials { .. } | Self::WebhookKey { .. } => Some(CREDENTIALS_VALID),
            Self::Refused { .. } | Self::Unavailable { .. } => None,
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(ProviderError) -> NotObserved {
    move |source| match advice_of(&source) {
        Advice::Stalled => NotObserved::Refused { what, source },
        Advice::Waiting { .. } | Advice::Transient { .. } => NotObserved::Unavailable { what, source },
    }
}

/// The error of a check of credentials: `refused` when the provider refuses them.
fn refused_or(
    source: ProviderError,
    what: &'static str,
    progress: &mut Progress<WhatsAppSenderStatus>,
    refused: impl FnOnce(ProviderError) -> NotObserved,
) -> NotObserved {
    if source.is_unauthorized() {
        return refused(source);
    }
    progress.set(CREDENTIALS_VALID, State::Unknown, reason::PROVIDER_UNAVAILABLE, &source.to_string());
    failed(what)(source)
}

/// Checks the credentials, decides which of them to use, and records whether they work as soon as that is known.
/// `max_age` is how old the provider's word may be.
pub async fn check(
    desired: &mut Desired,
    accounts: &Accounts,
    max_age: Duration,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), NotObserved> {
    let secret = desired.secret.clone();
    let refused = |source| NotObserved::Credentials { secret, source };
    let mut left_aside = String::new();
    let mut is_next_accepted = false;
    if let Some(next) = &desired.next {
        match accounts.get(&next.probe).are_accepted(max_age).await {
            Ok(()) => {
                desired.config.provider = next.if_accepted.clone();
                is_next_accepted = true;
            }
            Err(source) if source.is_unauthorized() => {
                left_aside = format!("the provider refuses the {} in the secret, so it is not used", next.key);
            }
            Err(source) => return Err(refused_or(source, "check the credentials", progress, refused)),
        }
    }
    let account = accounts.get(&desired.config.provider);
    // The new token may make the calls itself, and then they were just checked.
    let is_checked = is_next_accepted
        && desired.next.as_ref().is_some_and(|next| next.probe.caller() == desired.config.provider.caller());
    if !is_checked && let Err(source) = account.are_accepted(max_age).await {
        return Err(refused_or(source, "check the credentials", progress, refused));
    }
    // From the promotion on, the old token is refused, and webhooks are signed with the accepted new one.
    if !is_next_accepted
        && let Some(key) = desired.config.provider.webhook_key()
        && let Err(source) = account.is_accepted(key, max_age).await
    {
        let secret = desired.secret.clone();
        return Err(refused_or(source, "check the key of webhooks", progress, |source| NotObserved::WebhookKey {
            secret,
            source,
        }));
    }
    progress.set(CREDENTIALS_VALID, State::True, reason::CREDENTIALS_ACCEPTED, &left_aside);
    Ok(())
}

/// Asks the provider. `max_age` is how old a list that the account's senders share may be.
pub async fn observe(desired: &Desired, account: &Account, max_age: Duration) -> Result<Observed, NotObserved> {
    if desired.sandbox.is_some() {
        return Ok(Observed::default());
    }
    let sender = account.sender(&desired.number, max_age).await.map_err(failed("find the sender"))?;
    let service = match (&desired.pool, account.pools()) {
        (Some(pool), Some(pools)) => pools.find_pool(pool).await.map_err(failed("find the Messaging Service"))?.pool,
        _ => None,
    };
    let unnamed_service = match &sender {
        // A sender is in one service at most, so only one that is in no service that we know needs the whole list.
        Some(sender) if !service.as_ref().is_some_and(|service| service.holds(&sender.handle)) => {
            let all =
                account.every_pool(max_age, &sender.handle).await.map_err(failed("list the Messaging Services"))?;
            all.iter().find(|pool| pool.holds(&sender.handle)).cloned()
        }
        _ => None,
    };
    Ok(Observed { sender, service, unnamed_service })
}
