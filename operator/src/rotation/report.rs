//! Tells where a rotation stands: in the condition, the status and Events.

use std::time::Duration;

use crds::condition::{ROTATING_CREDENTIALS, reason};
use crds::{RotationStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{Rest, Step};
use super::record::Record;
use crate::reconcile::conditions::State;
use crate::reconcile::events;
use crate::reconcile::progress::Progress;

/// Every phase that a status may show.
pub const PHASES: [&str; 11] = [
    "Minting",
    "Verifying",
    "CreatingToken",
    "PromotingToken",
    reason::PUBLISHING,
    "AwaitingAck",
    "Overlap",
    "Revoking",
    "LookingForLostKeys",
    reason::IDLE,
    reason::HELD,
];

/// How soon to look again at what changes by itself.
const SOON: Duration = Duration::from_secs(2);
/// How soon to try again what failed.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Minting,
    Verifying,
    CreatingToken,
    PromotingToken,
    Publishing,
    Revoking,
    Resting(Rest),
    /// It is tried again.
    Failing {
        at: Box<Phase>,
        why: String,
    },
}

impl Phase {
    /// The phase in which a step is the next one.
    pub fn of(step: &Step) -> Self {
        match step {
            Step::Begin { .. } | Step::Replace | Step::FindLost | Step::Mint => Self::Minting,
            Step::Verify | Step::DropNext => Self::Verifying,
            Step::CreateToken | Step::StoreToken | Step::WithdrawToken => Self::CreatingToken,
            Step::Promote | Step::MoveToken | Step::EndToken => Self::PromotingToken,
            Step::Release | Step::LetGo | Step::TakeHold => Self::Publishing,
            Step::Revoke { .. } | Step::Forget => Self::Revoking,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Minting => "Minting",
            Self::Verifying => "Verifying",
            Self::CreatingToken | Self::Resting(Rest::Settling { .. }) => "CreatingToken",
            Self::PromotingToken => "PromotingToken",
            Self::Publishing | Self::Resting(Rest::Publishing) => reason::PUBLISHING,
            Self::Revoking => "Revoking",
            Self::Resting(Rest::Idle { .. }) => reason::IDLE,
            Self::Resting(Rest::AwaitingAck { .. }) => "AwaitingAck",
            Self::Resting(Rest::Overlap { .. }) => "Overlap",
            Self::Resting(Rest::Looking { .. }) => "LookingForLostKeys",
            Self::Resting(Rest::Held(_)) => reason::HELD,
            Self::Failing { at, .. } => at.reason(),
        }
    }

    /// For the column.
    fn summary(&self) -> String {
        match self {
            Self::Resting(Rest::AwaitingAck { replicas, total }) => {
                let first = replicas.first().map(String::as_str).unwrap_or_default();
                format!("AwaitingAck {first} ({}/{total})", total.saturating_sub(replicas.len()))
            }
            Self::Resting(Rest::Held(held)) => format!("Held {}", held.reason()),
            other => other.reason().to_owned(),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Resting(Rest::Idle { next: Some(next) }) => format!("the next rotation begins at {next}"),
            Self::Resting(Rest::AwaitingAck { replicas, total }) => {
                format!("waiting for {} of {total} replicas: {}", replicas.len(), replicas.join(", "))
            }
            Self::Resting(Rest::Overlap { until }) => format!("the old key is revoked at {until}"),
            Self::Resting(Rest::Looking { at }) => {
                format!("a key may exist whose secret was lost; the account's keys are looked through again at {at}")
            }
            Self::Resting(Rest::Settling { until }) => {
                format!("the answer about the next auth token was lost; another one is created at {until}")
            }
            Self::Resting(Rest::Held(held)) => held.to_string(),
            Self::Failing { why, .. } => format!("{why}; trying again"),
            _ => String::new(),
        }
    }
}

/// When to look again; `None`: in the usual interval.
pub fn again(phase: &Phase, now: Timestamp) -> Option<Duration> {
    let until = |at: Timestamp| at.duration_since(now).try_into().unwrap_or(Duration::ZERO);
    match phase {
        Phase::Resting(Rest::Idle { next }) => next.map(until),
        Phase::Resting(Rest::Overlap { until: at } | Rest::Looking { at } | Rest::Settling { until: at }) => {
            Some(until(*at))
        }
        Phase::Resting(Rest::Held(_)) => None,
        Phase::Failing { .. } => Some(AGAIN),
        _ => Some(SOON),
    }
}

