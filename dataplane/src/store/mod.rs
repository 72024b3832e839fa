//! What must survive a crash, behind one trait: the log of webhooks, messages and their timelines, contacts, the queue
//! and the outbox.
//!
//! A store keeps and orders; it decides nothing about messaging. Whatever belongs together commits together: an event
//! with its dedupe record, an applied event with its consequences, a status with its place in the timeline and its
//! publication. Every write answers after it is on disk. Time and identifiers are arguments.
//!
//! Several replicas may share one store, so nothing here is true in memory only: work is claimed under a lease, each
//! claim has a fencing token, and a holder whose claim has passed to another can finish nothing.
//!
//! Reading order: the rows ([`webhook`], [`message`], [`contact`], [`queue`], [`hold`], [`outbox`], [`sweep`]), then the
//! trait, then how it is kept: [`engine`] makes groups of writes, [`operations`] and [`statements`] are the writes,
//! [`reads`] the reads, and [`database`] is what SQLite and PostgreSQL have in common and what they have not.

pub mod adopted;
mod codec;
pub mod contact;
mod database;
mod engine;
mod error;
pub mod hold;
pub mod message;
mod operations;
pub mod outbox;
mod postgres_url;
pub mod queue;
mod reads;
mod signals;
mod sql_store;
mod statements;
pub mod sweep;
pub mod webhook;

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};

pub use error::StoreError;
pub use postgres_url::PostgresUrl;
pub use signals::Signals;
pub use sql_store::{SqlStore, Writers};

use self::adopted::Adopting;
use self::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use self::hold::{Hold, LiftHold, PutHold};
use self::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, MessageRecord, Page,
    StatusCount,
};
use self::outbox::{
    ClaimEvents, DeadEvent, DeadEventFilter, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane,
    RedriveEvent,
};
use self::queue::{
    Began, BeginAttempt, ClaimDue, ClaimRef, ClaimUnsettled, Claimed, DeferClaim, EndMessage, ExpireMessage,
    ExpiredRef, Fenced, FinishAttempt, Lane, QueueCounts, Settle, Unsettled,
};
use self::sweep::{ClaimSweep, FinishSweep, SweepClaim, SweepCursor};
use self::webhook::{
    Applied, ApplyEvent, ClaimUnapplied, DayMade, Forget, LoggedEventRef, RecordRequest, RecordWebhook, Recorded,
    ReplayFilter, StoredWebhook, WaitingEvent,
};

/// Where verified webhooks go: all that whoever takes them asks of a store.
#[async_trait]
pub trait WebhookLog: Send + Sync {
    /// Appends the parts of a verified request, and those of their events that are not in the log yet. All of it is on disk
    /// when this returns `Ok`, and none of it after an error. Answers for each of [`RecordRequest::webhooks`].
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError>;

    /// As [`WebhookLog::record`], for a request of one part.
    async fn record_webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        let recorded = self.record(webhook.into()).await?;
        Ok(recorded.into_iter().next().unwrap_or(Recorded { new: Vec::new() }))
    }
}

/// The durable state of the data plane. Each method that writes is one atomic step, and is on disk when it returns
/// `Ok`. Any of them may answer [`StoreError::Overloaded`], and then has done nothing.
#[async_trait]
pub trait Store: WebhookLog {
    /// Wakes this process's workers when this process committed something for them. Other replicas wake nobody here,
    /// so workers look again after a while anyway.
    fn signals(&self) -> &Signals;

    // --- webhooks: the log, and applying it ---

