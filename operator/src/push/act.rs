//! Sets a sender's template events up, takes them down, and tells where that stands.

use std::time::Duration;

use crds::condition::{TEMPLATE_EVENTS_CONFIGURED, reason};
use crds::{TemplateEventsStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use messaging::config::ProviderAccount;
use messaging::id::SenderName;
use messaging::provider::admin::StreamAdmin;
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::board::Board;
use super::plan::{Created, Rest, Seen, Step, Tests, again, plan};
use super::{observe, wish};
use crate::reconcile::conditions::State;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure, advice_of};
use crate::reconcile::events;
use crate::reconcile::kind::{Id, tenant_of};
use crate::reconcile::progress::Progress;
use crate::reconcile::redact;
use crate::sender::SenderContext;

/// How many steps one reconcile takes at most. Setting everything up and taking an old one down has fewer.
const STEPS: usize = 16;
/// How soon to go on once the intent is recorded.
const RECORDED: Duration = Duration::from_millis(100);
/// How soon to try again what failed and may succeed later.
const AGAIN: Duration = Duration::from_secs(30);

/// What could not be done. None of it makes the sender unready.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(
        "the provider refused to {what}; make sure that the account may use Event Streams, and that nothing else uses what the operator made there"
    )]
    Refused { what: &'static str, source: ProviderError },
    #[error("the provider could not be asked to {what}; trying again")]
    Unavailable { what: &'static str, source: ProviderError },
    #[error(transparent)]
    Kubernetes(#[from] KubernetesFailure),
    #[error("the provider has no events about templates; remove spec.provider.twilio.templateEvents")]
    Unsupported,
}

impl Trouble {
    fn of(what: &'static str) -> impl FnOnce(ProviderError) -> Self {
        move |source| match advice_of(&source) {
            Advice::Stalled => Self::Refused { what, source },
            Advice::Waiting { .. } | Advice::Transient { .. } => Self::Unavailable { what, source },
        }
    }
}

impl Explain for Trouble {
    fn advice(&self) -> Advice {
        match self {
            Self::Refused { source, .. } | Self::Unavailable { source, .. } => advice_of(source),
            Self::Kubernetes(failure) => failure.advice(),
            Self::Unsupported => Advice::Stalled,
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => reason::PROVIDER_REFUSED,
            Self::Unavailable { .. } => reason::PROVIDER_UNAVAILABLE,
            Self::Kubernetes(failure) => failure.reason(),
            Self::Unsupported => reason::INVALID_SPEC,
        }
    }
}

/// How a run of steps ended.
enum Ended {
    Resting(Rest),
    /// The step would change something, and nothing may be changed.
    Paused,
}

/// The name of what is ours at the provider. Exactly this is ours, and nothing that only begins with it.
fn name_of_ours(sender: &WhatsAppSender) -> String {
    format!("whatsapp-operator/{}", sender.uid().unwrap_or_default())
}

/// Brings the account's template events closer to what its senders ask for. Whatever happens, the rest of the sender's
/// reconcile does not depend on it. Returns when to look again.
pub async fn configure(
    sender: &WhatsAppSender,
    Id { tenant, name }: &Id<SenderName>,
    provider: &ProviderAccount,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Option<Duration> {
    let leader = wish::leader(sender, &context.watched.senders.stores.all()).filter(|_| wish::asks(sender));
    let leads = leader.as_ref().is_some_and(|leader| leader.uid() == sender.uid());
    if !leads {
        // It may have acted before, or have been about to.
        if progress.status.template_events.is_some() {
            match take_down(sender, provider, context, progress.paused).await {
                Ok(Ended::Resting(_)) => {
                    progress.status.template_events = None;
                    progress.tell(
                        events::reason::TEMPLATE_EVENTS_REMOVED,
                        "the provider tells of no approvals here any more",
                    );
                }
                Ok(Ended::Paused) => {}
                Err(trouble) => {
                    tell_trouble(&trouble, progress);
                    return Some(AGAIN);
                }
            }
        }
        match leader {
            Some(leader) => follow(&leader, progress),
            None if has_condition(sender) => progress.withdraw(TEMPLATE_EVENTS_CONFIGURED),
            None => {}
        }
        return None;
    }
    // Before anything is made there, the status says that something may be: whoever takes over looks for it.
    if sender.status.as_ref().is_none_or(|status| status.template_events.is_none()) {
        progress.status.template_events = Some(TemplateEventsStatus::default());
        progress.set(TEMPLATE_EVENTS_CONFIGURED, State::False, reason::PROGRESSING, "about to be set up");
        return Some(RECORDED);
    }
    let home = WebhookHome { public_base_url: &context.settings.public_base_url, tenant, sender: name };
    let now = context.clock.now();
    let before = progress.status.template_events.clone().unwrap_or_default();
    match set_up(sender, provider, context, &home, &before, progress.paused).await {
        Ok((ended, status, url)) => {
            progress.status.template_events = Some(status);
            report(&ended, &url, now, progress)
        }
        Err((trouble, status)) => {
            progress.status.template_events = Some(status);
            tell_trouble(&trouble, progress);
            (trouble.advice() != Advice::Stalled).then_some(AGAIN)
        }
    }
}

fn has_condition(sender: &WhatsAppSender) -> bool {
    condition_of(sender).is_some()
}

fn condition_of(sender: &WhatsAppSender) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let conditions = sender.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|condition| condition.type_ == TEMPLATE_EVENTS_CONFIGURED)
}

/// Tells of one sender what another one told, that acts for both.
fn follow(leader: &WhatsAppSender, progress: &mut Progress<WhatsAppSenderStatus>) {
    let by = format!("the WhatsAppSender {:?} acts for the account", leader.name_any());
    let (state, reason, message) = match condition_of(leader) {
        Some(told) if told.status == State::True.as_str() => (State::True, reason::STREAM_IN_PLACE, by),
        Some(told) => (State::False, reason::DEPENDENCY_NOT_READY, format!("{by}: {}", told.message)),
        None => (State::False, reason::DEPENDENCY_NOT_READY, by),
    };
    progress.set(TEMPLATE_EVENTS_CONFIGURED, state, reason, &message);
}

fn tell_trouble(trouble: &Trouble, progress: &mut Progress<WhatsAppSenderStatus>) {
    progress.set(TEMPLATE_EVENTS_CONFIGURED, State::False, trouble.reason(), &redact::chain(trouble));
}

fn report(ended: &Ended, url: &str, now: Timestamp, progress: &mut Progress<WhatsAppSenderStatus>) -> Option<Duration> {
    let mut tell = |state, reason, message: &str| progress.set(TEMPLATE_EVENTS_CONFIGURED, state, reason, message);
    match ended {
        Ended::Resting(rest @ Rest::InPlace { .. }) => {
            tell(State::True, reason::STREAM_IN_PLACE, "");
            again(rest, now)
        }
        Ended::Resting(rest) => {
            let message = format!(
                "a test event of the provider has not arrived yet at {url}; until one has, approvals are found by polling; if this lasts, make sure that the provider can reach this URL"
            );
            tell(State::False, reason::AWAITING_TEST_EVENT, &message);
            again(rest, now)
        }
        Ended::Paused => {
            let message =
                "the provider's side is not as it should be, and nothing is changed while the sender is paused";
            tell(State::False, reason::PAUSED, message);
            None
        }
    }
}

type SetUp = Result<(Ended, TemplateEventsStatus, String), (Trouble, TemplateEventsStatus)>;

async fn set_up(
    sender: &WhatsAppSender,
    provider: &ProviderAccount,
    context: &SenderContext,
    home: &WebhookHome<'_>,
    before: &TemplateEventsStatus,
    paused: bool,
) -> SetUp {
    let name = name_of_ours(sender);
    let failed = |trouble: Trouble| (trouble, before.clone());
    let (account, streams) = observe::account(provider, &context.accounts, &name)
        .await
        .map_err(Trouble::of("list its event streams"))
        .map_err(failed)?;
    if account.streams().is_none() {
        return Err(failed(Trouble::Unsupported));
    }
    // The data plane must have somewhere to write the hint of the first test.
    if !paused {
        context.push.object.ensure().await.map_err(Trouble::from).map_err(failed)?;
    }
    let url = account.stream_url(home);
    let mut seen = Seen {
        name,
        url: Some(url.clone()),
        streams,
        confirmed: None,
        arrived: context.push.board.tests(home.tenant, home.sender),
        tests: Tests {
            count: before.tests.unwrap_or_default(),
            last: before.tested_at.as_ref().map(|tested| tested.0),
        },
        now: context.clock.now(),
    };
    let ended = run(&*account, &mut seen, Some(&context.push.board), paused).await;
    let stream = |rest: &Rest| match rest {
        Rest::InPlace { stream } | Rest::AwaitingTest { stream, .. } => Some(stream.clone()),
        Rest::Gone => None,
    };
    let is_in_place = matches!(&ended, Ok(Ended::Resting(Rest::InPlace { .. })));
    let tests = if is_in_place { Tests::default() } else { seen.tests };
    let status = TemplateEventsStatus {
        stream: match &ended {
            Ok(Ended::Resting(rest)) => stream(rest),
            Ok(Ended::Paused) | Err(_) => before.stream.clone(),
        },
        tested_at: tests.last.map(Time),
        tests: (tests.count > 0).then_some(tests.count),
    };
    match ended {
        Ok(ended) => Ok((ended, status, url)),
        Err(trouble) => Err((trouble, status)),
    }
}

/// Removes what is this sender's, and nothing else.
async fn take_down(
    sender: &WhatsAppSender,
    provider: &ProviderAccount,
    context: &SenderContext,
    paused: bool,
) -> Result<Ended, Trouble> {
    let name = name_of_ours(sender);
    let (account, streams) =
        observe::account(provider, &context.accounts, &name).await.map_err(Trouble::of("list its event streams"))?;
    let mut seen = Seen {
        name,
        url: None,
        streams,
        confirmed: None,
        arrived: vec![],
        tests: Tests::default(),
        now: context.clock.now(),
    };
    run(&*account, &mut seen, None, paused).await
}

async fn run(
    account: &dyn StreamAdmin,
    seen: &mut Seen,
    board: Option<&Board>,
    paused: bool,
) -> Result<Ended, Trouble> {
    for _ in 0..STEPS {
        let step = plan(seen);
        if let Step::Rest(rest) = step {
            return Ok(Ended::Resting(rest));
        }
        if paused {
            return Ok(Ended::Paused);
        }
        match take(account, &step, &seen.name).await {
            Ok(created) => step.note(seen, created),
            // It was another stream's test, or an earlier one.
            Err(Trouble::Refused { source, .. })
                if matches!(step, Step::Confirm { .. }) && !source.is_unauthorized() =>
            {
                if let Step::Confirm { test, .. } = &step {
                    seen.arrived.retain(|arrived| arrived != test);
                    board.into_iter().for_each(|board| board.refuse(test));
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    let failed = "settle its event streams";
    Err(Trouble::Unavailable { what: failed, source: unsettled() })
}

/// The streams change faster than they are put in order.
fn unsettled() -> ProviderError {
    use messaging::failure::{Failure, FailureClass};
    let failure = Failure::new(FailureClass::Retry, format!("they were not in order after {STEPS} steps"));
    ProviderError { failure, http_status: None, retry_after: None }
}

async fn take(account: &dyn StreamAdmin, step: &Step, name: &str) -> Result<Option<Created>, Trouble> {
    match step {
        Step::Create { url } => {
            let created = account.create_stream(name, url).await.map_err(Trouble::of("create an event stream"))?;
            Ok(Some(Created::Stream(created)))
        }
        Step::Test { stream } => {
            account.test_stream(stream).await.map(|()| None).map_err(Trouble::of("send a test event"))
        }
        Step::Confirm { stream, test } => {
            account.confirm_stream(stream, test).await.map(|()| None).map_err(Trouble::of("validate its event stream"))
        }
        Step::Subscribe { stream } => {
            let created = account.subscribe(stream, name).await.map_err(Trouble::of("subscribe to its events"))?;
            Ok(Some(Created::Subscription(created)))
        }
        Step::Unsubscribe { id } => {
            account.unsubscribe(id).await.map(|()| None).map_err(Trouble::of("end a subscription to its events"))
        }
        Step::Delete { stream } => {
            account.delete_stream(stream).await.map(|()| None).map_err(Trouble::of("delete an event stream"))
        }
        Step::Rest(_) => Ok(None),
    }
}

/// Removes what a sender that is being deleted has at the provider. What the provider refuses to remove stays: no retry
/// could succeed, and the namespace could never be deleted.
pub async fn clean_up(
    sender: &WhatsAppSender,
    Id { tenant, name }: &Id<SenderName>,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    if progress.status.template_events.is_none() {
        return Ok(());
    }
    // Without accepted credentials nothing was ever made.
    let Some(known) = context.directory.find(tenant, name).await? else { return Ok(()) };
    match take_down(sender, &known.config.provider, context, false).await {
        Ok(_) => {}
        Err(trouble) if trouble.advice() == Advice::Stalled => {
            let why = redact::chain(&trouble);
            tracing::warn!(%tenant, sender = %name, why, "an event stream is left as it is at the provider");
        }
        Err(trouble) => return Err(trouble.into()),
    }
    progress.status.template_events = None;
    Ok(())
}

/// Whether something of the sender may be at the provider.
pub fn needs_cleanup(sender: &WhatsAppSender) -> bool {
    let is_recorded = sender.status.as_ref().is_some_and(|status| status.template_events.is_some());
    is_recorded || wish::asks(sender)
}

/// Forgets what is known about a sender that is gone.
pub fn forget(sender: &WhatsAppSender, context: &SenderContext) {
    if let Some(tenant) = tenant_of(sender) {
        context.push.board.forget(&tenant, &sender.name_any());
    }
}
