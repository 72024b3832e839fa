//! Messages that wait to be handed over, and messages whose outcome is awaited.

use jiff::Timestamp;
use messaging::config::ProviderAccount;
use messaging::contact::Suppression;
use messaging::content::OutboundContent;
use messaging::failure::{Failure, NewAttempts};
use messaging::id::{AttemptId, MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::rate::{Bucket, Rate};
use sha2::{Digest as _, Sha256};

use super::contact::Contact;
use super::message::{Message, Priority, Reason, SinkId, Sinks};

/// What waits together: fairness and limits look at lanes, never at single messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneRef {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub priority: Priority,
}

/// A lane that holds work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueLane {
    pub lane: LaneRef,
    /// When the next of its messages may be claimed: the past when one is due; the end of a lease when all that is left
    /// is claimed; the time that it was deferred to, or is scheduled for.
    pub next_at: Timestamp,
}

/// Claims due messages.
#[derive(Debug, Clone)]
pub struct ClaimDue {
    pub now: Timestamp,
    /// The replica that claims, for people who look at the rows.
    pub owner: String,
    /// The claims end at this time unless they are renewed.
    pub lease_until: Timestamp,
    /// Claimed in this order.
    pub shares: Vec<Share>,
    /// What the shares draw on.
    pub rates: Vec<RateOf>,
    /// Whether scheduled messages, and those that seem to have expired, stay in the queue: the replica's clock is
    /// unreliable.
    pub leave_timed: bool,
}

/// How much of a lane to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub lane: LaneRef,
    /// At most so many.
    pub limit: u32,
    /// The rates that each of its messages counts against: places in [`ClaimDue::rates`].
    pub draws_on: Vec<usize>,
}

/// A rate that all replicas keep together, and which bucket it fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateOf {
    /// The tenant whose rate it is. All tenants of a provider account share its rate, so a name that stands for the
    /// account takes the tenant's place in the key and in the lock.
    pub tenant: TenantId,
    /// Such as `sender/support` or `account/AC…`, unique within the tenant.
    pub bucket: String,
    pub rate: Rate,
}

impl RateOf {
    /// The rate of one sender.
    pub fn of_sender(tenant: &TenantId, sender: &SenderName, rate: Rate) -> Self {
        Self { tenant: tenant.clone(), bucket: format!("sender/{sender}"), rate }
    }

    /// The rate of a provider account, whichever tenants use it.
    pub fn of_account(account: &ProviderAccount, rate: Rate) -> Self {
        let bucket = format!("account/{}", account.account_key());
        let digest = Sha256::new().chain_update(account.provider()).chain_update([0]).chain_update(&bucket).finalize();
        let name = format!("account-{}", hex::encode(&digest[..16]));
        let tenant =
            TenantId::new(name).unwrap_or_else(|error| unreachable!("hexadecimal digits are a label: {error}"));
        Self { tenant, bucket, rate }
    }

    /// Names the bucket among all tenants'.
    pub fn key(&self) -> (TenantId, String) {
        (self.tenant.clone(), self.bucket.clone())
    }
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Oldest first in each lane.
    pub claims: Vec<Claim>,
    /// How full the bucket of each of [`ClaimDue::rates`] is now, in their order; `None`: nothing was ever taken.
    pub buckets: Vec<Option<Bucket>>,
}

/// Proves that one holds a message. A later claim of the same message has a greater fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRef {
    pub tenant: TenantId,
    pub message: MessageId,
    pub fence: i64,
}

/// A message that this replica holds.
#[derive(Debug, Clone)]
pub struct Claim {
    pub fence: i64,
    pub lease_until: Timestamp,
    /// When it became due: what its waiting is counted from.
    pub due_at: Timestamp,
    pub message: Message,
    pub content: OutboundContent,
    /// The person whom it is to, as they were known when the message was claimed.
    pub contact: Contact,
    /// An attempt that was begun under an earlier claim and never finished: whether the provider was called is unknown.
    /// Finish it as [`AttemptResult::Unconfirmed`]; another must not be begun.
    pub open_attempt: Option<AttemptId>,
}

impl Claim {
    pub fn reference(&self) -> ClaimRef {
        ClaimRef { tenant: self.message.tenant.clone(), message: self.message.id, fence: self.fence }
    }
}

/// Whether the writer still held what it wrote about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fenced {
    Done,
    /// The claim has passed to another, or what it was about has ended. Nothing was written.
    LeaseLost,
}

/// Gives a message back.
#[derive(Debug, Clone)]
pub struct DeferClaim {
    pub claim: ClaimRef,
    pub until: Timestamp,
}

