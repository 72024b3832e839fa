//! The writes: each at most one at the provider, and none that adds the sender before the status says so.

use crds::condition::{WEBHOOKS_CONFIGURED, reason};
use crds::{MembershipStatus, WhatsAppSender, WhatsAppSenderStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::id::PoolId;
use messaging::provider::admin::{Joined, PoolMember, PoolObservation, SenderObservation, WebhookTargets};
use messaging::provider::{AccountAdmin, ProviderError};
use serde_json::json;

use crate::reconcile::error::{Advice, Explain, Failure, advice_of, may_have_been_done};
use crate::reconcile::events;
use crate::reconcile::progress::Progress;
use crate::sender::SenderContext;

/// What could not be done to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Adding,
    Removing,
}

/// The membership could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    #[error(
        "the sender can't be added to the Messaging Service {0}: it is in another one, and a sender is in one at most; remove it from that one's sender pool in the provider's console, or name that one in spec.provider.twilio.messagingServiceSid"
    )]
    IsElsewhere(PoolId),
    #[error(
        "the sender can't be added to the Messaging Service {0}: its sender pool is full; remove senders from it, have the provider raise its limit, or name another one in spec.provider.twilio.messagingServiceSid"
    )]
    IsFull(PoolId),
    #[error(
        "the sender can't be {} the Messaging Service {pool}: the credentials may not change its senders; put the account's current authToken into the secret, which may, or {}",
        done(*what),
        otherwise(*what)
    )]
    NotAllowed { what: What, pool: PoolId, source: ProviderError },
    #[error("the sender can't be {} the Messaging Service {pool}", done(*what))]
    Failed { what: What, pool: PoolId, source: ProviderError },
    #[error(
        "the webhooks of the Messaging Service {pool} can't be pointed at the data plane, so the sender is not added to it"
    )]
    NotPointed { pool: PoolId, source: ProviderError },
}

fn done(what: What) -> &'static str {
    match what {
        What::Adding => "added to",
        What::Removing => "removed from",
    }
}

fn otherwise(what: What) -> &'static str {
    match what {
        What::Adding => {
            "add it in the provider's console and set spec.provider.twilio.messagingServiceMembership to External"
        }
        What::Removing => "remove it in the provider's console",
    }
}

impl NotChanged {
    pub fn removing(pool: PoolId, source: ProviderError) -> Self {
        Self::of(What::Removing, pool, source)
    }

    fn of(what: What, pool: PoolId, source: ProviderError) -> Self {
        match source.is_unauthorized() {
            true => Self::NotAllowed { what, pool, source },
            false => Self::Failed { what, pool, source },
        }
    }
}

impl Explain for NotChanged {
    fn advice(&self) -> Advice {
        match self {
            Self::IsElsewhere(_) | Self::IsFull(_) => Advice::Stalled,
            Self::NotAllowed { source, .. } | Self::Failed { source, .. } | Self::NotPointed { source, .. } => {
                advice_of(source)
            }
        }
    }
    fn reason(&self) -> &'static str {
        match (self, self.advice()) {
            (Self::IsElsewhere(_), _) => reason::CONFLICT,
            (_, Advice::Stalled) => reason::PROVIDER_REFUSED,
            (_, Advice::Waiting { .. } | Advice::Transient { .. }) => reason::PROVIDER_UNAVAILABLE,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        matches!(self, Self::NotPointed { .. }).then_some(WEBHOOKS_CONFIGURED)
    }
}

/// Points the pool's webhooks at the data plane, as those of a pool that the sender is in.
pub(super) async fn point(
    sender: &SenderObservation,
    pool: &PoolObservation,
    targets: &WebhookTargets,
    account: &dyn AccountAdmin,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), NotChanged> {
    let mut with_sender = pool.clone();
    with_sender.senders.push(PoolMember { handle: sender.handle.clone(), number: None });
    let pointed = account.configure_webhooks(sender, Some(&with_sender), targets).await;
    pointed.map_err(|source| NotChanged::NotPointed { pool: pool.id.clone(), source })?;
    let to = targets.inbound.as_deref().unwrap_or_default();
    let text = format!("webhooks of the Messaging Service {} point at {to}", pool.id);
    progress.changed(events::reason::WEBHOOKS_CONFIGURED, text);
    Ok(())
}

/// Adds the sender, and remembers it as the operator's doing unless somebody was faster.
pub(super) async fn join(
    sender: &WhatsAppSender,
    pool: &PoolId,
    handle: &str,
    account: &dyn AccountAdmin,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    let Some(pools) = account.pools() else { return Ok(()) };
    let before = progress.status.membership.clone();
    let of = |asked_at| Some(MembershipStatus { messaging_service_sid: pool.to_string(), asked_at });
    let intended = of(Some(Time(context.clock.now())));
    context.memberships.record(sender, intended.as_ref()).await?;
    progress.wrote("membership", json!(intended));
    let joined = pools.add_member(pool, handle).await;
    let (known, ended) = match joined {
        Ok(Joined::Added) => {
            progress.changed(events::reason::JOINED_SERVICE, format!("added to the Messaging Service {pool}"));
            (of(None), Ok(()))
        }
        // An earlier call of the operator added it, if there was one.
        Ok(Joined::WasIn) => (before.and(of(None)), Ok(())),
        Ok(Joined::IsElsewhere) => (before, Err(NotChanged::IsElsewhere(pool.clone()))),
        Ok(Joined::IsFull) => (before, Err(NotChanged::IsFull(pool.clone()))),
        Err(source) => {
            let known = if may_have_been_done(&source) { intended } else { before };
            (known, Err(NotChanged::of(What::Adding, pool.clone(), source)))
        }
    };
    progress.status.membership = known;
    ended.map_err(Failure::from)
}

/// Removes the sender.
pub(super) async fn leave(
    pool: &PoolId,
    handle: &str,
    account: &dyn AccountAdmin,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), NotChanged> {
    let Some(pools) = account.pools() else { return Ok(()) };
    let left = pools.remove_member(pool, handle).await;
    left.map_err(|source| NotChanged::removing(pool.clone(), source))?;
    progress.changed(events::reason::LEFT_SERVICE, format!("removed from the Messaging Service {pool}"));
    progress.status.membership = None;
    Ok(())
}
