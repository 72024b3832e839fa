//! Decides what to do about a sender, from what was observed: pure.

use crds::condition::{ONLINE, WEBHOOKS_CONFIGURED, reason};
use messaging::id::{PoolId, TenantId};
use messaging::provider::admin::{Stage, WebhookTargets};

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
    /// A pool that belongs to another namespace: the one that the spec names, or that holds the sender unnamed.
    pub pool_of_another: Option<(PoolId, TenantId)>,
    /// The place and the host of a sink with a private address, where events go to public ones only.
    pub private_sink: Option<(usize, String)>,
    /// Nothing may be written at the provider.
    pub paused: bool,
    /// Nothing of the sender can be read or changed by calls, so a person does it.
    pub is_sandbox: bool,
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

impl Plan {
    /// Whether everything is as it should be.
    pub fn is_nothing(&self) -> bool {
        matches!(self.webhooks, Webhooks::InPlace(_) | Webhooks::ByHand(_)) && self.trouble.is_none()
    }
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
    /// The sender does not exist or is being registered, or another sender manages its webhooks.
    #[default]
    NotOurs,
    InPlace(WebhookTargets),
    /// Write them.
    Configure(WebhookTargets),
    /// A person must do it, and no call can see whether it is done.
    ByHand(WebhookTargets),
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
        "the account has no WhatsApp sender with this number; register it at the provider, have the operator do so with spec.provider.twilio.registration, or correct spec.phoneNumber"
    )]
    SenderNotFound,
    #[error("the account has no Messaging Service {0}; correct spec.provider.twilio.messagingServiceSid")]
    ServiceNotFound(PoolId),
    #[error(
        "the sender is not in the Messaging Service {0}; add it to the service's sender pool, have the operator do so with messagingServiceMembership: Managed, or leave messagingServiceSid out"
    )]
    NotInService(PoolId),
    #[error(
        "the sender is in the Messaging Service {found}, and not in {named}, and a sender is in one at most; remove it from the sender pool of {found} in the provider's console, or set spec.provider.twilio.messagingServiceSid to {found}"
    )]
    InAnotherService { named: PoolId, found: PoolId },
    #[error(
        "the sender is in the Messaging Service {0}, which decides where its inbound messages go, and the spec does not name it; this sender sends nothing, because it could miss a STOP; set spec.provider.twilio.messagingServiceSid to {0}, or remove the sender from the service's sender pool"
    )]
    InUnnamedService(PoolId),
    #[error(
        "WhatsApp waits for the verification code that it sent to the number; enter it in the provider's console, or have the operator pass it on with spec.provider.twilio.registration"
    )]
    AwaitsCode,
    #[error("the provider reports the sender as {status}{}", because(reasons))]
    Offline { status: String, reasons: Vec<String> },
    #[error(
        "the Messaging Service {pool} belongs to the namespace {owner}, whose sender named it first, and what customers write may go there; this sender sends nothing, because it could miss a STOP; move it to a service of its own, or have {owner} give the service up, which takes effect 24 hours after its last sender that names it is gone"
    )]
    PoolTaken { pool: PoolId, owner: TenantId },
    #[error("{0} already manages this number; delete one of the two")]
    Taken(String),
    #[error(
        "spec.events[{index}].http.url: {host} is a private address, and this installation delivers events to public ones only, so these are never delivered; name a public address, or have the platform's team set dataPlane.allowPrivateSinks"
    )]
    PrivateSink { index: usize, host: String },
}

fn because(reasons: &[String]) -> String {
    if reasons.is_empty() { "; see the provider's console".to_owned() } else { format!(": {}", reasons.join("; ")) }
}

