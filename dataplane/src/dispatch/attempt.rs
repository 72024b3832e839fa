//! Takes one claimed message to the provider: checks it, writes the attempt, makes the call, writes the outcome.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use messaging::clock::after;
use messaging::failure::NewAttempts;
use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{OutboundMessage, RenderedContent, SendOutcome, Sent};

use super::brakes::{InFlight, Stopped};
use super::outcome::{AskAfter, Attempted, Resolution, resolve};
use super::{DispatchContext, gate, settlement};
use crate::config::{Sender, Tenant};
use crate::metrics::{AttemptOutcome, DeferReason};
use crate::progress::Task;
use crate::rules::queue::RenewClaim;
use crate::rules::validity;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::adopted::{AdoptedFailure, Adopting};
use crate::store::message::Reason;
use crate::store::queue::{
    AttemptResult, Began, BeginAttempt, Claim, ClaimRef, DeferClaim, EndMessage, Fenced, FinishAttempt,
};

/// How often the outcome of a call is written before it is given up. The message is then unconfirmed when its lease
/// ends, and its callback or the provider's log settles it.
const WRITE_TRIES: u32 = 6;
const WRITE_PAUSE: Duration = Duration::from_millis(100);
const WHY_STOPPED: &str = "a message failed because of it";
/// A stop may be lifted before its time, so a message that waits for its end looks again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The pause when a tenant's config was removed between the claim and its use.
const WITHOUT_CONFIG: Duration = Duration::from_secs(5);

pub(super) struct Carrier {
    context: DispatchContext,
}

impl Carrier {
    pub(super) fn new(context: DispatchContext) -> Self {
        Self { context }
    }

    /// Carries a claimed message as far as it can go now. `in_flight` is its place among the sender's calls.
    pub(super) async fn carry(&self, claim: Claim, mut in_flight: InFlight) {
        let message = claim.message.id;
        let carried = self.try_carry(claim, &mut in_flight).await;
        let Shared { clock, progress, .. } = &self.context.shared;
        match &carried {
            Ok(()) => progress.did(Task::Dispatch, clock.now()),
            // Such a message comes back for ever, and stands in no other's way.
            Err(StoreError::Corrupt { .. }) => {}
            Err(_) => progress.failed(Task::Dispatch, clock.now()),
        }
        if let Err(error) = carried {
            // Failure policy: fail closed. No call is made before its attempt is on disk, and an attempt without a
            // written outcome becomes unconfirmed when the lease ends.
            tracing::error!(%message, %error, "a message could not be carried on; it comes back when its lease ends");
        }
        drop(in_flight);
    }

