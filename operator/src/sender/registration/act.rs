//! The writes: each at most one at the provider, and none before the status counts it.

use std::time::Duration;

use crds::condition::{ONLINE, reason};
use crds::{CodeAttempt, CodeSecretRef, RegistrationAttempt, RegistrationStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::address::PhoneNumber;
use messaging::failure::FailureClass;
use messaging::provider::ProviderError;
use messaging::provider::admin::{CodeBy, Registered, Registration, RegistrationAdmin, Verified};
use messaging::secret::Secret;
use serde_json::json;

use super::keep_newest;
use super::plan::{AGAIN_AFTER, Kind, MOST_ATTEMPTS, MOST_CODES, NoCode, WINDOW};
use crate::reconcile::error::{Advice, Explain, Failure, advice_of, may_have_been_done};
use crate::reconcile::events;
use crate::reconcile::progress::Progress;
use crate::reconcile::redact;
use crate::sender::SenderContext;
use crate::sender::provider::Registration as Wanted;

/// How many characters of the provider's words are kept.
const LONGEST_REFUSAL: usize = 300;
/// What is refused as taken, in words for the person who can change that.
const TAKEN: &str = "the number is registered with WhatsApp already, in another account, with another provider or in an app; release it there, or correct spec.phoneNumber and spec.provider.twilio.accountSid";

/// Why the registration does not go on by itself.
#[derive(Debug, thiserror::Error)]
pub enum Held {
    #[error("WhatsApp sent a verification code to {number} {by}: {remedy}")]
    AwaitsCode { number: PhoneNumber, by: &'static str, remedy: String },
    #[error(
        "the provider refused to register the number: {why}; correct {path}, or what the message names at the provider; it is tried again when the spec changes, when the annotation {} asks for it, and at {until}",
        crds::annotation::RECONCILE_REQUESTED_AT
    )]
    Refused { path: &'static str, why: String, until: Timestamp },
    #[error("{}, and one more may lock the number out; it goes on by itself at {until}", exhausted(*kind))]
    Exhausted { kind: Kind, until: Timestamp, after: Duration },
    #[error(
        "the number was registered at {since}, and the account does not have it any more; it is not registered again by itself; restore it at the provider, or remove {path} and declare it again to have the number registered anew"
    )]
    Gone { path: &'static str, since: Timestamp },
    #[error(
        "the credentials may not {what}; put the account's current authToken into the secret, which may, or give the API key {permission}"
    )]
    NotAllowed { what: &'static str, permission: &'static str, source: ProviderError },
    #[error("the provider could not {what}")]
    Failed { what: &'static str, source: ProviderError },
}

fn exhausted(kind: Kind) -> String {
    match kind {
        Kind::Registrations => format!(
            "the number was registered {MOST_ATTEMPTS} times in 72 hours, or the provider said that this was too often; see to it in the provider's console why it does not come online"
        ),
        Kind::Codes => format!(
            "{MOST_CODES} verification codes were passed on in 72 hours, or the provider said that these were too many; put the newest code into the Secret"
        ),
    }
}

impl Held {
    pub(super) fn awaits_code(number: &PhoneNumber, wanted: &Wanted, path: &str, why: NoCode) -> Self {
        let by = match wanted.code_by {
            CodeBy::Sms => "in a text message",
            CodeBy::Call => "in a call",
        };
        let secret = wanted.code.as_ref();
        let place = secret.map(|CodeSecretRef { name, key }| format!("the key {key} of the secret {name:?}"));
        let place = place.unwrap_or_default();
        let remedy = match why {
            NoCode::NotNamed => {
                format!(
                    "name a Secret for it in {path}.verificationCodeSecretRef, or enter it in the provider's console"
                )
            }
            NoCode::Missing => format!("put it into {place}"),
            NoCode::Malformed => {
                format!("put it into {place}, which holds something else now: expected 6 digits")
            }
            NoCode::Tried { at, why } => format!(
                "put the newest one into {place}; the one there was passed on at {at}, and {}; where no new one arrives, request it in the provider's console",
                if why.is_empty() { "what became of it is not known" } else { &why }
            ),
        };
        Self::AwaitsCode { number: number.clone(), by, remedy }
    }

    pub(super) fn exhausted(kind: Kind, until: Timestamp, now: Timestamp, context: &SenderContext) -> Self {
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        Self::Exhausted { kind, until, after: left.min(context.settings.poll_interval) }
    }

    fn of(what: &'static str, registrations: &dyn RegistrationAdmin, source: ProviderError) -> Self {
        match source.is_unauthorized() {
            true => Self::NotAllowed { what, permission: registrations.permission(), source },
            false => Self::Failed { what, source },
        }
    }
}

impl Explain for Held {
    fn advice(&self) -> Advice {
        match self {
            // A change of its Secret triggers a reconcile.
            Self::AwaitsCode { .. } | Self::Gone { .. } => Advice::Waiting { after: None },
            Self::Exhausted { after, .. } => Advice::Waiting { after: Some(*after) },
            Self::Refused { .. } => Advice::Stalled,
            Self::NotAllowed { source, .. } | Self::Failed { source, .. } => advice_of(source),
        }
    }
    fn reason(&self) -> &'static str {
        match (self, self.advice()) {
            (Self::AwaitsCode { .. }, _) => reason::AWAITS_CODE,
            (Self::Exhausted { .. }, _) => reason::ATTEMPTS_EXHAUSTED,
            (Self::Gone { .. }, _) => reason::SENDER_NOT_FOUND,
            (_, Advice::Stalled) => reason::PROVIDER_REFUSED,
            (_, Advice::Waiting { .. } | Advice::Transient { .. }) => reason::PROVIDER_UNAVAILABLE,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        Some(ONLINE)
    }
}