/// Writes that an attempt is about to be made.
#[derive(Debug, Clone)]
pub struct BeginAttempt {
    pub claim: ClaimRef,
    pub attempt: AttemptId,
    pub now: Timestamp,
    /// The version of the person that policy was judged on.
    pub contact_version: u64,
    /// The other senders of the pool that it leaves through, which the person was read at too.
    pub others_in_pool: Vec<SenderName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Began {
    Begun,
    /// The contact has changed since policy was judged; judge again.
    ContactChanged,
    /// As [`Fenced::LeaseLost`]; also when the message was canceled.
    LeaseLost,
}

/// Writes what became of an attempt. That the provider took it ([`AttemptResult::Accepted`]) is written even when the
/// claim has passed to another, while no later attempt was begun: it only moves the message forward.
#[derive(Debug, Clone)]
pub struct FinishAttempt {
    pub claim: ClaimRef,
    pub attempt: AttemptId,
    pub now: Timestamp,
    pub result: AttemptResult,
    /// The provider's own id of the request.
    pub provider_request_id: Option<String>,
    /// What the outcome says of the recipient.
    pub suppress: Option<Suppression>,
    pub new_attempts: NewAttempts,
    pub sinks: Vec<SinkId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The provider accepted it. The outcome is asked for at `ask_at` unless callbacks report it before.
    Accepted { provider_message_id: String, status: MessageStatus, ask_at: Timestamp },
    /// Nothing was sent; the message goes back into the queue.
    Retry { at: Timestamp, reason: Reason },
    /// It may have been sent. Callbacks are awaited until `ask_at`, then the provider is asked.
    Unconfirmed { reason: Reason, ask_at: Timestamp },
    /// The message is over, with a terminal status.
    Ended { status: MessageStatus, reason: Reason },
}

/// Ends a message without an attempt: policy forbids it now, or its validity is over.
#[derive(Debug, Clone)]
pub struct EndMessage {
    pub claim: ClaimRef,
    pub now: Timestamp,
    /// A terminal status.
    pub status: MessageStatus,
    pub reason: Reason,
    pub sinks: Vec<SinkId>,
}

/// A message in the queue whose validity is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredRef {
    pub tenant: TenantId,
    pub id: MessageId,
    pub sender: SenderName,
}

/// Ends a queued message whose validity is over, even when a replica holds a claim on it.
#[derive(Debug, Clone)]
pub struct ExpireMessage {
    pub tenant: TenantId,
    pub id: MessageId,
    pub now: Timestamp,
    pub reason: Reason,
    pub sinks: Sinks,
}

/// Claims messages whose outcome should be asked for.
#[derive(Debug, Clone)]
pub struct ClaimUnsettled {
    pub now: Timestamp,
    pub owner: String,
    pub lease_until: Timestamp,
    pub limit: u32,
}

/// A message that was handed over, or may have been, and has not ended.
#[derive(Debug, Clone)]
pub struct Unsettled {
    pub fence: i64,
    pub message: Message,
    pub content: Option<OutboundContent>,
    pub attempt: AttemptId,
    pub attempt_started_at: Timestamp,
    /// `None` when the replica that made it never recorded an outcome.
    pub attempt_finished_at: Option<Timestamp>,
    /// How often it has been asked for.
    pub asked: u32,
}

impl Unsettled {
    pub fn reference(&self) -> ClaimRef {
        ClaimRef { tenant: self.message.tenant.clone(), message: self.message.id, fence: self.fence }
    }
}

/// Writes what was found out about an unsettled message.
#[derive(Debug, Clone)]
pub struct Settle {
    pub claim: ClaimRef,
    pub now: Timestamp,
    pub settlement: Settlement,
    /// `None` while the sender has no config: its messages get no more attempts.
    pub new_attempts: Option<NewAttempts>,
    pub sinks: Vec<SinkId>,
}

/// Whether it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The message reached this status by it, if another than it had.
    Done { reached: Option<MessageStatus> },
    /// Another learned of the message in the meantime.
    LeaseLost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The provider has it, in this status; ask again at `ask_at` while that is not terminal. Where another message has
    /// got this id in the meantime it is only asked again.
    Found { provider_message_id: String, status: MessageStatus, failure: Option<Failure>, ask_at: Timestamp },
    /// The outcome cannot be learned, or the provider does not have the message.
    Ended { status: MessageStatus, reason: Reason },
    /// The outcome cannot be learned, and the tenant prefers a duplicate to a loss: the message goes back into the
    /// queue.
    Resend { at: Timestamp, reason: Reason },
    /// Nothing yet.
    AskAgain { at: Timestamp },
    /// The provider was not asked. The pause before the next question does not grow.
    NotAsked { again_at: Timestamp },
}

/// The contents of the queue. Each is counted up to a bound; at the bound it means "at least".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    pub due: u64,
    /// Scheduled, deferred or claimed.
    pub deferred: u64,
    pub unconfirmed: u64,
    /// Since when the oldest message that is due has been so.
    pub oldest_due_at: Option<Timestamp>,
    /// Events of the log that should have taken effect and have not.
    pub unapplied: u64,
    /// When the oldest event came that has not taken effect, also of those that are tried again later.
    pub oldest_unapplied_at: Option<Timestamp>,
}