    async fn try_carry(&self, claim: Claim, in_flight: &mut InFlight) -> Result<(), StoreError> {
        let DispatchContext { shared, brakes, .. } = &self.context;
        let Shared { store, configs, clock, clock_check, metrics, holds, .. } = shared;
        let message = &claim.message;
        let tenant = configs.get(&message.tenant);
        let configured = tenant.as_deref().and_then(|tenant| Some((tenant, tenant.sender(message.sender())?)));
        let Some((tenant, sender)) = configured else {
            return self.defer(&claim, after(clock.now(), WITHOUT_CONFIG)).await;
        };
        if let Some(attempt) = claim.open_attempt {
            return self.outcome_is_unknown(&claim, attempt, &sender).await;
        }

        let others_in_pool = tenant.config.others_in_pool(&message.route);
        let read = || store.contact_in_pool(&message.tenant, message.sender(), &others_in_pool, &message.to);
        let mut contact = if others_in_pool.is_empty() { claim.contact.clone() } else { read().await? };
        let mut is_counted = false;
        let (attempt, permit, now) = loop {
            let now = clock.now();
            let permit = match gate::judge(message, &claim.content, &contact.state, tenant, &sender, now) {
                Ok(permit) => permit,
                // It seems to have expired since it was claimed. Whether it has only a reliable clock can tell.
                Err(forbidden) if forbidden.status == MessageStatus::Expired && !clock_check.is_reliable() => {
                    return self.defer(&claim, claim.due_at).await;
                }
                Err(forbidden) => return self.end(&claim, forbidden, &sender, now).await,
            };
            if let RenderedContent::Template { handle, .. } = &permit.content
                && let Some(until) = brakes
                    .template_stopped_until(&message.tenant, handle, now)
                    .max(holds.template_stopped_until(&message.tenant, handle, now))
            {
                metrics.deferred(DeferReason::TemplateStopped);
                return self.defer(&claim, until.min(after(now, LOOK_AGAIN))).await;
            }
            let starts_conversation = gate::starts_conversation(message, &permit, &contact.state, now);
            if starts_conversation
                && let Some(until) = brakes
                    .starts_none_until(&message.tenant, sender.name, now)
                    .max(holds.starts_none_until(&message.tenant, sender.name, now))
            {
                metrics.deferred(DeferReason::ConversationsStopped);
                return self.defer(&claim, until.min(after(now, LOOK_AGAIN))).await;
            }
            if let Err(until) = in_flight.may_begin(now) {
                metrics.deferred(DeferReason::ProviderAway);
                return self.defer(&claim, until).await;
            }
            if !is_counted {
                let key = (message.tenant.clone(), message.sender().clone());
                if starts_conversation && let Err(until) = brakes.starts_conversation(holds, &key, now) {
                    metrics.deferred(DeferReason::ConversationsStopped);
                    return self.defer(&claim, until).await;
                }
                if let Err(until) = brakes.pair(&key, &message.to, message.priority, sender.provider.limits().pair, now)
                {
                    metrics.deferred(DeferReason::PairRate);
                    return self.defer(&claim, until).await;
                }
                is_counted = true;
            }
            let attempt = AttemptId::new(now, &rand::random());
            let contact_version = contact.version;
            let others_in_pool = others_in_pool.clone();
            let begin = BeginAttempt { claim: claim.reference(), attempt, now, contact_version, others_in_pool };
            match store.write(begin).await? {
                Began::Begun => break (attempt, permit, now),
                // An opt-out or a withdrawn consent may have come in between: check again.
                Began::ContactChanged => contact = read().await?,
                Began::LeaseLost => return Ok(()),
            }
        };
        metrics.message_reached(MessageStatus::Submitted);

        let outbound = gate::compose(message, permit, attempt, tenant, &sender, now);
        let sent = self.call(&claim, &sender, &outbound).await;
        in_flight.ended(&sent.outcome, clock.now());
        self.write(&claim, &outbound, sent, tenant, &sender).await
    }

    /// The call itself, with the lease renewed while it lasts.
    async fn call(&self, claim: &Claim, sender: &Sender<'_>, outbound: &OutboundMessage) -> Sent {
        let began = Instant::now();
        let call = sender.provider.send(outbound);
        let mut call = std::pin::pin!(call);
        let lease = self.context.options.lease;
        let sent = loop {
            tokio::select! {
                sent = &mut call => break sent,
                () = tokio::time::sleep(lease / 3) => self.renew(&claim.reference(), lease).await,
            }
        };
        self.context.shared.metrics.attempt_took(began.elapsed());
        sent
    }

    async fn renew(&self, claim: &ClaimRef, lease: Duration) {
        let until = after(self.context.shared.clock.now(), lease);
        match self.context.shared.store.write(RenewClaim { claim: claim.clone(), until }).await {
            Ok(Fenced::Done) => {}
            // The call goes on, because it cannot be taken back. An accepted message is recorded all the same.
            Ok(Fenced::LeaseLost) => tracing::warn!(message = %claim.message, "the lease was lost during the call"),
            Err(error) => tracing::warn!(message = %claim.message, %error, "the lease could not be renewed"),
        }
    }

    async fn write(
        &self,
        claim: &Claim,
        outbound: &OutboundMessage,
        sent: Sent,
        tenant: &Tenant,
        sender: &Sender<'_>,
    ) -> Result<(), StoreError> {
        let DispatchContext { shared: Shared { clock, holds, .. }, brakes, options } = &self.context;
        let now = clock.now();
        let Sent { outcome, request_id } = sent;
        log(claim, outbound.attempt, &outcome, request_id.as_deref());
        let attempted = Attempted {
            outcome: &outcome,
            attempt_no: claim.message.attempts + 1,
            expires_at: validity::ends_at(&claim.message, &sender.config.validity),
            jitter: rand::random(),
            now,
        };
        let ask_after = AskAfter {
            accepted: options.ask_accepted_after,
            unconfirmed: settlement::FIRST_LOOK.min(options.unconfirmed_grace),
        };
        let resolution = resolve(attempted, &options.retry, ask_after);
        let id = &tenant.config.tenant;
        let of = Stopped { tenant, sender, to: &claim.message.to, content: Some(&claim.content) };
        let stopped = resolution.stop.and_then(|stop| brakes.carry_out_here(holds, stop, &of, now));
        let adopted = self.finish(claim, outbound.attempt, resolution, request_id, sender, now).await?;
        // The outcome of the message is written before the hold.
        if let Some((scope, until)) = stopped {
            brakes.share(holds, id, scope, until, WHY_STOPPED).await;
        }
        brakes.stop_adopted(holds, &adopted, &of, now).await;
        Ok(())
    }

