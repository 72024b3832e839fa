//! Decides what to do about a sender, from what was observed: pure.

use crds::condition::{ONLINE, WEBHOOKS_CONFIGURED, reason};
use messaging::id::{PoolId, TenantId};
use messaging::provider::admin::WebhookTargets;

use super::observe::Observed;
use crate::reconcile::error::{Advice, Explain};

/// What the plan depends on besides the observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where this sender's own webhooks should point.
    pub own: WebhookTargets,
    /// Where its Messaging Service's webhooks should point, if the service decides.
    pub of_service: WebhookTargets,
    /// The pool that the spec names.
    pub pool: Option<PoolId>,
    /// The other namespace that owns that pool.
    pub pool_owner: Option<TenantId>,
    /// Nothing may be written at the provider.
    pub paused: bool,
    /// The other sender that has this number, in words that this tenant may read. This one then changes nothing.
    pub taken_by: Option<String>,
}

/// What to do, and what to report.
#[derive(Debug, Default)]
pub struct Plan {
    pub webhooks: Webhooks,
    pub publish: Publish,
    /// Why the sender is not ready even when the plan succeeds.
    pub trouble: Option<Trouble>,
}

/// How the data plane should use a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Publish {
    /// Not at all; what is published of it stays.
    #[default]
    No,
    AsDeclared,
    /// It sends nothing.
    Stopped,
}

/// What to do about the webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Webhooks {
    /// The sender does not exist, or another sender manages its webhooks.
    #[default]
    NotOurs,
    InPlace(WebhookTargets),
    /// Write them.
    Configure(WebhookTargets),
    /// They differ, and may not be written.
    Held {
        found: WebhookTargets,
        wanted: WebhookTargets,
    },
}

/// Why a sender is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error(
        "the account has no WhatsApp sender with this number; register it at the provider, or correct spec.phoneNumber"
    )]
    SenderNotFound,
    #[error("the account has no Messaging Service {0}; correct spec.provider.twilio.messagingServiceSid")]
    ServiceNotFound(PoolId),
    #[error(
        "the sender is not in the Messaging Service {0}; add it to the service's sender pool, or leave messagingServiceSid out"
    )]
    NotInService(PoolId),
    #[error(
        "the sender is in the Messaging Service {0}, which decides where its inbound messages go, and the spec does not name it; set spec.provider.twilio.messagingServiceSid to {0}, or remove the sender from the service's sender pool"
    )]
    InUnnamedService(PoolId),
    #[error("the provider reports the sender as {status}{}", because(reasons))]
    Offline { status: String, reasons: Vec<String> },
    #[error(
        "the Messaging Service {pool} belongs to the namespace {owner}, whose sender named it first, and what customers write goes there; this sender sends nothing, because it could not hear a STOP; move it to a service of its own, or have {owner} give the service up, which takes effect 24 hours after its last sender that names it is gone"
    )]
    PoolTaken { pool: PoolId, owner: TenantId },
    #[error("{0} already manages this number; delete one of the two")]
    Taken(String),
}

fn because(reasons: &[String]) -> String {
    if reasons.is_empty() { "; see the provider's console".to_owned() } else { format!(": {}", reasons.join("; ")) }
}

impl Explain for Trouble {
    fn advice(&self) -> Advice {
        match self {
            // A person resolves it at the provider, which reports nothing: look again in the usual interval.
            Self::SenderNotFound | Self::NotInService(_) | Self::Offline { .. } => Advice::Waiting { after: None },
            Self::ServiceNotFound(_) | Self::InUnnamedService(_) | Self::PoolTaken { .. } | Self::Taken(_) => {
                Advice::Stalled
            }
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::SenderNotFound => reason::SENDER_NOT_FOUND,
            Self::ServiceNotFound(_) | Self::NotInService(_) => reason::REFERENCE_NOT_FOUND,
            Self::InUnnamedService(_) => reason::WEBHOOKS_DRIFTED,
            Self::Offline { .. } => reason::SENDER_OFFLINE,
            Self::PoolTaken { .. } | Self::Taken(_) => reason::CONFLICT,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        match self {
            Self::SenderNotFound | Self::Offline { .. } => Some(ONLINE),
            Self::InUnnamedService(_) | Self::PoolTaken { .. } => Some(WEBHOOKS_CONFIGURED),
            Self::ServiceNotFound(_) | Self::NotInService(_) | Self::Taken(_) => None,
        }
    }
}

pub fn plan(wanted: &Wanted, observed: &Observed) -> Plan {
    if let Some(other) = &wanted.taken_by {
        return Plan { trouble: Some(Trouble::Taken(other.clone())), ..Plan::default() };
    }
    let Some(sender) = &observed.sender else {
        return Plan { trouble: Some(Trouble::SenderNotFound), ..Plan::default() };
    };
    let deciding = observed.service.as_ref().filter(|service| service.decides_webhooks_of(&sender.handle));
    if let (Some(service), Some(owner)) = (deciding, &wanted.pool_owner) {
        let trouble = Trouble::PoolTaken { pool: service.id.clone(), owner: owner.clone() };
        return Plan { webhooks: Webhooks::NotOurs, publish: Publish::Stopped, trouble: Some(trouble) };
    }
    let (found, target) = match deciding {
        Some(service) => (&service.webhooks, &wanted.of_service),
        None => (&sender.webhooks, &wanted.own),
    };
    let webhooks = if found.same_as(target) {
        Webhooks::InPlace(found.clone())
    } else if wanted.paused {
        Webhooks::Held { found: found.clone(), wanted: target.clone() }
    } else {
        Webhooks::Configure(target.clone())
    };
    let unnamed_service =
        observed.unnamed_service.as_ref().filter(|service| service.decides_webhooks_of(&sender.handle));
    let unheard = unnamed_service.map(|service| Trouble::InUnnamedService(service.id.clone()));
    let service_trouble = wanted.pool.as_ref().and_then(|sid| match &observed.service {
        None => Some(Trouble::ServiceNotFound(sid.clone())),
        Some(service) if !service.holds(&sender.handle) => Some(Trouble::NotInService(sid.clone())),
        Some(_) => None,
    });
    let offline = (!sender.online)
        .then(|| Trouble::Offline { status: sender.status.clone(), reasons: sender.offline_reasons.clone() });
    // An offline sender is published, because it may still receive.
    Plan { webhooks, publish: Publish::AsDeclared, trouble: unheard.or(service_trouble).or(offline) }
}

#[cfg(test)]
mod tests;
