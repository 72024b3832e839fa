//! The embedded store: one file, one writer, any number of readers, nothing to install. For one replica.
//!
//! Writes go through the [`committer`], which commits everything that waits as one group, synchronously to disk. Reads
//! see what is committed and never wait for writes.

mod codec;
mod committer;
mod contacts;
mod lifecycle;
mod messages;
mod migrations;
mod outbox;
mod queue;
mod reads;
mod retention;
mod unsettled;
mod webhooks;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

pub use self::committer::Committer;
use self::committer::Submit;
use super::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use super::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, MessageRecord, Page,
    StatusCount,
};
use super::outbox::{ClaimEvents, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane};
use super::queue::{
    Began, BeginAttempt, Claim, ClaimDue, ClaimRef, ClaimUnsettled, DeferClaim, EndMessage, Fenced, FinishAttempt,
    Lane, QueueCounts, Settle, Unsettled,
};
use super::webhook::{Applied, ApplyEvent, Forget, LoggedEvent, RecordWebhook, Recorded};
use super::{Signals, Store, StoreError};

/// Readers at once; more would only wait for the same cores.
const READERS: u32 = 4;

/// A SQLite database in a file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    submit: Submit,
    signals: Arc<Signals>,
}

impl SqliteStore {
    /// Opens the database, creating it and bringing its schema up to date where needed. Nothing can be written until
    /// the [`Committer`] runs.
    pub async fn open(file: &Path) -> Result<(Self, Committer), StoreError> {
        // Before SQLite creates it for everybody to read: it holds what people say to each other.
        let created = tokio::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file).await;
        drop(created.map_err(|e| StoreError::Failed(e.to_string()))?);
        Self::open_with(SqliteConnectOptions::new().filename(file)).await
    }

    async fn open_with(options: SqliteConnectOptions) -> Result<(Self, Committer), StoreError> {
        let options = options
            .create_if_missing(true)
            // Readers do not wait for the writer, nor it for them.
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on disk when it answers: with NORMAL a power loss would take acknowledged webhooks.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // 64 MiB, in KiB.
            .pragma("cache_size", "-65536")
            // Fewer, larger checkpoints: about 40 MB of log between them.
            .pragma("wal_autocheckpoint", "10000")
            .statement_cache_capacity(256)
            .disable_statement_logging();
        let writing = options.clone();
        let mut writer = writing.connect().await?;
        migrations::run(&mut writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // A reader keeps its own, smaller cache.
            .connect_with(options.pragma("cache_size", "-8192").read_only(true))
            .await?;
        let signals = Arc::new(Signals::default());
        let (submit, committer) = committer::new(writer, writing, Arc::clone(&signals));
        Ok((Self { readers, submit, signals }, committer))
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn signals(&self) -> &Signals {
        &self.signals
    }

    async fn record_webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        self.submit.webhook(webhook).await
    }

    async fn unapplied_events(&self, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        webhooks::unapplied(&self.readers, limit).await
    }

    async fn apply_event(&self, apply: ApplyEvent) -> Result<Applied, StoreError> {
        self.submit.operation(apply).await
    }

    async fn accept_message(&self, accept: AcceptMessage) -> Result<Acceptance, StoreError> {
        // Webhooks can't be asked for again; a tenant's request can. So requests are shed first.
        self.submit.check_room_for_requests()?;
        self.submit.operation(accept).await
    }

    async fn replayed(&self, tenant: &TenantId, idempotency: &Idempotency) -> Result<Option<Acceptance>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        messages::replayed(&mut reader, tenant, idempotency).await
    }

    async fn cancel_message(&self, cancel: CancelMessage) -> Result<Cancellation, StoreError> {
        self.submit.operation(cancel).await
    }

    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageRecord>, StoreError> {
        reads::message(&self.readers, tenant, id).await
    }

    async fn messages(&self, tenant: &TenantId, filter: &MessageFilter) -> Result<Page<Message>, StoreError> {
        reads::messages(&self.readers, tenant, filter).await
    }

    async fn provider_message_id(&self, tenant: &TenantId, id: MessageId) -> Result<Option<String>, StoreError> {
        reads::provider_message_id(&self.readers, tenant, id).await
    }

    async fn known_provider_message_ids(&self, tenant: &TenantId, ids: &[String]) -> Result<Vec<String>, StoreError> {
        reads::known_provider_message_ids(&self.readers, tenant, ids).await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<StatusCount>, StoreError> {
        reads::count_by_status(&self.readers, tenant).await
    }

    async fn contact(&self, tenant: &TenantId, sender: &SenderName, contact: &Address) -> Result<Contact, StoreError> {
        let mut reader = self.readers.acquire().await?;
        contacts::load(&mut reader, tenant, sender, contact).await
    }

    async fn put_consent(&self, put: PutConsent) -> Result<Contact, StoreError> {
        self.submit.operation(put).await
    }

    async fn put_suppression(&self, put: PutSuppression) -> Result<Contact, StoreError> {
        self.submit.operation(put).await
    }

    async fn lift_suppression(&self, lift: LiftSuppression) -> Result<Contact, StoreError> {
        self.submit.operation(lift).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        reads::lanes(&self.readers).await
    }

    async fn claim_due(&self, claim: ClaimDue) -> Result<Vec<Claim>, StoreError> {
        self.submit.operation(claim).await
    }

    async fn renew_claim(&self, claim: ClaimRef, until: Timestamp) -> Result<Fenced, StoreError> {
        self.submit.operation(queue::RenewClaim { claim, until }).await
    }

    async fn defer_claim(&self, defer: DeferClaim) -> Result<Fenced, StoreError> {
        self.submit.operation(defer).await
    }

    async fn begin_attempt(&self, begin: BeginAttempt) -> Result<Began, StoreError> {
        self.submit.operation(begin).await
    }

    async fn finish_attempt(&self, finish: FinishAttempt) -> Result<Fenced, StoreError> {
        self.submit.operation(finish).await
    }

    async fn end_message(&self, end: EndMessage) -> Result<Fenced, StoreError> {
        self.submit.operation(end).await
    }

    async fn claim_unsettled(&self, claim: ClaimUnsettled) -> Result<Vec<Unsettled>, StoreError> {
        self.submit.operation(claim).await
    }

    async fn settle(&self, settle: Settle) -> Result<Fenced, StoreError> {
        self.submit.operation(settle).await
    }

    async fn queue_counts(&self, now: Timestamp) -> Result<QueueCounts, StoreError> {
        reads::queue_counts(&self.readers, now).await
    }

    async fn outbox_lanes(&self) -> Result<Vec<OutboxLane>, StoreError> {
        outbox::lanes(&self.readers).await
    }

    async fn claim_events(&self, claim: ClaimEvents) -> Result<Vec<EventClaim>, StoreError> {
        self.submit.operation(claim).await
    }

    async fn event_delivered(&self, event: EventRef, at: Timestamp) -> Result<Fenced, StoreError> {
        self.submit.operation(outbox::EventDelivered { event, at }).await
    }

    async fn defer_event(&self, defer: DeferEvent) -> Result<Fenced, StoreError> {
        self.submit.operation(defer).await
    }

    async fn end_event(&self, end: EndEvent) -> Result<Fenced, StoreError> {
        self.submit.operation(end).await
    }

    async fn outbox_counts(&self, _now: Timestamp) -> Result<OutboxCounts, StoreError> {
        outbox::counts(&self.readers).await
    }

    async fn forget(&self, forget: Forget) -> Result<u64, StoreError> {
        self.submit.operation(forget).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.submit.operation(committer::Nothing).await
    }

    async fn close(&self) {
        // The writer last: as the last of all connections it folds the log into the file.
        self.readers.close().await;
        self.submit.close().await;
    }
}

#[cfg(test)]
mod tests {
    use messaging::contact::{ConsentRecord, ConsentStatus, Evidence};

    use super::*;

    #[tokio::test]
    async fn a_disk_that_was_full_does_not_stop_later_writes() {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("data.db"));
        // What SQLite may take of the disk: enough for the schema and a little more.
        let (store, committer) = SqliteStore::open_with(options.pragma("max_page_count", "120")).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(committer.run());
        let put = |n: i64| PutConsent {
            tenant: "shop".parse().unwrap(),
            sender: "support".parse().unwrap(),
            contact: format!("+4477{n:08}").parse().unwrap(),
            consent: ConsentRecord {
                status: ConsentStatus::Granted,
                recorded_at: Timestamp::UNIX_EPOCH,
                evidence: Evidence { source: "x".repeat(100_000), reference: None, at: None, note: None },
            },
        };
        let mut refused = 0;
        for n in 0..20 {
            refused += i32::from(store.put_consent(put(n)).await.is_err());
        }
        assert!(refused > 1, "the disk was never full");
        // This needs no room.
        store.check().await.unwrap();
        store.close().await;
    }
}
