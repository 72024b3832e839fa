//! Lets the events in the log take effect.
//!
//! A webhook is answered once it is in the log. The replica that recorded it applies it right after the commit. Events
//! that it could not apply, because it crashed or because more came than it keeps in memory, wait in the log until
//! their lease ends, and any replica then takes them from there. Applying is idempotent: the store lets each event take
//! effect once, however often and by whichever replica it is applied.

mod fresh;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use messaging::clock::after;
use messaging::failure::Stop;
use messaging::id::MessageId;
use tokio_util::sync::CancellationToken;

use self::fresh::Recorded;
pub use self::fresh::{Fresh, RecordedWebhook};
pub use self::stored::{traffic, translate};
use crate::config::Tenant;
use crate::dispatch::brakes::{Brakes, Stopped, WHY_REPORTED, stop_reported};
use crate::progress::Task;
use crate::rules::apply::{Applied, ApplyEvent, DeferLogged};
use crate::rules::consequence;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::adopted::{AdoptedFailure, Adopting};
use crate::store::hold::Scope;
use crate::store::webhook::{APPLIED_WITHIN, ClaimUnapplied, LoggedEvent, LoggedEventRef, WaitingEvent};

/// Events applied at once. They wait together, so few groups hold them all.
const BATCH: usize = 256;
/// How often to look for events that other replicas left behind.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_millis(500);
/// An event that cannot be applied is tried again after this, then after twice that, and so on.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);
pub(crate) const TRY_AGAIN_WITHIN: Duration = Duration::from_secs(60 * 60);
/// An event whose sender is missing from the configs is looked at again this often. A sender that was replaced is back
/// within seconds, and what its customers said must not wait.
const LOOK_FOR_SENDER_EVERY: Duration = Duration::from_secs(10);

/// What applying needs of the rest of the process.
#[derive(Clone)]
pub struct ApplyContext {
    pub shared: Shared,
    /// The brakes of this process's dispatch. Most failures of a sender are reported by a status, not by an answer.
    pub brakes: Arc<Brakes>,
    /// How long after a callback that was not terminal the provider is asked about its message.
    pub ask_after: Duration,
}

/// Applies events that this process records, and those that others left behind.
pub struct Applier {
    context: ApplyContext,
    fresh: Recorded,
    looked_at: Option<Timestamp>,
}

impl Applier {
    /// Returns the applier, and the handle that passes it recorded events.
    pub fn new(context: ApplyContext) -> (Self, Fresh) {
        context.shared.progress.begins(Task::Apply, context.shared.clock.now());
        let (handle, fresh) = fresh::channel();
        (Self { context, fresh, looked_at: None }, handle)
    }