/// Who tries, and where.
#[derive(Clone, Copy)]
pub(super) struct Try<'a> {
    pub sender: &'a WhatsAppSender,
    pub registrations: &'a dyn RegistrationAdmin,
    pub context: &'a SenderContext,
}

impl Try<'_> {
    /// Counts an attempt before it is made.
    async fn record(
        self,
        intended: &RegistrationStatus,
        progress: &mut Progress<WhatsAppSenderStatus>,
    ) -> Result<(), Failure> {
        self.context.registrations.record(self.sender, intended).await?;
        progress.wrote("registration", json!(intended));
        Ok(())
    }
}

/// Registers the number.
pub(super) async fn register(
    tried: Try<'_>,
    registration: &Registration,
    path: &'static str,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    let now = tried.context.clock.now();
    let before = progress.status.registration.clone();
    let mut known = before.clone().unwrap_or_default();
    let generation = tried.sender.metadata.generation.unwrap_or_default();
    known.attempts.push(RegistrationAttempt { at: Time(now), generation, refusal: None });
    keep_newest(&mut known.attempts);
    tried.record(&known, progress).await?;
    let answer = tried.registrations.register(registration).await;
    let refused = |known: &mut RegistrationStatus, why: &str| {
        let why = cut(why);
        if let Some(newest) = known.attempts.last_mut() {
            newest.refusal = Some(why.clone());
        }
        Held::Refused { path, why, until: now + AGAIN_AFTER }
    };
    let what = "register the number";
    let (known, ended) = match answer {
        Ok(Registered::Begun) => {
            let number = &registration.number;
            progress.changed(events::reason::REGISTRATION_BEGAN, format!("{number} is being registered with WhatsApp"));
            (Some(known), Ok(()))
        }
        Ok(Registered::IsTaken) => {
            let held = refused(&mut known, TAKEN);
            (Some(known), Err(held))
        }
        Ok(Registered::TooOften) => {
            known.locked_until = Some(Time(now + WINDOW));
            (Some(known), Err(Held::exhausted(Kind::Registrations, now + WINDOW, now, tried.context)))
        }
        Err(source) if was_not_tried(&source) => (before, Err(Held::of(what, tried.registrations, source))),
        Err(source) if may_have_been_done(&source) => (Some(known), Err(Held::Failed { what, source })),
        Err(source) => {
            let held = refused(&mut known, &source.to_string());
            (Some(known), Err(held))
        }
    };
    progress.status.registration = known;
    ended.map_err(Failure::from)
}

/// Passes a code on. Returns whether it is under examination now, and not refused at once.
pub(super) async fn pass_on(
    tried: Try<'_>,
    handle: &str,
    (code, digest): (&Secret, String),
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<bool, Failure> {
    let now = tried.context.clock.now();
    let before = progress.status.registration.clone();
    let mut known = before.clone().unwrap_or_default();
    known.codes.push(CodeAttempt { at: Time(now), digest, refusal: None });
    keep_newest(&mut known.codes);
    tried.record(&known, progress).await?;
    let what = "take the verification code";
    let answer = tried.registrations.verify(handle, code).await;
    if let Ok(Verified::TooOften) = answer {
        known.locked_until = Some(Time(now + WINDOW));
    }
    progress.status.registration = match &answer {
        Err(source) if was_not_tried(source) => before,
        _ => Some(known),
    };
    match answer {
        Ok(Verified::Submitted) => {
            progress.changed(events::reason::CODE_PASSED_ON, "the verification code was passed on to WhatsApp");
            Ok(true)
        }
        Ok(Verified::TooOften) => {
            refuse_code(progress, "the provider said that there were too many attempts");
            Ok(false)
        }
        Err(source) if was_not_tried(&source) => Err(Held::of(what, tried.registrations, source).into()),
        Err(source) if may_have_been_done(&source) => Err(Held::Failed { what, source }.into()),
        Err(source) => {
            refuse_code(progress, &format!("the provider refused it: {source}"));
            Ok(false)
        }
    }
}

/// The code that was passed on last was not accepted.
pub(super) fn refuse_code(progress: &mut Progress<WhatsAppSenderStatus>, why: &str) {
    let known = progress.status.registration.get_or_insert_default();
    let Some(newest) = known.codes.last_mut() else { return };
    newest.refusal = Some(cut(why));
    let text = format!("the verification code that was passed on at {}: {why}", newest.at.0);
    progress.warn(events::reason::CODE_REFUSED, text);
}

/// Whether WhatsApp surely heard nothing of it: it was not sent, the credentials did not suffice, or Twilio's own limit
/// on calls held it back.
fn was_not_tried(error: &ProviderError) -> bool {
    match error.http_status {
        Some(status) => matches!(status, 401 | 403 | 429),
        None => error.failure.class == FailureClass::Retry,
    }
}

fn cut(text: &str) -> String {
    redact::redact(text).chars().take(LONGEST_REFUSAL).collect()
}