/// Tells of one sender what another one told, that acts for both. Returns when to look again.
pub fn follow(leader: &WhatsAppSender, progress: &mut Progress<WhatsAppSenderStatus>) -> Option<Duration> {
    let status = leader.status.as_ref();
    let rotation = status.and_then(|status| status.rotation.as_ref())?;
    let told = status.into_iter().flat_map(|status| &status.conditions).find(|told| told.type_ == ROTATING_CREDENTIALS);
    let phase = PHASES.into_iter().find(|phase| *phase == rotation.phase).unwrap_or(reason::PUBLISHING);
    progress.status.rotation = Some(rotation.clone());
    progress.set(ROTATING_CREDENTIALS, state_of(phase), phase, told.map_or("", |told| told.message.as_str()));
    (phase != reason::IDLE && phase != reason::HELD).then_some(AGAIN)
}

fn state_of(phase: &str) -> State {
    if phase == reason::IDLE { State::False } else { State::True }
}

/// `None`: nothing is rotated.
pub fn report(standing: Option<(&Record, &Phase)>, progress: &mut Progress<WhatsAppSenderStatus>) {
    let Some((record, phase)) = standing else {
        if progress.status.rotation.take().is_some() {
            progress.set(
                ROTATING_CREDENTIALS,
                State::False,
                reason::IDLE,
                "no sender of the secret asks for a rotation",
            );
        }
        return;
    };
    let before = progress.status.rotation.take();
    let status = RotationStatus {
        phase: phase.reason().to_owned(),
        summary: phase.summary(),
        began_at: record.began_at.map(Time),
        key: record.key.as_ref().map(|key| key.id.clone()),
    };
    let was = before.as_ref().map_or(reason::IDLE, |before| before.phase.as_str());
    let message = phase.message();
    if phase.reason() == reason::HELD && before.as_ref().is_none_or(|before| before.summary != status.summary) {
        progress.warn(events::reason::ROTATION_HELD, message.clone());
    } else if was != status.phase && phase.reason() == reason::IDLE {
        progress.tell(events::reason::CREDENTIALS_ROTATED, message.clone());
    } else if before.as_ref().and_then(|before| before.began_at.clone()) != status.began_at {
        let text = if record.immediately {
            "a rotation of the credentials begins; the old ones end without an overlap, once every replica uses the new ones"
        } else {
            "a rotation of the credentials begins"
        };
        progress.tell(events::reason::ROTATION_BEGAN, text);
    }
    progress.set(ROTATING_CREDENTIALS, state_of(phase.reason()), phase.reason(), &message);
    progress.status.rotation = Some(status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::held::Held;

    #[test]
    fn every_phase_is_one_of_those_that_are_counted_and_says_whom_it_waits_for() {
        let at = Timestamp::UNIX_EPOCH;
        let waiting = Rest::AwaitingAck { replicas: vec!["a".into(), "b".into()], total: 3 };
        let rests = [
            Rest::Idle { next: Some(at) },
            Rest::Publishing,
            waiting.clone(),
            Rest::Settling { until: at },
            Rest::Overlap { until: at },
            Rest::Looking { at },
            Rest::Held(Held::SecondaryInUse),
        ];
        let steps = [Step::Mint, Step::Verify, Step::CreateToken, Step::Promote, Step::LetGo, Step::Forget];
        for phase in rests.map(Phase::Resting).into_iter().chain(steps.iter().map(Phase::of)) {
            assert!(PHASES.contains(&phase.reason()), "{phase:?}");
            let failing = Phase::Failing { at: Box::new(phase.clone()), why: "no answer".into() };
            assert_eq!((failing.reason(), failing.message().as_str()), (phase.reason(), "no answer; trying again"));
        }
        let waiting = Phase::Resting(waiting);
        assert_eq!(waiting.summary(), "AwaitingAck a (1/3)");
        assert_eq!(waiting.message(), "waiting for 2 of 3 replicas: a, b");
    }
}