    /// Applies events until `stop`, then those that are already recorded.
    pub async fn run(mut self, stop: CancellationToken) {
        // Without its sender's config an event would take effect without keywords and without being published.
        let mut changes = self.context.shared.configs.subscribe();
        while !self.context.shared.configs.is_ready() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
        loop {
            match self.turn().await {
                Ok(0) if stop.is_cancelled() => return,
                Ok(0) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.fresh.wait() => {}
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
                Ok(_) => {}
                Err(_) if stop.is_cancelled() => return,
                Err(error) => {
                    tracing::error!(%error, "no event can take effect while the store fails; they stay in the log");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    /// Applies events just recorded, and now and then those left behind. Returns how many.
    pub async fn turn(&mut self) -> Result<usize, StoreError> {
        let now = self.context.shared.clock.now();
        let mut events = self.fresh.take(BATCH);
        let looked_lately = self.looked_at.is_some_and(|at| at <= now && now < after(at, LOOK_EVERY));
        if !looked_lately {
            self.looked_at = Some(now);
            let limit = u32::try_from(BATCH).unwrap_or(u32::MAX);
            let claim = ClaimUnapplied { now, lease_until: after(now, APPLIED_WITHIN), limit };
            let left_behind = self.context.shared.store.write(claim).await?;
            if left_behind.len() >= BATCH {
                // There are more.
                self.looked_at = None;
            }
            events.extend(read(&self.context, left_behind).await?);
        }
        let applied = events.len();
        if applied == 0 {
            self.context.shared.progress.found_nothing(Task::Apply, now);
        }
        apply_all(&self.context, events).await?;
        Ok(applied)
    }
}

/// Applies events all at once. The store receives and applies them in order, so that the later of two keywords of one
/// contact wins.
async fn apply_all(context: &ApplyContext, events: Vec<LoggedEvent>) -> Result<(), StoreError> {
    let outcomes = join_all(events.into_iter().map(|event| apply_or_defer(context, event))).await;
    let Shared { clock, progress, .. } = &context.shared;
    // A full commit queue has room for some of them.
    if outcomes.iter().any(Result::is_ok) {
        progress.did(Task::Apply, clock.now());
    } else if !outcomes.is_empty() {
        progress.failed(Task::Apply, clock.now());
    }
    outcomes.into_iter().collect()
}

/// Reads events from their webhooks. An event whose sender is not configured now waits until it is again, or is
/// removed.
async fn read(context: &ApplyContext, waiting: Vec<WaitingEvent>) -> Result<Vec<LoggedEvent>, StoreError> {
    let mut events = Vec::with_capacity(waiting.len());
    for waiting in waiting {
        let tenant = context.shared.configs.get(&waiting.reference.tenant);
        let sender = tenant.as_ref().and_then(|tenant| tenant.sender(&waiting.reference.sender));
        if sender.is_none() && may_come_back(context, &waiting.reference) {
            wait_for_sender(context, waiting.reference).await?;
            continue;
        }
        let provider = sender.map(|sender| sender.provider.as_ref());
        let event = stored::event(&context.shared.configs, provider, &waiting);
        let WaitingEvent { reference, received_at, webhook: _, tries } = waiting;
        events.push(LoggedEvent { reference, received_at, event, tries });
    }
    Ok(events)
}

/// Whether a sender that is missing from the configs is only absent for now. To apply its events meanwhile would
/// publish nothing to its sinks.
fn may_come_back(context: &ApplyContext, LoggedEventRef { tenant, sender, .. }: &LoggedEventRef) -> bool {
    !context.shared.removals.is_removed(tenant, sender)
}

async fn wait_for_sender(context: &ApplyContext, event: LoggedEventRef) -> Result<(), StoreError> {
    let until = after(context.shared.clock.now(), LOOK_FOR_SENDER_EVERY);
    context.shared.store.write(DeferLogged { event, until, failed: false }).await
}

/// Applies an event. One that cannot be applied harms no other: it is deferred, each time for longer, and stays in the
/// log.
async fn apply_or_defer(context: &ApplyContext, logged: LoggedEvent) -> Result<(), StoreError> {
    let (event, tries) = (logged.reference.clone(), logged.tries);
    match apply(context, logged).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            let pause = TRY_AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(tries.min(20))).min(TRY_AGAIN_WITHIN);
            tracing::error!(%error, webhook = event.webhook, "an event cannot take effect; it is tried again later");
            let until = after(context.shared.clock.now(), pause);
            context.shared.store.write(DeferLogged { event, until, failed: true }).await
        }
        other => other,
    }
}

async fn apply(context: &ApplyContext, logged: LoggedEvent) -> Result<(), StoreError> {
    let ApplyContext { shared: Shared { store, configs, clock, metrics, .. }, ask_after, .. } = context;
    let now = clock.now();
    let tenant = configs.get(&logged.reference.tenant);
    let sender = tenant.as_ref().and_then(|tenant| tenant.sender(&logged.reference.sender));
    if sender.is_none() && may_come_back(context, &logged.reference) {
        return wait_for_sender(context, logged.reference).await;
    }
    // A removed sender has no sinks and no keywords; its messages still reach their statuses.
    let sinks = sender.map(|sender| sender.sinks()).unwrap_or_default();
    let consequence = consequence::of(
        &logged,
        sender.map(|sender| sender.config),
        now,
        after(now, *ask_after),
        rand::random(),
        &mut || rand::random(),
    );
    let reported = consequence::failure(&logged).map(|scope| AdoptedFailure { scope, reported_at: logged.received_at });
    let apply =
        ApplyEvent { event: logged.reference.clone(), now, received_at: logged.received_at, consequence, sinks };
    let Adopting { answer, failures } = store.write(apply).await?;
    if let Applied::Now { reached, message } = answer {
        let failures = reported.into_iter().chain(failures);
        for stop in failures.filter_map(|failure| stop_reported(failure.scope, failure.reported_at, now)) {
            stop_what_failed(context, stop, tenant.as_deref(), &logged, message).await;
        }
        reached.into_iter().for_each(|status| metrics.message_reached(status));
    }
    Ok(())
}

/// Stops what a message failed because of.
///
/// Failure policy: fail open. A template that is not stopped fails once more, and is then stopped.
async fn stop_what_failed(
    context: &ApplyContext,
    stop: Stop,
    tenant: Option<&Tenant>,
    logged: &LoggedEvent,
    message: Option<MessageId>,
) {
    let ApplyContext { shared, brakes, .. } = context;
    let LoggedEventRef { tenant: id, sender, .. } = &logged.reference;
    if let Stop::Sender { until } = stop {
        return brakes.stop(&shared.holds, id, Scope::Sender(sender.clone()), until, WHY_REPORTED).await;
    }
    let Some((tenant, sender)) = tenant.and_then(|tenant| Some((tenant, tenant.sender(sender)?))) else { return };
    let Some(message) = message else { return };
    let (to, content) = match shared.store.message(id, message).await {
        Ok(Some(record)) => (record.message.to, record.message.content),
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%message, %error, "what a message failed because of is not stopped, because the message cannot be read");
            return;
        }
    };
    brakes
        .carry_out(
            &shared.holds,
            stop,
            &Stopped { tenant, sender: &sender, to: &to, content: content.as_ref() },
            shared.clock.now(),
            WHY_REPORTED,
        )
        .await;
}
