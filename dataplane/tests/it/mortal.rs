//! A store whose process dies at a chosen operation: just before it, or when it is on disk and has not answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use dataplane::store::adopted::Adopting;
use dataplane::store::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use dataplane::store::hold::{Hold, LiftHold, PutHold};
use dataplane::store::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, MessageRecord, Page,
    StatusCount,
};
use dataplane::store::outbox::{
    ClaimEvents, DeadEvent, DeadEventFilter, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane,
    RedriveEvent,
};
use dataplane::store::queue::{
    Began, BeginAttempt, ClaimDue, ClaimRef, ClaimUnsettled, Claimed, DeferClaim, EndMessage, ExpireMessage,
    ExpiredRef, Fenced, FinishAttempt, Lane, QueueCounts, Settle, Unsettled,
};
use dataplane::store::sweep::{ClaimSweep, FinishSweep, SweepClaim, SweepCursor};
use dataplane::store::webhook::{
    Applied, ApplyEvent, ClaimUnapplied, DayMade, Forget, LoggedEventRef, RecordRequest, RecordWebhook, Recorded,
    ReplayFilter, StoredWebhook, WaitingEvent,
};
use dataplane::store::{Signals, Store, StoreError, WebhookLog};
use jiff::Timestamp;
use jiff::civil::Date;
use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};
use tokio::sync::Notify;

/// When to die, counted in operations from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Before(u32),
    After(u32),
    /// Not at all, but this one operation fails.
    NotButFails(u32),
}

pub(crate) struct Mortal {
    inner: Arc<dyn Store>,
    death: Death,
    begun: AtomicU32,
    died: Notify,
}

impl Mortal {
    pub(crate) fn new(inner: Arc<dyn Store>, death: Death) -> Arc<Self> {
        Arc::new(Self { inner, death, begun: AtomicU32::new(0), died: Notify::new() })
    }

    /// Does the work and dies there. Answers whether it could be done without dying.
    pub(crate) async fn survives(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.died.notified() => false,
            () = work => true,
        }
    }

    /// Whether the one operation that was to fail has.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.death, Death::NotButFails(n) if self.begun.load(Ordering::SeqCst) >= n)
    }

    async fn live<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        match self.death {
            Death::Before(n) if nth >= n => self.die().await,
            Death::After(n) if nth > n => self.die().await,
            Death::After(n) if nth == n => {
                drop(operation.await);
                self.die().await
            }
            Death::NotButFails(n) if nth == n => Err(StoreError::Failed("it has been made to".into())),
            Death::Before(_) | Death::After(_) | Death::NotButFails(_) => operation.await,
        }
    }

    /// What has died never answers; whoever waits for it is dropped with it.
    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl WebhookLog for Mortal {
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError> {
        self.live(self.inner.record(request)).await
    }
}

macro_rules! mortal {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Mortal {
            fn signals(&self) -> &Signals {
                self.inner.signals()
            }
            fn waiting(&self) -> usize {
                self.inner.waiting()
            }
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.live(self.inner.$name($($argument),*)).await
            })*
            async fn close(&self) {
                self.inner.close().await;
            }
        }
    };
}
mortal! {
    record_replayed(webhook: RecordWebhook) -> Recorded;
    known_dedupe_keys(tenant: &TenantId, sender: &SenderName, keys: &[String]) -> HashSet<String>;
    claim_unapplied(claim: ClaimUnapplied) -> Vec<WaitingEvent>;
    apply_event(apply: ApplyEvent) -> Adopting<Applied>;
    defer_unapplied(event: LoggedEventRef, until: Timestamp) -> ();
    webhooks(filter: &ReplayFilter) -> Vec<StoredWebhook>;
    count_webhooks(filter: &ReplayFilter) -> u64;
    accept_message(accept: AcceptMessage) -> Acceptance;
    replayed(tenant: &TenantId, idempotency: &Idempotency) -> Option<Acceptance>;
    cancel_message(cancel: CancelMessage) -> Cancellation;
    message(tenant: &TenantId, id: MessageId) -> Option<MessageRecord>;
    messages(tenant: &TenantId, filter: &MessageFilter) -> Page<Message>;
    provider_message_id(tenant: &TenantId, id: MessageId) -> Option<String>;
    known_provider_message_ids(tenant: &TenantId, ids: &[String]) -> Vec<String>;
    count_by_status(tenant: &TenantId) -> Vec<StatusCount>;
    contact(tenant: &TenantId, sender: &SenderName, contact: &Address) -> Contact;
    put_consent(put: PutConsent) -> Contact;
    put_suppression(put: PutSuppression) -> Contact;
    lift_suppression(lift: LiftSuppression) -> Contact;
    lanes() -> Vec<Lane>;
    claim_due(claim: ClaimDue) -> Claimed;
    renew_claim(claim: ClaimRef, until: Timestamp) -> Fenced;
    defer_claim(defer: DeferClaim) -> Fenced;
    begin_attempt(begin: BeginAttempt) -> Began;
    finish_attempt(finish: FinishAttempt) -> Adopting<Fenced>;
    end_message(end: EndMessage) -> Fenced;
    expired(now: Timestamp, limit: u32) -> Vec<ExpiredRef>;
    expire_message(expire: ExpireMessage) -> bool;
    claim_unsettled(claim: ClaimUnsettled) -> Vec<Unsettled>;
    settle(settle: Settle) -> Adopting<Fenced>;
    queue_counts(now: Timestamp) -> QueueCounts;
    holds(now: Timestamp) -> Vec<Hold>;
    put_hold(put: PutHold) -> ();
    lift_hold(lift: LiftHold) -> bool;
    claim_sweep(claim: ClaimSweep) -> Option<SweepClaim>;
    finish_sweep(finish: FinishSweep) -> Fenced;
    sweeps() -> Vec<SweepCursor>;
    outbox_lanes() -> Vec<OutboxLane>;
    claim_events(claim: ClaimEvents) -> Vec<EventClaim>;
    event_delivered(event: EventRef, at: Timestamp) -> Fenced;
    defer_event(defer: DeferEvent) -> Fenced;
    end_event(end: EndEvent) -> Fenced;
    outbox_counts(now: Timestamp) -> OutboxCounts;
    dead_events(tenant: &TenantId, filter: &DeadEventFilter) -> Vec<DeadEvent>;
    redrive_event(redrive: RedriveEvent) -> bool;
    forget(forget: Forget) -> u64;
    forget_unaddressed(now: Timestamp) -> u64;
    make_day(day: Date) -> DayMade;
    drop_day(before: Timestamp) -> Option<Date>;
    check() -> ();
}