impl Explain for Trouble {
    fn advice(&self) -> Advice {
        match self {
            // A person resolves it at the provider, which reports nothing: look again in the usual interval.
            Self::SenderNotFound
            | Self::AwaitsCode
            | Self::NotInService(_)
            | Self::InAnotherService { .. }
            | Self::Offline { .. } => Advice::Waiting { after: None },
            Self::ServiceNotFound(_)
            | Self::InUnnamedService(_)
            | Self::PoolTaken { .. }
            | Self::Taken(_)
            | Self::PrivateSink { .. } => Advice::Stalled,
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::SenderNotFound => reason::SENDER_NOT_FOUND,
            Self::AwaitsCode => reason::AWAITS_CODE,
            Self::ServiceNotFound(_) | Self::NotInService(_) => reason::REFERENCE_NOT_FOUND,
            Self::InUnnamedService(_) => reason::WEBHOOKS_DRIFTED,
            Self::Offline { .. } => reason::SENDER_OFFLINE,
            Self::InAnotherService { .. } | Self::PoolTaken { .. } | Self::Taken(_) => reason::CONFLICT,
            Self::PrivateSink { .. } => reason::INVALID_SPEC,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        match self {
            Self::SenderNotFound | Self::AwaitsCode | Self::Offline { .. } => Some(ONLINE),
            Self::InUnnamedService(_) | Self::PoolTaken { .. } => Some(WEBHOOKS_CONFIGURED),
            Self::ServiceNotFound(_)
            | Self::NotInService(_)
            | Self::InAnotherService { .. }
            | Self::Taken(_)
            | Self::PrivateSink { .. } => None,
        }
    }
}

pub fn plan(wanted: &Wanted, observed: &Observed) -> Plan {
    if let Some(other) = &wanted.taken_by {
        return Plan { trouble: Some(Trouble::Taken(other.clone())), ..Plan::default() };
    }
    let private_sink = wanted.private_sink.clone().map(|(index, host)| Trouble::PrivateSink { index, host });
    if wanted.is_sandbox {
        let webhooks = Webhooks::ByHand(wanted.own.clone());
        return Plan { webhooks, publish: Publish::AsDeclared, trouble: private_sink };
    }
    let Some(sender) = &observed.sender else {
        return Plan { trouble: Some(Trouble::SenderNotFound), ..Plan::default() };
    };
    let deciding = observed.service.as_ref().filter(|service| service.decides_webhooks_of(&sender.handle));
    let (found, target) = match deciding {
        Some(service) => (&service.webhooks, &wanted.of_service),
        None => (&sender.webhooks, &wanted.own),
    };
    let webhooks = if found.same_as(target) {
        Webhooks::InPlace(found.clone())
    } else if sender.stage != Stage::Settled {
        // Nothing is changed in the midst of a registration, where the provider's lists lag and a change may be an
        // attempt.
        Webhooks::NotOurs
    } else if wanted.paused {
        Webhooks::Held { found: found.clone(), wanted: target.clone() }
    } else {
        Webhooks::Configure(target.clone())
    };
    if let Some((pool, owner)) = &wanted.pool_of_another {
        // Whether the pool or its senders decide about webhooks may change any day, and a customer may answer a message
        // that left through the pool at any of its numbers.
        let is_theirs = deciding.is_some_and(|service| service.id == *pool);
        let trouble = Trouble::PoolTaken { pool: pool.clone(), owner: owner.clone() };
        let webhooks = if is_theirs { Webhooks::NotOurs } else { webhooks };
        return Plan { webhooks, publish: Publish::Stopped, trouble: Some(trouble) };
    }
    let unnamed_service =
        observed.unnamed_service.as_ref().filter(|service| service.decides_webhooks_of(&sender.handle));
    let unheard = unnamed_service.map(|service| Trouble::InUnnamedService(service.id.clone()));
    let service_trouble = wanted.pool.as_ref().and_then(|sid| match &observed.service {
        None => Some(Trouble::ServiceNotFound(sid.clone())),
        Some(service) if !service.holds(&sender.handle) => Some(match &observed.unnamed_service {
            Some(other) => Trouble::InAnotherService { named: sid.clone(), found: other.id.clone() },
            None => Trouble::NotInService(sid.clone()),
        }),
        Some(_) => None,
    });
    // Nobody repairs where that service sends what customers write.
    let publish = if unheard.is_some() { Publish::Stopped } else { Publish::AsDeclared };
    let offline = (!sender.online).then(|| match sender.stage {
        Stage::AwaitsCode => Trouble::AwaitsCode,
        Stage::UnderWay | Stage::Settled => {
            Trouble::Offline { status: sender.status.clone(), reasons: sender.offline_reasons.clone() }
        }
    });
    // An offline sender is published, because it may still receive.
    let trouble = match sender.stage {
        Stage::Settled => unheard.or(service_trouble).or(offline).or(private_sink),
        // It joins a service afterwards.
        Stage::UnderWay | Stage::AwaitsCode => unheard.or(offline).or(service_trouble).or(private_sink),
    };
    Plan { webhooks, publish, trouble }
}

#[cfg(test)]
mod tests;
