//! A sender's membership in the Messaging Service that its spec names, where the spec asks the operator to keep it.
//!
//! Before a sender is added, its status says so. Whatever is interrupted, a membership that the operator may have made
//! is known as its own, and one that it found is never removed: [`mod@plan`] decides (pure), [`mod@act`] does it, and
//! [`mod@record`] writes the status in between.

pub mod act;
pub mod plan;
pub mod record;

use std::time::Duration;

use crds::condition::{WEBHOOKS_CONFIGURED, reason};
use crds::{MembershipStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use messaging::id::{PoolId, SenderName};
use messaging::provider::AccountAdmin;
use messaging::provider::admin::{Stage, WebhookTargets};

use self::act::NotChanged;
use self::plan::{Asked, Step, plan};
use super::observe::Observed;
use super::plan::{Trouble, Webhooks};
use super::{SenderContext, rival};
use crate::accounts::Account;
use crate::reconcile::conditions::State;
use crate::reconcile::error::{Advice, Explain, Failure, advice_of};
use crate::reconcile::events;
use crate::reconcile::kind::Id;
use crate::reconcile::progress::Progress;

/// How soon to look at what was changed.
const SOON: Duration = Duration::from_secs(2);
/// How soon to look whether the provider shows the sender's new webhooks.
const WEBHOOKS_SHOW_AFTER: Duration = Duration::from_secs(10);

/// What the spec says.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The pool that it names.
    pub pool: Option<PoolId>,
    /// Whether the operator keeps the sender there.
    pub is_managed: bool,
    /// Where the pool's webhooks should point, if the pool decides.
    pub of_service: WebhookTargets,
}

/// What the reconcile has found and decided so far.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub observed: &'a Observed,
    pub webhooks: &'a Webhooks,
    pub trouble: Option<&'a Trouble>,
}

/// Takes the next step. Returns when to take the one after it, and nothing when the membership is as the spec says, or
/// is not the operator's to change.
pub async fn follow(
    sender: &WhatsAppSender,
    wish: &Wish,
    seen: Seen<'_>,
    account: &Account,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<Option<Duration>, Failure> {
    let (Seen { observed, webhooks, trouble }, now) = (seen, context.clock.now());
    let recorded = progress.status.membership.clone();
    let is_named_by_another = recorded
        .as_ref()
        .is_some_and(|recorded| is_named_by_another(sender, &PoolId::new(&recorded.messaging_service_sid), context));
    let is_being_registered = observed.sender.as_ref().is_some_and(|sender| sender.stage != Stage::Settled);
    let asked = Asked {
        pool: wish.pool.as_ref(),
        is_managed: wish.is_managed,
        recorded: recorded.as_ref(),
        of_service: &wish.of_service,
        webhooks,
        is_kept_out: progress.paused
            || is_being_registered
            || matches!(webhooks, Webhooks::NotOurs | Webhooks::ByHand(_)),
        is_pool_taken: matches!(trouble, Some(Trouble::PoolTaken { .. })),
        is_named_by_another,
        now,
    };
    let (Some(found), step) = (&observed.sender, plan(&asked, observed)) else { return Ok(None) };
    if let (Some(trouble @ Trouble::InUnnamedService(_)), Step::Leave(_) | Step::OwnWebhooksFirst(_)) = (trouble, &step)
    {
        progress.set(WEBHOOKS_CONFIGURED, State::False, reason::WEBHOOKS_DRIFTED, &trouble.to_string());
    }
    let under_way = |progress: &mut Progress<_>, text: String| progress.not_ready(reason::PROGRESSING, &text);
    let again = match step {
        Step::Nothing => return Ok(None),
        Step::Confirm => {
            progress.status.membership = recorded.map(|known| MembershipStatus { asked_at: None, ..known });
            return Ok(None);
        }
        Step::Forget => {
            progress.status.membership = None;
            return Ok(None);
        }
        Step::Wait { pool, until } => {
            under_way(
                progress,
                format!(
                    "the sender may still be added to the Messaging Service {pool}, where the spec no longer asks for it, because the answer to an earlier call was lost; it is removed then"
                ),
            );
            until.duration_since(now).try_into().unwrap_or(SOON)
        }
        Step::OwnWebhooksFirst(pool) => {
            under_way(
                progress,
                format!(
                    "the sender is removed from the Messaging Service {pool} once the provider shows its own webhooks"
                ),
            );
            WEBHOOKS_SHOW_AFTER
        }
        Step::Join { pool, webhooks } => {
            if let Some(service) = webhooks {
                act::point(found, &service, &wish.of_service, account, progress).await?;
            }
            act::join(sender, &pool, &found.handle, account, context, progress).await?;
            under_way(
                progress,
                format!("the sender was added to the Messaging Service {pool}, which is looked at again"),
            );
            SOON
        }
        Step::Leave(pool) => {
            act::leave(&pool, &found.handle, account, progress).await?;
            under_way(
                progress,
                format!("the sender was removed from the Messaging Service {pool}, which is looked at again"),
            );
            SOON
        }
    };
    Ok(Some(again))
}

/// Whether a reconcile that changes the membership resolves this by itself.
pub fn resolves(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::NotInService(_) | Trouble::InUnnamedService(_) | Trouble::InAnotherService { .. })
}

