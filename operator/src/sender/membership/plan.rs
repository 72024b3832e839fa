//! Decides about a sender's membership: pure.

use crds::MembershipStatus;
use jiff::{SignedDuration, Timestamp};
use messaging::id::PoolId;
use messaging::provider::admin::{PoolObservation, WebhookTargets};

use crate::sender::observe::Observed;
use crate::sender::plan::Webhooks;

/// How long after it was recorded a call that adds the sender may still take effect and be shown: it begins within 10
/// seconds, ends within 30 more, also when its caller is gone, and lists lag by a minute.
pub const SHOWN_WITHIN: SignedDuration = SignedDuration::from_secs(100);

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Add the sender, after pointing the webhooks of this pool at the data plane if there is one: from then on it
    /// decides where the sender's messages go, and it drops them where it points nowhere.
    Join {
        pool: PoolId,
        webhooks: Option<PoolObservation>,
    },
    /// The sender is there. It no longer matters whether an earlier call was answered.
    Confirm,
    /// Remove the sender once its own webhooks are in place, which get what customers write from then on.
    OwnWebhooksFirst(PoolId),
    Leave(PoolId),
    /// An earlier call may still add the sender, which is not asked for any more.
    Wait {
        pool: PoolId,
        until: Timestamp,
    },
    /// The membership is somebody else's from now on.
    Forget,
}

/// What the step depends on besides the observation.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The pool that the spec names.
    pub pool: Option<&'a PoolId>,
    /// Whether the operator keeps the sender there.
    pub is_managed: bool,
    /// The pool that the operator added the sender to, or was about to.
    pub recorded: Option<&'a MembershipStatus>,
    /// Where the pool's webhooks should point, if the pool decides.
    pub of_service: &'a WebhookTargets,
    /// What was decided about the webhooks of the sender, or of the pool that it is in.
    pub webhooks: &'a Webhooks,
    /// Nothing may be written, another sender of the number comes first, or it is being registered.
    pub is_kept_out: bool,
    /// The pool belongs to another namespace. The sender may leave it, and not join it.
    pub is_pool_taken: bool,
    /// Another sender of the number names the recorded pool.
    pub is_named_by_another: bool,
    pub now: Timestamp,
}

/// Until when an unanswered call may still take effect.
pub fn open_until(recorded: &MembershipStatus) -> Option<Timestamp> {
    recorded.asked_at.as_ref().map(|at| at.0 + SHOWN_WITHIN)
}

pub fn plan(asked: &Asked<'_>, observed: &Observed) -> Step {
    let Some(sender) = observed.sender.as_ref().filter(|_| !asked.is_kept_out) else { return Step::Nothing };
    let is_wanted = |recorded: &MembershipStatus| {
        asked.is_managed && asked.pool.is_some_and(|pool| pool.as_str() == recorded.messaging_service_sid)
    };
    match asked.recorded {
        Some(recorded) if !is_wanted(recorded) => leave(asked, recorded, observed),
        recorded => join(asked, recorded, observed, &sender.handle),
    }
}

fn leave(asked: &Asked<'_>, recorded: &MembershipStatus, observed: &Observed) -> Step {
    let pool = PoolId::new(&recorded.messaging_service_sid);
    // Who names it without asking the operator to keep it there, manages it from now on.
    if asked.pool == Some(&pool) || asked.is_named_by_another {
        return Step::Forget;
    }
    let is_in = observed.unnamed_service.as_ref().is_some_and(|service| service.id == pool);
    match (open_until(recorded), asked.webhooks) {
        (Some(until), _) if !is_in && asked.now < until => Step::Wait { pool, until },
        // Also where the provider does not show it: its lists may lag behind what it was told.
        (_, Webhooks::InPlace(_)) => Step::Leave(pool),
        _ => Step::OwnWebhooksFirst(pool),
    }
}

fn join(asked: &Asked<'_>, recorded: Option<&MembershipStatus>, observed: &Observed, handle: &str) -> Step {
    let Some(service) = observed.service.as_ref().filter(|_| asked.is_managed) else { return Step::Nothing };
    if service.holds(handle) {
        let is_open = recorded.is_some_and(|recorded| recorded.asked_at.is_some());
        return if is_open { Step::Confirm } else { Step::Nothing };
    }
    // A sender is in one service at most, and out of another one only a person takes it.
    if asked.is_pool_taken || observed.unnamed_service.is_some() {
        return Step::Nothing;
    }
    let points_elsewhere = !service.defers_to_sender && !service.webhooks.same_as(asked.of_service);
    Step::Join { pool: service.id.clone(), webhooks: points_elsewhere.then(|| service.clone()) }
}
