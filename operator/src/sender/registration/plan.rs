//! Decides about the registration of a number: pure.
//!
//! WhatsApp counts what is tried, and locks a number out for days after too many attempts. So attempts are counted here
//! first, and each code is passed on once.

use crds::{CodeAttempt, RegistrationAttempt, RegistrationStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::{SenderObservation, Stage};

/// The time in which attempts count. Meta allows 10 requests to register a number in a moving window of this length,
/// and then none for as long. (Meta docs, registering a phone number.)
pub const WINDOW: SignedDuration = SignedDuration::from_hours(72);
/// How often a number is registered in [`WINDOW`]. What Twilio makes of one call is not documented, so this and
/// [`MOST_CODES`], ours, are below Meta's limit together.
pub const MOST_ATTEMPTS: usize = 3;
/// How many codes are passed on in [`WINDOW`].
pub const MOST_CODES: usize = 5;
/// How many attempts of each kind are remembered, so that a code is known for longer than [`WINDOW`].
pub const KEPT: usize = 8;

/// How long after it was recorded a registration may take effect and be shown.
pub const SHOWN_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// How long after it was recorded a code may be under examination although the provider still shows that it waits for
/// one: the call begins within 10 seconds, ends within 30 more, and lists lag by a minute.
pub const CHECKED_WITHIN: SignedDuration = SignedDuration::from_secs(100);
/// How long after a refusal the same is tried again, where nobody asks for it sooner.
pub const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What the Secret says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The spec names no Secret.
    NotNamed,
    /// The Secret or its key does not exist, or is empty.
    Missing,
    /// It is not 6 digits.
    Malformed,
    /// The code's digests: the first one with the key in use.
    Given(Vec<String>),
}

/// Why there is no code to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCode {
    NotNamed,
    Missing,
    Malformed,
    /// The one in the Secret was passed on before.
    Tried {
        at: Timestamp,
        why: String,
    },
}

/// What there were too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Registrations,
    Codes,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// It is online. From now on it is not registered again.
    Registered,
    Register,
    /// An earlier call may still take effect.
    AwaitSender {
        until: Timestamp,
    },
    /// The provider or WhatsApp work on it.
    AwaitProvider,
    AwaitCode(NoCode),
    /// The code that was passed on is under examination.
    AwaitVerdict {
        until: Timestamp,
    },
    /// WhatsApp waits for a code again, so it did not accept the last one.
    CodeRefused,
    PassOn {
        digest: String,
    },
    /// The provider refused, and nothing has changed since.
    Refused {
        why: String,
        until: Timestamp,
    },
    /// There were so many attempts that another one might lock the number out.
    Exhausted {
        kind: Kind,
        until: Timestamp,
    },
    /// The number was registered, and the account does not have it any more.
    Gone {
        since: Timestamp,
    },
}

/// What the step depends on besides the observation.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whether the spec asks for a registration.
    pub is_wanted: bool,
    /// Nothing may be written, or another sender of the number comes first.
    pub is_kept_out: bool,
    pub known: &'a RegistrationStatus,
    /// What the Secret says. It matters only while WhatsApp waits for a code.
    pub code: &'a Code,
    /// The generation of the spec.
    pub generation: i64,
    /// A person asks to look again now.
    pub is_requested: bool,
    pub now: Timestamp,
}

pub fn plan(asked: &Asked<'_>, sender: Option<&SenderObservation>) -> Step {
    if !asked.is_wanted || asked.is_kept_out {
        return Step::Nothing;
    }
    match sender {
        None => register(asked),
        Some(SenderObservation { online: true, .. }) => {
            if asked.known.registered_at.is_none() {
                Step::Registered
            } else {
                Step::Nothing
            }
        }
        Some(SenderObservation { stage: Stage::UnderWay, .. }) => Step::AwaitProvider,
        Some(SenderObservation { stage: Stage::AwaitsCode, .. }) => verify(asked),
        Some(SenderObservation { stage: Stage::Settled, .. }) => Step::Nothing,
    }
}

fn register(asked: &Asked<'_>) -> Step {
    let (known, now) = (asked.known, asked.now);
    if let Some(since) = &known.registered_at {
        return Step::Gone { since: since.0 };
    }
    if let Some(until) = locked_until(known, now) {
        return Step::Exhausted { kind: Kind::Registrations, until };
    }
    match known.attempts.last() {
        Some(RegistrationAttempt { at, refusal: None, .. }) if now < at.0 + SHOWN_WITHIN => {
            return Step::AwaitSender { until: at.0 + SHOWN_WITHIN };
        }
        Some(RegistrationAttempt { at, refusal: Some(why), generation })
            if *generation == asked.generation && !asked.is_requested && now < at.0 + AGAIN_AFTER =>
        {
            return Step::Refused { why: why.clone(), until: at.0 + AGAIN_AFTER };
        }
        _ => {}
    }
    let times = known.attempts.iter().map(|attempt| attempt.at.0);
    match full_until(times, MOST_ATTEMPTS, now) {
        Some(until) => Step::Exhausted { kind: Kind::Registrations, until },
        None => Step::Register,
    }
}

fn verify(asked: &Asked<'_>) -> Step {
    let (known, now) = (asked.known, asked.now);
    if let Some(CodeAttempt { at, refusal: None, .. }) = known.codes.last() {
        let until = at.0 + CHECKED_WITHIN;
        return if now < until { Step::AwaitVerdict { until } } else { Step::CodeRefused };
    }
    if let Some(until) = locked_until(known, now) {
        return Step::Exhausted { kind: Kind::Codes, until };
    }
    let digests = match asked.code {
        Code::NotNamed => return Step::AwaitCode(NoCode::NotNamed),
        Code::Missing => return Step::AwaitCode(NoCode::Missing),
        Code::Malformed => return Step::AwaitCode(NoCode::Malformed),
        Code::Given(digests) => digests,
    };
    if let Some(tried) = known.codes.iter().rev().find(|tried| digests.contains(&tried.digest)) {
        let why = tried.refusal.clone().unwrap_or_default();
        return Step::AwaitCode(NoCode::Tried { at: tried.at.0, why });
    }
    match (full_until(known.codes.iter().map(|code| code.at.0), MOST_CODES, now), digests.first()) {
        (Some(until), _) => Step::Exhausted { kind: Kind::Codes, until },
        (None, Some(digest)) => Step::PassOn { digest: digest.clone() },
        (None, None) => Step::AwaitCode(NoCode::Missing),
    }
}

fn locked_until(known: &RegistrationStatus, now: Timestamp) -> Option<Timestamp> {
    known.locked_until.as_ref().map(|until| until.0).filter(|until| now < *until)
}

/// When the next attempt may be made; `None` where that is now. The times are in order.
fn full_until(times: impl DoubleEndedIterator<Item = Timestamp>, most: usize, now: Timestamp) -> Option<Timestamp> {
    times.rev().nth(most - 1).map(|at| at + WINDOW).filter(|until| now < *until)
}