/// Whether another sender of the number names the pool. It then takes the membership over.
fn is_named_by_another(sender: &WhatsAppSender, pool: &PoolId, context: &SenderContext) -> bool {
    rival::is_named_by_another(sender, pool, &context.watched.senders.stores.all())
}

/// The operator may have added the sender a moment ago, and the provider does not show it.
#[derive(Debug, thiserror::Error)]
#[error("the sender may still be added to the Messaging Service {pool}, because the answer to a call was lost")]
struct MayShowUp {
    pool: PoolId,
    after: Duration,
}

impl Explain for MayShowUp {
    fn advice(&self) -> Advice {
        Advice::Waiting { after: Some(self.after) }
    }
    fn reason(&self) -> &'static str {
        reason::DELETING
    }
}

/// Takes the sender out of the service that the operator added it to. From one that it found it in, it does not.
pub async fn clean_up(
    sender: &WhatsAppSender,
    Id { tenant, name }: &Id<SenderName>,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    let Some(recorded) = sender.status.as_ref().and_then(|status| status.membership.as_ref()) else { return Ok(()) };
    let pool = PoolId::new(&recorded.messaging_service_sid);
    if is_named_by_another(sender, &pool, context) {
        return Ok(());
    }
    let Some(known) = context.directory.find(tenant, name).await? else { return Ok(()) };
    match remove(&*known.account, &pool, &known.config.phone_number).await {
        Ok(true) => {
            progress.changed(events::reason::LEFT_SERVICE, format!("removed from the Messaging Service {pool}"));
            Ok(())
        }
        Ok(false) => may_show_up(recorded, pool, context.clock.now()),
        // No retry could succeed, and the namespace could never be deleted.
        Err(source) if advice_of(&source) == Advice::Stalled => {
            tracing::warn!(%tenant, sender = %name, %pool, error = %source, "the sender stays in the Messaging Service: the provider refuses to remove it");
            Ok(())
        }
        Err(source) => Err(NotChanged::removing(pool, source).into()),
    }
}

fn may_show_up(recorded: &MembershipStatus, pool: PoolId, now: Timestamp) -> Result<(), Failure> {
    let until = plan::open_until(recorded).map(|until| until.duration_since(now));
    let after = until.and_then(|left| Duration::try_from(left).ok()).filter(|left| !left.is_zero());
    after.map_or(Ok(()), |after| Err(MayShowUp { pool, after }.into()))
}

/// Returns whether the sender was there.
async fn remove(
    account: &dyn AccountAdmin,
    pool: &PoolId,
    number: &messaging::address::PhoneNumber,
) -> Result<bool, messaging::provider::ProviderError> {
    let (Some(pools), Some(sender)) = (account.pools(), account.find_sender(number).await?) else { return Ok(false) };
    let held = pools.find_pool(pool).await?.pool.is_some_and(|pool| pool.holds(&sender.handle));
    // Also where the provider does not show it yet.
    pools.remove_member(pool, &sender.handle).await.map(|()| held)
}

#[cfg(test)]
mod tests;