    /// Puts events of a webhook that is in the log already into it as well, where they are not yet: those that were not
    /// understood when it came. The webhook's own row stays as it is, and `webhook.id` must be another than that one's,
    /// because an event is known by its place in a webhook.
    async fn record_replayed(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError>;

    /// Which of these [`RecordWebhook::dedupe_keys`] are known of a sender.
    async fn known_dedupe_keys(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        keys: &[String],
    ) -> Result<HashSet<String>, StoreError>;

    /// Claims events of the log that have not taken effect in time, oldest first: whoever recorded them has died, or
    /// could not apply them.
    async fn claim_unapplied(&self, claim: ClaimUnapplied) -> Result<Vec<WaitingEvent>, StoreError>;

    /// Lets an event take effect, exactly once: that it is not to be applied any more commits with its consequences.
    async fn apply_event(&self, apply: ApplyEvent) -> Result<Adopting<Applied>, StoreError>;

    /// Applying an event has failed; it is tried again from a time on.
    async fn defer_unapplied(&self, event: LoggedEventRef, until: Timestamp) -> Result<(), StoreError>;

    /// Webhooks of the log as they came, oldest first, as far as retention keeps them.
    async fn webhooks(&self, filter: &ReplayFilter) -> Result<Vec<StoredWebhook>, StoreError>;

    /// How many webhooks of the log a filter lets through, its page aside.
    async fn count_webhooks(&self, filter: &ReplayFilter) -> Result<u64, StoreError>;

    // --- messages ---

    /// Takes a message in, under its idempotency key, and puts it into the queue.
    async fn accept_message(&self, accept: AcceptMessage) -> Result<Acceptance, StoreError>;

    /// What [`Store::accept_message`] would answer to a key that was used before; `None` when it was not.
    async fn replayed(&self, tenant: &TenantId, idempotency: &Idempotency) -> Result<Option<Acceptance>, StoreError>;

    /// Withdraws a message that has not been handed over.
    async fn cancel_message(&self, cancel: CancelMessage) -> Result<Cancellation, StoreError>;

    /// A message with its timeline; `None` when this tenant has none of this id.
    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageRecord>, StoreError>;

    /// Messages of a tenant, newest first.
    async fn messages(&self, tenant: &TenantId, filter: &MessageFilter) -> Result<Page<Message>, StoreError>;

    /// The provider's id of one of this tenant's messages, sent or received; `None` when there is none (yet).
    async fn provider_message_id(&self, tenant: &TenantId, id: MessageId) -> Result<Option<String>, StoreError>;

    /// Which of these provider's ids belong to a message of this tenant already, sent or received: dispatch adopts a
    /// message of the provider's log only when it belongs to no other.
    async fn known_provider_message_ids(&self, tenant: &TenantId, ids: &[String]) -> Result<Vec<String>, StoreError>;

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<StatusCount>, StoreError>;

    // --- contacts ---

    /// What is known of a contact of a sender; the default when nothing is.
    async fn contact(&self, tenant: &TenantId, sender: &SenderName, contact: &Address) -> Result<Contact, StoreError>;

    async fn put_consent(&self, put: PutConsent) -> Result<Contact, StoreError>;

    async fn put_suppression(&self, put: PutSuppression) -> Result<Contact, StoreError>;

    async fn lift_suppression(&self, lift: LiftSuppression) -> Result<Contact, StoreError>;

    // --- the queue ---

    /// Every lane that holds work, with the earliest moment at which any of it may be claimed.
    async fn lanes(&self) -> Result<Vec<Lane>, StoreError>;

    /// Claims due messages, lane by lane, oldest first in each, and no more than the rates let pass, which all replicas
    /// keep together. A claim whose lease ended is due again.
    async fn claim_due(&self, claim: ClaimDue) -> Result<Claimed, StoreError>;

    /// Prolongs a lease while its work is still going on.
    async fn renew_claim(&self, claim: ClaimRef, until: Timestamp) -> Result<Fenced, StoreError>;

    /// Gives a message back, to be claimed again from a time on.
    async fn defer_claim(&self, defer: DeferClaim) -> Result<Fenced, StoreError>;

    /// Writes the attempt that is about to be made. The provider must not be called unless this says [`Began::Begun`].
    async fn begin_attempt(&self, begin: BeginAttempt) -> Result<Began, StoreError>;

    /// Writes what became of an attempt.
    async fn finish_attempt(&self, finish: FinishAttempt) -> Result<Adopting<Fenced>, StoreError>;

    /// Ends a claimed message without an attempt.
    async fn end_message(&self, end: EndMessage) -> Result<Fenced, StoreError>;

    /// Queued messages whose validity is over, oldest first.
    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<ExpiredRef>, StoreError>;

    /// Ends a queued message whose validity is over; `false` when it has left the queue.
    async fn expire_message(&self, expire: ExpireMessage) -> Result<bool, StoreError>;

    /// Claims messages whose outcome has been awaited long enough, so that it should be asked for.
    async fn claim_unsettled(&self, claim: ClaimUnsettled) -> Result<Vec<Unsettled>, StoreError>;

    /// Writes what was found out about an unsettled message, or when to ask again.
    async fn settle(&self, settle: Settle) -> Result<Adopting<Fenced>, StoreError>;

    async fn queue_counts(&self, now: Timestamp) -> Result<QueueCounts, StoreError>;

    // --- holds ---

    /// Everything that is held now, of every tenant.
    async fn holds(&self, now: Timestamp) -> Result<Vec<Hold>, StoreError>;

    async fn put_hold(&self, put: PutHold) -> Result<(), StoreError>;

    /// `false` when nothing of the kind was held.
    async fn lift_hold(&self, lift: LiftHold) -> Result<bool, StoreError>;

    // --- sweeps ---

    /// Claims the reading of an account's log; `None` when it is not due, or another replica reads it.
    async fn claim_sweep(&self, claim: ClaimSweep) -> Result<Option<SweepClaim>, StoreError>;

    /// How far every account's log has been read.
    async fn sweeps(&self) -> Result<Vec<SweepCursor>, StoreError>;

    async fn finish_sweep(&self, finish: FinishSweep) -> Result<Fenced, StoreError>;

    // --- the outbox ---

    /// Every sink that events wait for, with the earliest moment at which any of them may be claimed.
    async fn outbox_lanes(&self) -> Result<Vec<OutboxLane>, StoreError>;

    /// Claims events that are due for one sink: at most one of each message (or contact), and that the oldest.
    async fn claim_events(&self, claim: ClaimEvents) -> Result<Vec<EventClaim>, StoreError>;

    /// The sink has taken the event.
    async fn event_delivered(&self, event: EventRef, at: Timestamp) -> Result<Fenced, StoreError>;

    /// The sink has not taken the event; it is due again later.
    async fn defer_event(&self, defer: DeferEvent) -> Result<Fenced, StoreError>;

    /// The event will not be delivered; it is kept as a dead letter, or dropped.
    async fn end_event(&self, end: EndEvent) -> Result<Fenced, StoreError>;

    async fn outbox_counts(&self, now: Timestamp) -> Result<OutboxCounts, StoreError>;

    /// Dead letters of a tenant, in the order of their events' identifiers, which is that of their age.
    async fn dead_events(&self, tenant: &TenantId, filter: &DeadEventFilter) -> Result<Vec<DeadEvent>, StoreError>;

    /// Sends a dead letter on its way again; `false` when there is no such.
    async fn redrive_event(&self, redrive: RedriveEvent) -> Result<bool, StoreError>;

    // --- housekeeping ---

    /// Deletes what retention no longer keeps, a bounded step at a time; answers how many rows went. Call it again
    /// until it answers 0.
    async fn forget(&self, forget: Forget) -> Result<u64, StoreError>;

    /// Lets go of parts without an addressee that are older than they are kept.
    async fn forget_unaddressed(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Sees to it that what the log takes on a day can leave it at once, with that day. Any number of replicas may.
    async fn make_day(&self, day: Date) -> Result<DayMade, StoreError>;

    /// Lets the oldest day of the log that was over by then go, whosever its webhooks are; `None` when there is none.
    async fn drop_day(&self, before: Timestamp) -> Result<Option<Date>, StoreError>;

    /// How many writes wait for those before them.
    fn waiting(&self) -> usize;

    /// Whether a write would succeed now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what was accepted, and closes. Later calls answer [`StoreError::Closed`].
    async fn close(&self);
}