    /// An earlier holder of the claim began an attempt and recorded no outcome.
    async fn outcome_is_unknown(
        &self,
        claim: &Claim,
        attempt: AttemptId,
        sender: &Sender<'_>,
    ) -> Result<(), StoreError> {
        let now = self.context.shared.clock.now();
        let text = "the data plane stopped before it could write the outcome of the attempt";
        let ask_at = after(now, settlement::FIRST_LOOK.min(self.context.options.unconfirmed_grace));
        let resolution = Resolution {
            result: AttemptResult::Unconfirmed { reason: Reason::new(None, text), ask_at },
            suppress: None,
            stop: None,
            counted: AttemptOutcome::Unconfirmed,
        };
        // No provider message id is known, so there are no statuses to adopt.
        self.finish(claim, attempt, resolution, None, sender, now).await.map(drop)
    }

    /// Writes the outcome of an attempt. Returns the failures that statuses had reported before their message was
    /// known.
    async fn finish(
        &self,
        claim: &Claim,
        attempt: AttemptId,
        resolution: Resolution,
        provider_request_id: Option<String>,
        sender: &Sender<'_>,
        now: Timestamp,
    ) -> Result<Vec<AdoptedFailure>, StoreError> {
        let Resolution { result, suppress, stop: _, counted } = resolution;
        let reached = status_of(&result);
        let finish = FinishAttempt {
            claim: claim.reference(),
            attempt,
            now,
            result,
            provider_request_id,
            suppress,
            new_attempts: NewAttempts { validity: sender.config.validity, jitter: rand::random() },
            sinks: sender.sinks(),
        };
        let mut tries = 0;
        let Adopting { answer, failures } = loop {
            match self.context.shared.store.write(finish.clone()).await {
                Ok(written) => break written,
                Err(error) if tries < WRITE_TRIES => {
                    tracing::warn!(message = %claim.message.id, %error, "the outcome of an attempt is not written yet");
                    tokio::time::sleep(WRITE_PAUSE * 2_u32.pow(tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        match answer {
            Fenced::Done => {
                self.context.shared.metrics.attempt(counted);
                self.context.shared.metrics.message_reached(reached);
            }
            Fenced::LeaseLost => self.context.shared.metrics.attempt(AttemptOutcome::LeaseLost),
        }
        Ok(failures)
    }

    async fn end(
        &self,
        claim: &Claim,
        forbidden: gate::Forbidden,
        sender: &Sender<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let gate::Forbidden { status, reason } = forbidden;
        let end = EndMessage { claim: claim.reference(), now, status, reason, sinks: sender.sinks() };
        if self.context.shared.store.write(end).await? == Fenced::Done {
            self.context.shared.metrics.message_reached(status);
        }
        Ok(())
    }

    async fn defer(&self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        // A lost lease needs no release.
        match self.context.shared.store.write(DeferClaim { claim: claim.reference(), until }).await? {
            Fenced::Done | Fenced::LeaseLost => Ok(()),
        }
    }
}

/// Says what came of an attempt, with what the provider's support asks for.
fn log(claim: &Claim, attempt: AttemptId, outcome: &SendOutcome, provider_request_id: Option<&str>) {
    let (tenant, message) = (&claim.message.tenant, claim.message.id);
    match outcome {
        SendOutcome::Accepted { provider_message_id, .. } => {
            tracing::debug!(%tenant, %message, %attempt, provider_request_id, provider_message_id, "the provider accepted an attempt");
        }
        SendOutcome::Refused(error) => {
            tracing::info!(%tenant, %message, %attempt, provider_request_id, %error, "the provider refused an attempt");
        }
        SendOutcome::NotSent { reason } => {
            tracing::info!(%tenant, %message, %attempt, reason, "an attempt was not sent");
        }
        SendOutcome::Ambiguous { reason } => {
            tracing::info!(%tenant, %message, %attempt, provider_request_id, reason, "an attempt has no known outcome");
        }
    }
}

fn status_of(result: &AttemptResult) -> MessageStatus {
    match result {
        AttemptResult::Accepted { status, .. } | AttemptResult::Ended { status, .. } => *status,
        AttemptResult::Retry { .. } => MessageStatus::Queued,
        AttemptResult::Unconfirmed { .. } => MessageStatus::Unconfirmed,
    }
}
