//! The registration of a number with WhatsApp, where the spec asks for it and the account does not have the number.
//!
//! Before anything is tried, the status says so. Whatever is interrupted, every attempt counts, and each code is passed
//! on once: [`mod@plan`] decides (pure), [`mod@act`] does it, [`mod@code`] reads what a person wrote down, and
//! [`mod@record`] writes the status in between. A number is never given up, and never registered again once it was
//! online.

pub mod act;
mod code;
pub mod plan;
pub mod record;

use std::time::Duration;

use crds::condition::{ONLINE, reason};
use crds::{RegistrationStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use messaging::address::PhoneNumber;
use messaging::provider::AccountAdmin as _;
use messaging::provider::admin::{self, Stage, WebhookTargets};
use messaging::secret::Secret;

use self::act::{Held, Try};
use self::plan::{Asked, CHECKED_WITHIN, Code, KEPT, Step, WINDOW, plan};
use super::SenderContext;
use super::observe::Observed;
use super::plan::Trouble;
use super::provider::Registration;
use crate::accounts::Account;
use crate::reconcile::conditions::State;
use crate::reconcile::error::Failure;
use crate::reconcile::events;
use crate::reconcile::progress::Progress;

/// How soon to look whether something has happened, at first.
const SOON: Duration = Duration::from_secs(5);

/// What the spec says.
#[derive(Debug, Clone)]
pub struct Wish {
    pub number: PhoneNumber,
    /// `None` where the operator does not register the number.
    pub registration: Option<Box<Registration>>,
    /// Where the sender's webhooks go.
    pub webhooks: WebhookTargets,
    /// The keys of the account's webhooks.
    pub keys: Vec<Secret>,
}

/// Takes the next step. Returns when to take the one after it, and nothing where there is nothing to do.
pub async fn follow(
    sender: &WhatsAppSender,
    wish: &Wish,
    (observed, trouble): (&Observed, Option<&Trouble>),
    account: &Account,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<Option<Duration>, Failure> {
    let now = context.clock.now();
    let (Some(wanted), Some(registrations)) = (&wish.registration, account.registrations()) else {
        forget(now, progress);
        return Ok(None);
    };
    let found = observed.sender.as_ref();
    let is_kept_out = progress.paused || matches!(trouble, Some(Trouble::Taken(_)));
    let awaits_code = found.is_some_and(|found| found.stage == Stage::AwaitsCode) && !is_kept_out;
    let (seen, code) = match awaits_code {
        true => code::read(sender, wanted, &wish.keys, &*context.secrets).await?,
        false => (Code::NotNamed, None),
    };
    let next = |progress: &Progress<WhatsAppSenderStatus>| {
        let asked = Asked {
            is_wanted: true,
            is_kept_out,
            known: &progress.status.registration.clone().unwrap_or_default(),
            code: &seen,
            generation: sender.metadata.generation.unwrap_or_default(),
            is_requested: is_requested(sender),
            now,
        };
        plan(&asked, found)
    };
    let path = "spec.provider.twilio.registration";
    let tried = Try { sender, registrations, context };
    loop {
        return match next(progress) {
            Step::Nothing => Ok(None),
            Step::Registered => {
                registered(now, progress);
                Ok(None)
            }
            Step::Register => {
                let Registration { code_by, business_account, profile, code: _ } = Registration::clone(wanted);
                let (number, webhooks) = (wish.number.clone(), wish.webhooks.clone());
                let registration = admin::Registration { number, code_by, business_account, profile, webhooks };
                act::register(tried, &registration, path, progress).await?;
                under_way(progress, "the number is being registered with WhatsApp");
                Ok(Some(SOON))
            }
            Step::AwaitSender { until } => {
                under_way(
                    progress,
                    &format!(
                        "the number is being registered with WhatsApp, and the provider does not show it yet; if it does not until {until}, it is registered again"
                    ),
                );
                Ok(Some(later(progress, now, context)))
            }
            Step::AwaitProvider => {
                let status = found.map(|found| found.status.as_str()).unwrap_or_default();
                let text = format!("the number is being registered with WhatsApp: the provider reports {status}");
                under_way(progress, &text);
                Ok(Some(later(progress, now, context)))
            }
            Step::AwaitVerdict { until } => {
                under_way(progress, &checking(until));
                Ok(Some(SOON))
            }
            Step::CodeRefused => {
                act::refuse_code(progress, "WhatsApp did not accept it");
                continue;
            }
            Step::PassOn { digest } => {
                let (Some(found), Some(code)) = (found, &code) else { return Ok(None) };
                if !act::pass_on(tried, &found.handle, (code, digest), progress).await? {
                    continue;
                }
                under_way(progress, &checking(now + CHECKED_WITHIN));
                Ok(Some(SOON))
            }
            Step::AwaitCode(why) => Err(Held::awaits_code(&wish.number, wanted, path, why).into()),
            Step::Refused { why, until } => Err(Held::Refused { path, why, until }.into()),
            Step::Exhausted { kind, until } => Err(Held::exhausted(kind, until, now, context).into()),
            Step::Gone { since } => Err(Held::Gone { path, since }.into()),
        };
    }
}

/// From now on it is not registered again. Told where it was the operator's doing.
fn registered(now: Timestamp, progress: &mut Progress<WhatsAppSenderStatus>) {
    let known = progress.status.registration.get_or_insert_default();
    let is_ours = !known.attempts.is_empty() || !known.codes.is_empty();
    known.registered_at = Some(Time(now));
    if is_ours {
        progress.tell(events::reason::NUMBER_REGISTERED, "the number is registered with WhatsApp, and online");
    }
}

/// Whether a reconcile that goes on with the registration resolves this by itself.
pub fn resolves(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::SenderNotFound | Trouble::AwaitsCode | Trouble::Offline { .. })
}

fn under_way(progress: &mut Progress<WhatsAppSenderStatus>, text: &str) {
    progress.set(ONLINE, State::False, reason::REGISTERING, text);
    progress.not_ready(reason::REGISTERING, text);
}

fn checking(until: Timestamp) -> String {
    format!(
        "WhatsApp checks the verification code that was passed on; if it is a wrong one, another one is taken from {until} on"
    )
}

/// Looks ever more seldom at what takes long.
fn later(progress: &Progress<WhatsAppSenderStatus>, now: Timestamp, context: &SenderContext) -> Duration {
    let known = progress.status.registration.as_ref();
    let attempts = known.iter().flat_map(|known| &known.attempts).map(|attempt| attempt.at.0);
    let codes = known.iter().flat_map(|known| &known.codes).map(|code| code.at.0);
    let waited = attempts.chain(codes).max().map(|since| now.duration_since(since));
    let waited = waited.and_then(|waited| Duration::try_from(waited).ok()).unwrap_or(8 * SOON);
    (waited / 4).max(SOON).min(context.settings.poll_interval.max(SOON))
}

/// Whether a person asks for another look, by an annotation that no look has answered.
fn is_requested(sender: &WhatsAppSender) -> bool {
    let requested = sender.annotations().get(crds::annotation::RECONCILE_REQUESTED_AT);
    let handled = sender.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    requested.is_some() && requested != handled
}

/// Without a registration in the spec, attempts count as long as they would with one, and nothing else is known.
fn forget(now: Timestamp, progress: &mut Progress<WhatsAppSenderStatus>) {
    let Some(known) = progress.status.registration.take() else { return };
    let counts = |at: &Time| now < at.0 + WINDOW;
    let RegistrationStatus { registered_at: _, mut attempts, mut codes, locked_until } = known;
    attempts.retain(|attempt| counts(&attempt.at));
    codes.retain(|code| counts(&code.at));
    let locked_until = locked_until.filter(|until| now < until.0);
    let known = RegistrationStatus { registered_at: None, attempts, codes, locked_until };
    progress.status.registration = (known != RegistrationStatus::default()).then_some(known);
}

/// Keeps the newest.
fn keep_newest<T>(all: &mut Vec<T>) {
    all.drain(..all.len().saturating_sub(KEPT));
}

#[cfg(test)]
mod tests;
